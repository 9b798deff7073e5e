package agent

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/edge/fingerprint"
	"github.com/dunlin-edge/dunlin/fleet"
)

// facts is what the agent knows of its device. Each change makes a new node, so that readers need no lock while they read.
type facts struct {
	mu      sync.Mutex
	node    *fleet.Node
	changed chan struct{} // closed when node is replaced
}

func (f *facts) set(n *fleet.Node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed != nil {
		close(f.changed)
	}
	f.node, f.changed = n, make(chan struct{})
}

func (f *facts) get() *fleet.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.node
}

// attributes are those of now, and a channel that closes when they change.
func (f *facts) attributes() (map[string]string, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.node.Attributes, f.changed
}

// change replaces the node by one that differs in some attributes. Only watchFacts calls it, so that nothing changes between.
func (f *facts) change(c fingerprint.Change) {
	n := *f.get()
	n.Attributes = maps.Clone(n.Attributes)
	maps.Copy(n.Attributes, c.Set)
	for _, name := range c.Unset {
		delete(n.Attributes, name)
	}
	f.set(&n)
}

// watchFacts probes the device again and again until ctx ends, with or without a link.
func (a *Agent) watchFacts(ctx context.Context) {
	if a.cfg.Reprobe == nil {
		return
	}
	damper := fingerprint.NewDamper(a.Node().Attributes, time.Now())
	var quality fingerprint.Quality // of the link that is, or was: a link that is down has none, and that is not worth telling
	for {
		at, pace := damper.Next()
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
			return
		}
		if s, up := a.session.Stats(); up {
			quality = fingerprint.Quality{RoundTrip: s.RoundTrip, Sent: s.SentPackets, Lost: s.LostPackets}
		}
		r := a.cfg.Reprobe(pace)
		quality.Add(&r)
		if c := damper.Step(r, time.Now()); !c.Empty() {
			a.facts.change(c)
			a.cfg.Log.Debug("facts of this device changed", "set", c.Set, "unset", c.Unset)
		}
	}
}
