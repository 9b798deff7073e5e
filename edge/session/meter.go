package session

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// Meter keeps the account of what a device's links carry, and slows what a budget slows. It is safe for concurrent use.
type Meter struct {
	budget traffic.Budget
	log    *slog.Logger

	mu      sync.Mutex
	book    traffic.Book
	links   uint64
	link    link.Link // nil while down
	live    *traffic.Live
	setup   traffic.Count // what the link had carried when it came up
	settled time.Time
	date    time.Time // that a server told; zero: none did
	dateAt  time.Time // when it did
	slowed  []traffic.Class
}

// NewMeter returns a meter that goes on with what Encode gave before a restart. What cannot be read is counted anew: an account is
// not worth an agent that does not start.
func NewMeter(budget traffic.Budget, kept []byte, log *slog.Logger) *Meter {
	m := &Meter{budget: budget, log: log, live: &traffic.Live{}, settled: time.Now()}
	if len(kept) > 0 {
		r := codec.NewReader(kept)
		if m.book.Decode(r); r.Close() != nil {
			m.book = traffic.Book{}
			log.Warn("the account of this device's traffic cannot be read and begins anew", "error", r.Err())
		}
	}
	return m
}

// Encode is the account as it is kept on disk.
func (m *Meter) Encode() []byte {
	b := m.Book()
	return b.Append(nil)
}

// Book is the account by now.
func (m *Meter) Book() traffic.Book {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	return m.book
}

// Budget is the device's budget and the classes that it slows now.
func (m *Meter) Budget() (traffic.Budget, []traffic.Class) {
	b := m.Book()
	return m.budget, m.budget.Slowed(&b.Month)
}

func (m *Meter) answer() *wire.TrafficAnswer {
	b := m.Book()
	m.mu.Lock()
	defer m.mu.Unlock()
	return &wire.TrafficAnswer{Book: b, Links: m.links, Budget: m.budget}
}

// begin counts a link that has just come up: all it has carried was its handshake.
func (m *Meter) begin(l link.Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	m.link, m.live, m.setup = l, &traffic.Live{}, l.Stats().Sides()
	m.links++
	m.book.Begin()
}

// end takes in the last of a link, once it is closed.
func (m *Meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	m.link = nil
}

// told notes the date that a server told. The device's own wall clock has no say: it may show 1970.
func (m *Meter) told(nanos int64) {
	if nanos <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.date, m.dateAt = time.Unix(0, nanos), time.Now()
}

// settle brings the book up to now, and says when a class begins or ends to be slowed. m.mu is held.
func (m *Meter) settle() {
	now := time.Now()
	passed := now.Sub(m.settled)
	m.settled = now
	var wall time.Time
	if !m.date.IsZero() {
		wall = m.date.Add(now.Sub(m.dateAt))
	}
	whole := m.book.Link
	if m.link != nil {
		whole = m.live.Tally().Whole(m.setup, m.link.Stats().Sides())
	}
	m.book.Settle(whole, passed, wall)
	slowed := m.budget.Slowed(&m.book.Month)
	if !slices.Equal(slowed, m.slowed) {
		used := m.book.Month.Tally.Total()
		if len(slowed) > len(m.slowed) {
			m.log.Warn("the link's budget slows classes of traffic; beats and what the region wants are never slowed",
				"slowed", traffic.Words(slowed), "used_bytes", used, "budget", m.budget, "month_passed", m.book.Month.Elapsed.Round(time.Minute))
		} else {
			m.log.Info("the link's budget slows less again", "slowed", traffic.Words(slowed), "used_bytes", used, "budget", m.budget)
		}
		m.slowed = slowed
	}
}

// stream counts a stream from here on.
func (m *Meter) stream(st link.Stream, kind wire.Kind) link.Stream {
	s := link.Count(st)
	m.assign(s, kind)
	return s
}

func (m *Meter) assign(s *link.Counted, kind wire.Kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Assign(m.live, kind.Class())
}

func (m *Meter) sent(c traffic.Class, n int) {
	m.mu.Lock()
	live := m.live
	m.mu.Unlock()
	live.Sent(c, n)
}

// piece says how many of the wanted bytes may pass, after the pause that the budget asks for.
func (m *Meter) piece(ctx context.Context, c traffic.Class, want int) (int, error) {
	if m.budget == 0 {
		return want, nil
	}
	b := m.Book()
	n, pause := m.budget.Piece(c, &b.Month, want)
	return n, rest(ctx, pause)
}

// status waits before a batch of statuses as long as the budget asks.
func (m *Meter) status(ctx context.Context) error {
	if m.budget == 0 {
		return nil
	}
	b := m.Book()
	return rest(ctx, m.budget.StatusWait(&b.Month))
}

func rest(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// paced is a stream that passes in the pieces that the budget allows.
type paced struct {
	link.Stream
	ctx   context.Context
	meter *Meter
	class traffic.Class
}

// Read waits before it reads, so that the sender stops when what it may send unread is full.
func (p *paced) Read(b []byte) (int, error) {
	n, err := p.meter.piece(p.ctx, p.class, len(b))
	if err != nil {
		return 0, err
	}
	return p.Stream.Read(b[:n])
}

func (p *paced) Write(b []byte) (done int, err error) {
	for done < len(b) {
		n, err := p.meter.piece(p.ctx, p.class, len(b)-done)
		if err != nil {
			return done, err
		}
		if err := p.Stream.SetWriteDeadline(time.Now().Add(PieceTimeout)); err != nil {
			return done, err
		}
		n, err = p.Stream.Write(b[done : done+n])
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}
