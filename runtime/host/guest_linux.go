package host

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// spareOwner owns the guest process that waits for a task. No task can have this ID: task IDs are not empty before a colon.
const spareOwner = ":spare"

// guest is a guest process: `SELF guest` with its spec on descriptor 3 and its report on 4.
type guest struct {
	child                               *child
	stdin, stdout, stderr, spec, report pipe
}

func (g *guest) pipes() []*pipe {
	return []*pipe{&g.stdin, &g.stdout, &g.stderr, &g.spec, &g.report}
}

func (g *guest) closePipes() {
	for _, p := range g.pipes() {
		p.close()
	}
}

// startGuest starts a guest process that waits for its spec.
func startGuest(c *children, self []string, owner string) (*guest, error) {
	g := &guest{}
	for _, p := range g.pipes() {
		p.theirs = -1
	}
	var fds []int
	for i, p := range g.pipes() {
		fromChild := i == 1 || i == 2 || i == 4
		made, err := newPipe(fromChild)
		if err != nil {
			g.closePipes()
			return nil, err
		}
		*p = made
		fds = append(fds, made.theirs)
	}
	argv := append([]string{argv0(self)}, self[1:]...)
	child, err := c.start(command{owner: owner, path: self[0], argv: append(argv, "guest"), env: hostEnv(), dir: "/", files: fds})
	if err != nil {
		g.closePipes()
		return nil, err
	}
	g.child = child
	for _, p := range g.pipes() {
		p.closeTheirs()
	}
	return g, nil
}

// handOver gives the guest its spec; from here it runs.
func (g *guest) handOver(spec json.RawMessage) error {
	if err := g.spec.ours.SetWriteDeadline(time.Now().Add(specTimeout)); err != nil {
		return fmt.Errorf("hand spec to guest: %w", err)
	}
	if _, err := g.spec.ours.Write(spec); err != nil {
		return fmt.Errorf("hand spec to guest: %w", err)
	}
	return g.spec.ours.Close()
}

// kill ends a guest that never got a spec, and waits for its end.
func (g *guest) kill(c *children) {
	_ = c.signalGroup(g.child, unix.SIGKILL) // ESRCH: it has ended
	<-g.child.exited
	c.release(g.child)
	g.closePipes()
}

// spares keeps one started guest process, so that a start costs no exec. The first Wasm task starts it; each take refills it
// in the background; after SpareIdleMax without a take it is let go.
type spares struct {
	children *children
	self     []string

	mu     sync.Mutex
	waits  *guest
	timer  *time.Timer
	closed bool
	wg     sync.WaitGroup // refills
}

// take returns a guest process owned by owner, the spare one if it is there and alive.
func (s *spares) take(owner string) (*guest, error) {
	s.mu.Lock()
	g := s.waits
	s.waits = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	defer s.refill()
	if g != nil {
		select {
		case <-g.child.exited:
			g.kill(s.children)
		default:
			s.children.disown(g.child, owner)
			return g, nil
		}
	}
	return startGuest(s.children, s.self, owner)
}

func (s *spares) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		g, err := startGuest(s.children, s.self, spareOwner)
		if err != nil {
			return // the next start makes its own guest process and meets the error itself
		}
		s.mu.Lock()
		if s.closed || s.waits != nil {
			s.mu.Unlock()
			g.kill(s.children)
			return
		}
		s.waits = g
		s.timer = time.AfterFunc(SpareIdleMax, s.letGo)
		s.mu.Unlock()
	}()
}

func (s *spares) letGo() {
	s.mu.Lock()
	g := s.waits
	s.waits = nil
	s.mu.Unlock()
	if g != nil {
		g.kill(s.children)
	}
}

func (s *spares) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.letGo()
}
