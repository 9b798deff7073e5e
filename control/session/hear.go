package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// How beats are fetched.
const (
	// BeatFetches is how often within a beat's period the links are looked through. A beat is a sign of life, and may be heard a
	// tenth of its period late; a goroutine for each link that waits for it costs more than all beats.
	BeatFetches = 10
	FetchMin    = 5 * time.Millisecond
	// FetchMax is a tenth of the beat's period that devices are told unless an operator says otherwise. Once a second, looking at
	// 10,000 links cost as much as all that the sessions do with what they find.
	FetchMax = 3 * time.Second
	// DatagramsPerFetch bounds what one link can make a fetch last.
	DatagramsPerFetch = 16
)

// listen takes the link's beats. A gateway speaks for thousands of nodes and has a goroutine; other links are looked through
// from time to time.
func (k *session) listen(ctx context.Context) {
	if k.link.Peer().Kind == trust.KindGateway {
		k.wg.Go(func() {
			for {
				b, err := k.link.ReceiveDatagram(ctx)
				if err != nil {
					return
				}
				k.heard(b)
			}
		})
		return
	}
	k.Sessions.mu.Lock()
	k.ears[k] = struct{}{}
	k.Sessions.mu.Unlock()
}

// stopListening returns when nothing more will be heard of the link.
func (k *session) stopListening() {
	k.Sessions.mu.Lock()
	delete(k.ears, k)
	k.Sessions.mu.Unlock()
	k.ear.Lock()
	k.deaf = true
	k.ear.Unlock()
}

// fetchBeats looks through the links until ctx ends.
func (s *Sessions) fetchBeats(ctx context.Context) {
	tick := time.NewTicker(min(max(s.BeatEvery/BeatFetches, FetchMin), FetchMax))
	defer tick.Stop()
	now, end := context.WithCancel(context.Background())
	end() // what is there is taken, and nothing is waited for
	var all []*session
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		all = slices.AppendSeq(all[:0], maps.Keys(s.ears))
		s.mu.Unlock()
		for _, k := range all {
			k.fetch(now)
		}
		clear(all) // a link that ends is not kept until the next one comes
	}
}

func (k *session) fetch(now context.Context) {
	k.ear.Lock()
	defer k.ear.Unlock()
	for range DatagramsPerFetch {
		if k.deaf {
			return
		}
		b, err := k.link.ReceiveDatagram(now)
		if err != nil {
			return
		}
		k.heard(b)
	}
}

// heard takes in a datagram.
func (k *session) heard(b []byte) {
	var beat wire.Beat
	if err := wire.Decode(b, &beat); err != nil {
		k.refused(RefusedNonsense, fmt.Errorf("datagram: %w", err))
		return
	}
	k.mu.Lock()
	known := k.nodes[beat.Node]
	k.mu.Unlock()
	if !known {
		k.refused(RefusedForeignNode, fmt.Errorf("a beat of node %s, which has not registered on this link", beat.Node))
		return
	}
	c := k.counts(beat.Node) // before anybody hears of the beat: who heard of it may look at the account
	c.account.beat(c.live, len(b), k.Now())
	k.Liveness.Beat(beat.Node)
}
