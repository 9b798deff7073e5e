package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of the accounts of traffic, which are in memory only.
const (
	AccountsMax = 50_000           // nodes; traffic of those beyond is not counted
	SettleEvery = 10 * time.Minute // of a link that beats, so that the days are told apart
	TrafficWait = 2 * time.Second  // for a device's answer about its own account
)

// account is what one node's links carried, as this server saw it.
type account struct {
	mu      sync.Mutex
	book    traffic.Book
	live    *traffic.Live // nil while there is no link
	link    link.Link     // nil also for a node behind a gateway, whose packets are not its own
	setup   traffic.Count
	settled time.Time
}

// begin opens the account of a link that has just been accepted, and returns
// where its bytes are counted.
func (a *account) begin(l link.Link, setup traffic.Count, now time.Time) *traffic.Live {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(now)
	a.live, a.link, a.setup = &traffic.Live{}, nil, traffic.Count{}
	if l.Peer().Kind != trust.KindGateway {
		a.link, a.setup = l, setup
	}
	a.book.Begin()
	return a.live
}

// end takes in the last of a link, unless a newer one has taken its place.
func (a *account) end(live *traffic.Live, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.live != live {
		return
	}
	a.settle(now)
	a.live, a.link = nil, nil
}

func (a *account) settle(now time.Time) {
	whole := a.book.Link
	if a.live != nil {
		whole = a.live.Tally()
	}
	if a.link != nil {
		whole = whole.Whole(a.setup, a.link.Stats().Sides())
	}
	passed := time.Duration(0)
	if !a.settled.IsZero() {
		passed = now.Sub(a.settled)
	}
	a.settled = now
	a.book.Settle(whole, passed, now)
}

// beat counts a beat, and settles from time to time: a link may stay for months.
func (a *account) beat(live *traffic.Live, n int, now time.Time) {
	live.Received(traffic.Beat, n)
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.settled) >= SettleEvery {
		a.settle(now)
	}
}

// counting is a node's account and where its present link counts.
type counting struct {
	account *account
	live    *traffic.Live
}

// counts returns where a node's bytes on this link are counted. The caller has
// checked that the link may speak for the node.
func (k *session) counts(node fleet.UUID) counting {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.counted[node]
	if !ok {
		c.account = k.accountOf(node)
		c.live = c.account.begin(k.link, k.setup, k.Now())
		k.counted[node] = c
	}
	return c
}

// accountOf finds a node's account or makes one.
func (s *Sessions) accountOf(node fleet.UUID) *account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[node]
	if a == nil {
		a = &account{}
		if len(s.accounts) < AccountsMax {
			s.accounts[node] = a
		}
	}
	return a
}

// open opens a stream of a kind to a node and counts it.
func (k *session) open(ctx context.Context, node fleet.UUID, kind wire.Kind) (link.Stream, error) {
	raw, err := k.link.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	st := link.Count(raw)
	st.Assign(k.counts(node).live, kind.Class())
	return st, nil
}

// settleAll closes the accounts of a link that has ended.
func (k *session) settleAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.counted {
		c.account.end(c.live, k.Now())
	}
}

// Traffic is what this server counted of a node's links since it started, seen
// from the server: received is what the node sent. False if it had no link here.
func (s *Sessions) Traffic(node fleet.UUID) (traffic.Book, bool) {
	s.mu.Lock()
	a := s.accounts[node]
	s.mu.Unlock()
	if a == nil {
		return traffic.Book{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(s.Now())
	return a.book, true
}

// Carried is what this server counted of all its links this month, seen from the
// server: received is what the nodes sent.
func (s *Sessions) Carried() (all traffic.Tally) {
	s.mu.Lock()
	accounts := slices.Collect(maps.Values(s.accounts))
	s.mu.Unlock()
	now := s.Now()
	for _, a := range accounts {
		a.mu.Lock()
		a.settle(now)
		month := a.book.Month.Tally
		a.mu.Unlock()
		for class := range all {
			all[class].Sent += month[class].Sent
			all[class].Received += month[class].Received
		}
	}
	return all
}

// AskTraffic asks a device for its own account. It waits TrafficWait at most.
func (s *Sessions) AskTraffic(ctx context.Context, node fleet.UUID) (*wire.TrafficAnswer, error) {
	s.mu.Lock()
	k := s.links[node]
	s.mu.Unlock()
	if k == nil {
		return nil, ErrNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, TrafficWait)
	defer cancel()
	st, err := k.open(ctx, node, wire.KindTraffic)
	if err != nil {
		return nil, fmt.Errorf("ask the device: %w", err)
	}
	defer st.Close() //nolint:errcheck // the answer is in, or the last use said what is wrong
	defer context.AfterFunc(ctx, func() { st.Reset(link.CodeCanceled) })()
	var answer wire.TrafficAnswer
	if err := say(st, &wire.Header{Kind: wire.KindTraffic, Node: node}); err != nil {
		return nil, fmt.Errorf("ask the device: %w", err)
	}
	if err := say(st, &wire.TrafficRequest{}); err != nil {
		return nil, fmt.Errorf("ask the device: %w", err)
	}
	if err := wire.Read(st, &answer); err != nil {
		return nil, fmt.Errorf("the device did not answer: %w", err)
	}
	return &answer, nil
}
