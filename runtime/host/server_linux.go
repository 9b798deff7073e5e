package host

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// server is the host's state: its tasks, and what they need.
type server struct {
	opts     Options
	log      *slog.Logger
	now      func() time.Time
	boot     string
	children *children
	spares   *spares
	records  records
	table    procTable
	follows  sync.WaitGroup // one per running task
	began    time.Time
	logBytes atomic.Int64 // handed to the disk by all tasks' logs

	mu         sync.Mutex
	tasks      map[string]*task
	execs      int         // commands that run beside tasks
	execSerial uint64      // of the last of them
	busy       int         // running tasks and calls in work
	idle       *time.Timer // ends the host; runs while busy is 0
	closing    bool
	quit       chan struct{} // closed when the host shall end
}

func newServer(opts Options, log *slog.Logger) *server {
	s := &server{
		opts: opts, log: log, now: time.Now, boot: bootID(), began: time.Now(),
		children: newChildren(),
		records:  records{filepath.Join(opts.Dir, taskDir)},
		tasks:    map[string]*task{},
		quit:     make(chan struct{}),
	}
	s.spares = &spares{children: s.children, self: opts.Self}
	// Whoever launched us needs a moment to connect, however short the idle time is.
	s.idle = time.AfterFunc(max(opts.Idle, launchTimeout), s.endIfIdle)
	return s
}

// adopt loads what earlier hosts have left: ends that nobody has forgotten, and tasks that were running, which are cleared
// away and recorded as ended.
func (s *server) adopt() {
	list, problems := s.records.load()
	for _, p := range problems {
		s.log.Warn("a task's record is not usable", "err", p)
	}
	for _, rec := range list {
		if rec.Exit == nil {
			exit := Exit{Code: 128 + int(unix.SIGKILL), Err: HostDied, At: s.now()}
			if rec.Boot == s.boot {
				if err := clearAway(rec); err != nil {
					s.log.Error("a task of the host before is not gone", "task", rec.ID, "err", err)
				}
			}
			rec.Exit = &exit
			if err := s.records.write(rec); err != nil {
				s.log.Error("the end of a task is only in memory", "task", rec.ID, "err", err)
			}
			s.log.Warn("a task ended with the host before", "task", rec.ID)
		}
		s.tasks[rec.ID] = endedTask(rec)
	}
}

// begin counts a call in work; it fails when the host is about to end.
func (s *server) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return errClosing
	}
	s.busyLocked(+1)
	return nil
}

func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busyLocked(-1)
}

func (s *server) busyLocked(by int) {
	s.busy += by
	if s.busy == 0 && !s.closing {
		s.idle.Reset(s.opts.Idle)
	} else {
		s.idle.Stop()
	}
}

func (s *server) endIfIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == 0 {
		s.closeLocked("idle")
	}
}

func (s *server) closeLocked(why string) {
	if s.closing {
		return
	}
	s.log.Info("host ends", "why", why)
	s.closing = true
	close(s.quit)
}

// start starts a task, or answers with the one that is there, waiting for a start of it that is going on.
func (s *server) start(spec TaskSpec) (TaskStatus, error) {
	if err := spec.Check(); err != nil {
		return TaskStatus{}, err
	}
	t, mine, err := s.reserve(spec)
	if err != nil {
		return TaskStatus{}, err
	}
	if !mine {
		<-t.ready
		return t.status(), t.err
	}
	t.err = s.launchTask(t)
	if t.err != nil {
		t.execEnd()
		s.mu.Lock()
		delete(s.tasks, spec.ID)
		s.busyLocked(-1)
		s.mu.Unlock()
		close(t.ready)
		return TaskStatus{}, t.err
	}
	t.mu.Lock()
	t.rec.PID, t.rec.Start = t.child.pid, t.child.start
	rec := t.rec
	t.mu.Unlock()
	if err := s.records.write(rec); err != nil {
		// The task runs and is answered for; only a death of the host would lose it.
		s.log.Error("the start of a task is only in memory", "task", spec.ID, "err", err)
	}
	s.follows.Add(1)
	go func() {
		defer s.follows.Done()
		s.follow(t)
		s.end()
	}()
	close(t.ready)
	return rec.status(), nil
}

// reserve makes the task's place; mine is false if it was there. A new one counts as work until it has ended.
func (s *server) reserve(spec TaskSpec) (t *task, mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t := s.tasks[spec.ID]; {
	case t != nil:
		return t, false, nil
	case s.closing:
		return nil, false, errClosing
	case len(s.tasks) >= TasksMax:
		return nil, false, refuse(CodeLimit, "%d tasks are known, which is the limit; forget ended ones", len(s.tasks))
	}
	t = newTask(spec, s.boot, s.now())
	s.tasks[spec.ID] = t
	s.busyLocked(+1)
	return t, true, nil
}

// find returns a task whose start has succeeded.
func (s *server) find(id string) (*task, error) {
	s.mu.Lock()
	t := s.tasks[id]
	s.mu.Unlock()
	if t == nil {
		return nil, gone(id)
	}
	<-t.ready
	if t.err != nil {
		return nil, gone(id)
	}
	return t, nil
}

func (s *server) stop(ctx context.Context, b stopBody) error {
	t, err := s.find(b.ID)
	if err != nil {
		return err
	}
	sig := unix.SIGTERM
	if b.Signal != "" {
		n, err := ParseSignal(b.Signal)
		if err != nil {
			return refuse(CodeBadRequest, "stop task %q: %v", b.ID, err)
		}
		sig = unix.Signal(n)
	}
	t.stop(s.children, sig, b.Grace)
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forget kills the task if it runs, and drops its end.
func (s *server) forget(ctx context.Context, id string) error {
	if err := s.stop(ctx, stopBody{ID: id}); err != nil {
		return err
	}
	// The record goes first: a Start of the same ID in between is answered with the ended task, and its record is not lost.
	if err := s.records.remove(id); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.tasks, id)
	s.mu.Unlock()
	return nil
}

func (s *server) list() []TaskStatus {
	list := []TaskStatus{}
	for _, t := range s.snapshot() {
		select {
		case <-t.ready:
			if t.err == nil {
				list = append(list, t.status())
			}
		default: // not started yet
		}
	}
	slices.SortFunc(list, func(a, b TaskStatus) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (s *server) snapshot() []*task {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*task, 0, len(s.tasks))
	for _, t := range s.tasks {
		all = append(all, t)
	}
	return all
}

// otherProcessTasks reports whether a process task besides id runs.
func (s *server) otherProcessTasks(id string) bool {
	for _, t := range s.snapshot() {
		if t.rec.ID != id && t.rec.Kind == KindProcess && t.running() {
			return true
		}
	}
	return false
}

// shutdown kills all tasks, waits for their ends, and lets the host end.
func (s *server) shutdown(why string) {
	s.mu.Lock()
	s.closeLocked(why)
	s.mu.Unlock()
	s.killAll()
}

func (s *server) killAll() {
	for _, t := range s.snapshot() {
		<-t.ready
		if t.err == nil {
			t.stop(s.children, unix.SIGKILL, 0)
		}
	}
	s.follows.Wait()
}

// close ends what belongs to the server, tasks too. No connection may be served any more.
func (s *server) close() {
	s.shutdown("closed")
	s.idle.Stop()
	s.spares.close()
	s.children.close()
}
