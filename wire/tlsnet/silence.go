package tlsnet

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// pathInfo is what the kernel knows of a connection.
type pathInfo struct {
	silence              time.Duration // since anything came, acknowledgements included
	roundTrip            time.Duration
	sent, received, lost uint64 // packets
}

// silence watches for signs of life.
type silence struct {
	keepAlive time.Duration
	heard     atomic.Int64 // nanoseconds after the link began
	asked     atomic.Int64 // when the last ping went; 0 when it was answered
	trip      atomic.Int64 // of the last ping

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (s *silence) roundTrip() time.Duration { return time.Duration(s.trip.Load()) }

func (s *silence) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.timer != nil {
		s.timer.Stop()
	}
}

func (s *silence) again(after time.Duration, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(after, f)
		return
	}
	s.timer.Reset(after)
}

// askAfter is the silence after which the peer is asked for a sign of life: late enough to cost nothing while beats
// flow, early enough for an answer before the link is given up.
func (l *tlsLink) askAfter() time.Duration {
	if l.keepAlive > 0 && !l.accepted {
		return min(l.keepAlive, l.ours.idle*2/3)
	}
	return l.ours.idle * 2 / 3
}

// watch begins to watch for silence.
func (l *tlsLink) watch() { l.again(l.askAfter(), l.listen) }

// hear notes that a frame came.
func (l *tlsLink) hear() { l.heard.Store(int64(time.Since(l.began))) }

// listen is called when the link may have been silent for too long.
func (l *tlsLink) listen() {
	now := time.Since(l.began)
	silent := now - time.Duration(l.heard.Load())
	if i, ok := info(l.under.Conn); ok {
		silent = min(silent, i.silence)
	}
	switch ask := l.askAfter(); {
	case silent >= l.ours.idle:
		l.finish(link.ErrSilent, nil)
	case silent >= ask:
		l.asked.Store(int64(now))
		l.mu.Lock()
		l.ping = true
		l.mu.Unlock()
		l.poke()
		l.again(l.ours.idle-silent, l.listen)
	default:
		l.again(ask-silent, l.listen)
	}
}

func (l *tlsLink) answered() {
	if asked := l.asked.Swap(0); asked > 0 {
		l.trip.Store(int64(time.Since(l.began)) - asked)
	}
}
