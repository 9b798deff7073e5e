package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// Limits of a device that does not keep to the protocol.
const (
	// RefusalsPerLink within RefusalsWindow end the link. An honest device meets few: it asks for a module whose allocation
	// has just ended. On a link that lasts for months even those would add up, hence the window.
	RefusalsPerLink = 32
	RefusalsWindow  = 10 * time.Minute
	RegistersBurst  = 8 // registrations of one node on one link at once
	RegisterEvery   = 10 * time.Second
	NodesPerLink    = 50_000 // that a gateway speaks for
)

// Refused is a kind of thing that a device tried and may not.
type Refused int

// The kinds.
const (
	RefusedForeignNode  Refused = iota // a header or a beat that names another node
	RefusedUnregistered                // a stream before the registration
	RefusedKind                        // a stream that only servers open
	RefusedModule                      // a module that no allocation on the device names
	RefusedStatus                      // a status of another node's allocation, or one that only a region concludes
	RefusedNonsense                    // a message that does not decode, or is too long
	RefusedTooOften                    // registrations or status streams beyond the limit
	RefusedStanding                    // a revoked identity, or a second machine with one identity
	refusedKinds
)

var refusedWords = [refusedKinds]string{
	"foreign_node", "unregistered", "server_only_kind", "foreign_module", "foreign_status", "nonsense", "too_often", "standing",
}

// String is the kind as counters name it.
func (r Refused) String() string { return refusedWords[r] }

type refusals [refusedKinds]atomic.Uint64

// Refusals counts what devices tried on this server since its start, by kind.
func (s *Sessions) Refusals() map[string]uint64 {
	out := make(map[string]uint64, refusedKinds)
	for kind := range refusedKinds {
		out[kind.String()] = s.refusals[kind].Load()
	}
	return out
}

// guard is what one link tried and what it may open once only.
type guard struct {
	mu        sync.Mutex
	refused   int       // since
	since     time.Time // the window's begin
	statuses  map[fleet.UUID]bool
	registers map[fleet.UUID]*bucket
}

// bucket allows RegistersBurst at once and one more each RegisterEvery.
type bucket struct {
	left int
	at   time.Time
}

// refused counts a refusal. Only the first of a link is worth a warning; the
// rest would let one device fill the server's log.
func (k *session) refused(kind Refused, why error) {
	k.refusals[kind].Add(1)
	now := k.Now()
	k.guard.mu.Lock()
	if now.Sub(k.guard.since) > RefusalsWindow {
		k.guard.refused, k.guard.since = 0, now
	}
	k.guard.refused++
	n := k.guard.refused
	k.guard.mu.Unlock()
	say := k.Logger.Debug
	if n == 1 {
		say = k.Logger.Warn
	}
	say("a device tried what it may not", "peer", k.link.Peer(), "address", k.link.RemoteAddr(), "kind", kind, "error", why)
	if n == RefusalsPerLink {
		_ = k.link.Close(link.CodeProtocol, fmt.Sprintf("%d requests of this link were refused, the last because: %v", n, why))
	}
}

// deny counts a refusal and gives the stream up.
func (k *session) deny(st link.Stream, kind Refused, why error) error {
	k.refused(kind, why)
	st.Reset(link.CodeRefused)
	return nil
}

// nonsense is a message of the device that does not decode. Errors of the server
// itself are not held against the device.
type nonsense struct{ cause error }

func (e *nonsense) Error() string { return e.cause.Error() }
func (e *nonsense) Unwrap() error { return e.cause }

// said reads what the device says.
func said(st link.Stream, m wire.Message) error {
	err := wire.Read(st, m)
	if err == nil || ended(err) {
		return err
	}
	return &nonsense{err}
}

// ended says that an error is the end of a stream or a link and no fault of
// what was said on it.
func ended(err error) bool {
	if _, closed := link.Closed(err); closed {
		return true
	}
	if _, reset := errors.AsType[*link.ResetError](err); reset {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, link.ErrSilent) || errors.Is(err, link.ErrForgotten) || errors.Is(err, os.ErrDeadlineExceeded)
}

// mayRegister counts a registration. Each is an entry of the log.
func (k *session) mayRegister(node fleet.UUID) bool {
	now := k.Now()
	k.guard.mu.Lock()
	defer k.guard.mu.Unlock()
	if k.guard.registers == nil {
		k.guard.registers = map[fleet.UUID]*bucket{}
	}
	b := k.guard.registers[node]
	if b == nil {
		if len(k.guard.registers) >= NodesPerLink {
			return false
		}
		b = &bucket{left: RegistersBurst, at: now}
		k.guard.registers[node] = b
	}
	if n := int(now.Sub(b.at) / RegisterEvery); n > 0 {
		b.left, b.at = min(RegistersBurst, b.left+n), now
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

// claimStatus reports whether the node has no other stream of statuses on this
// link: each may hold a frame of the largest size in memory.
func (k *session) claimStatus(node fleet.UUID) bool {
	k.guard.mu.Lock()
	defer k.guard.mu.Unlock()
	if k.guard.statuses[node] {
		return false
	}
	if k.guard.statuses == nil {
		k.guard.statuses = map[fleet.UUID]bool{}
	}
	k.guard.statuses[node] = true
	return true
}

func (k *session) releaseStatus(node fleet.UUID) {
	k.guard.mu.Lock()
	defer k.guard.mu.Unlock()
	delete(k.guard.statuses, node)
}

// own drops what the node may not say: statuses of another node's allocations,
// and those that only a region concludes. Allocations that the region does not
// know stay in: they are orphans, and Apply drops them.
func (k *session) own(node fleet.UUID, allocs []wire.AllocStatus) []wire.AllocStatus {
	v := k.Store.View()
	row := v.NodeByID(node)
	return slices.DeleteFunc(allocs, func(s wire.AllocStatus) bool {
		a := v.AllocByID(s.ID)
		observed, err := state.ParseObserved(s.Status)
		switch {
		case a != nil && (row == nil || a.Node != row.Key):
			k.refused(RefusedStatus, fmt.Errorf("node %s tells the status of allocation %s, which is another node's", node, s.ID))
		case err != nil || observed == state.ObservedLost || observed == state.ObservedUnknown:
			k.refused(RefusedStatus, fmt.Errorf("node %s says that allocation %s is %q, which no device may say", node, s.ID, s.Status))
		default:
			return false
		}
		return true
	})
}

// mayFetch says whether an allocation on the node names the module. Allocations
// that ended count for nothing: what they ran is none of the device's business
// any more. Lost ones do count, as the device may run them still.
func mayFetch(v *state.View, node fleet.UUID, digest string) bool {
	row := v.NodeByID(node)
	if row == nil {
		return false
	}
	type groupOf struct {
		version *state.JobVersion
		group   uint16
	}
	seen := map[groupOf]bool{}
	for a := range v.AllocsByNode(row.Key) {
		g := groupOf{a.Version, a.Group}
		if seen[g] || a.Desired != state.DesiredRun || a.Observed.Terminal() && a.Observed != state.ObservedLost {
			continue
		}
		seen[g] = true
		if names(a.GroupSpec(), digest) {
			return true
		}
	}
	return false
}

func names(g *fleet.TaskGroup, digest string) bool {
	for i := range g.Tasks {
		refs, err := config.Modules(g.Tasks[i].Driver, g.Tasks[i].Config)
		if err != nil {
			continue // a driver of a newer version: it names no module of ours
		}
		if slices.ContainsFunc(refs, func(r config.ModuleRef) bool { return r.Kind == config.ModuleDigest && r.Digest == digest }) {
			return true
		}
	}
	return false
}
