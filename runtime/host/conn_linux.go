package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// serverConn is one client's connection. Its reader runs in serve; each call has a goroutine, except Wait, which costs only
// an entry in the task.
type serverConn struct {
	s       *server
	conn    *net.UnixConn
	ctx     context.Context // ends with the connection
	slots   chan struct{}
	calls   sync.WaitGroup
	writing sync.Mutex

	mu      sync.Mutex
	cancels map[uint64]func()
}

// checkPeer refuses other users. The directory's mode keeps them out already; this holds when the mode was changed.
func checkPeer(conn *net.UnixConn) error {
	rc, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := rc.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	if credErr != nil {
		return fmt.Errorf("peer: %w", credErr)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("peer has user %d; only user %d and root may talk to this host", cred.Uid, os.Geteuid())
	}
	return nil
}

// serve talks to one client until it or ctx ends.
func (s *server) serve(ctx context.Context, conn *net.UnixConn) error {
	defer conn.Close() //nolint:errcheck // the peer sees the end
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unhook := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // wakes the reader
	defer unhook()
	if err := checkPeer(conn); err != nil {
		return err
	}
	if err := s.greet(conn); err != nil {
		return err
	}
	c := &serverConn{s: s, conn: conn, ctx: ctx, slots: make(chan struct{}, RequestsInFlightMax), cancels: map[uint64]func(){}}
	defer c.calls.Wait()
	defer cancel() // before waiting for the calls
	defer c.dropAll()
	in := &handed{conn: conn}
	for {
		var r request
		err := readFrame(in, &r)
		if r.files = in.take(); err != nil {
			closeFiles(r.files)
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		c.handle(r)
	}
}

func (s *server) greet(conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	var theirs hello
	if err := readFrame(conn, &theirs); err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	ours := ourHello(os.Getpid())
	v, versionErr := chooseVersion(ours, theirs)
	if versionErr != nil {
		ours.Error = versionErr.Error()
	} else {
		ours.VersionMin, ours.VersionMax = v, v
	}
	frame, err := appendFrame(nil, ours)
	if err != nil {
		return err
	}
	if _, err := conn.Write(frame); err != nil {
		return fmt.Errorf("send hello: %w", err)
	}
	if versionErr != nil {
		return versionErr
	}
	return conn.SetDeadline(time.Time{})
}

func (c *serverConn) handle(r request) {
	if r.Op != opExec {
		closeFiles(r.files) // nobody asked for them
	}
	switch r.Op {
	case opCancel:
		c.take(r.ID)()
		return
	case opWait:
		c.wait(r)
		return
	}
	if err := c.s.begin(); err != nil {
		closeFiles(r.files)
		c.answer(r.ID, nil, err)
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.keep(r.ID, cancel)
	c.slots <- struct{}{} // full: read no further until a call ends
	c.calls.Add(1)
	go func() {
		defer func() { <-c.slots }()
		defer c.calls.Done()
		defer c.s.end()
		defer cancel()
		defer closeFiles(r.files)
		body, err := c.s.dispatch(ctx, r)
		c.take(r.ID)
		c.answer(r.ID, body, err)
	}()
}

// wait answers when the task has ended. It is not work that keeps the host from ending: the running task is.
func (c *serverConn) wait(r request) {
	b, err := decode[idBody](r)
	if err != nil {
		c.answer(r.ID, nil, err)
		return
	}
	t, err := c.s.find(b.ID)
	if err != nil {
		c.answer(r.ID, nil, err)
		return
	}
	cancel := t.onExit(func() { c.take(r.ID); c.answer(r.ID, t.status().Exit, nil) })
	c.keep(r.ID, cancel)
	if !t.running() { // it ended before keep: nobody would take the entry out
		c.take(r.ID)
	}
}

func (c *serverConn) keep(id uint64, cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancels[id] = cancel
}

// take removes and returns what cancels a request; calling it for one that has ended does nothing.
func (c *serverConn) take(id uint64) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	cancel := c.cancels[id]
	delete(c.cancels, id)
	if cancel == nil {
		return func() {}
	}
	return cancel
}

func (c *serverConn) dropAll() {
	c.mu.Lock()
	cancels := c.cancels
	c.cancels = map[uint64]func(){}
	c.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
}

// answer sends a response. A peer that does not read it in time loses the connection, not the host its goroutines.
func (c *serverConn) answer(id uint64, body any, err error) {
	r := response{ID: id}
	if err != nil {
		r.Error = asError(err)
	} else if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			r.Error = asError(err)
		}
		r.Body = raw
	}
	frame, err := appendFrame(nil, r)
	if err != nil {
		frame, err = appendFrame(nil, response{ID: id, Error: asError(err)})
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if err == nil {
		err = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	if err == nil {
		_, err = c.conn.Write(frame)
	}
	if err != nil {
		c.conn.Close() //nolint:errcheck // ends the reader, and with it all of the connection
	}
}

// closeFiles closes descriptors that a client sent; for those that are closed it does nothing.
func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close() //nolint:errcheck // nothing of ours was written to it
	}
}

func decode[T any](r request) (T, error) {
	var b T
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return b, refuse(CodeBadRequest, "%s: %v", r.Op, err)
	}
	return b, nil
}

// dispatch carries out one call.
func (s *server) dispatch(ctx context.Context, r request) (any, error) {
	switch r.Op {
	case opStart:
		return with(r, s.start)
	case opStatus:
		return with(r, func(b idBody) (TaskStatus, error) {
			t, err := s.find(b.ID)
			if err != nil {
				return TaskStatus{}, err
			}
			return t.status(), nil
		})
	case opStop:
		return with(r, func(b stopBody) (any, error) { return nil, s.stop(ctx, b) })
	case opSignal:
		return with(r, func(b signalBody) (any, error) { return nil, s.signal(b) })
	case opExec:
		return with(r, func(b ExecSpec) (ExecResult, error) { return s.exec(ctx, b, r.files) })
	case opStats:
		return with(r, func(b idBody) (Stats, error) { return s.stats(b.ID) })
	case opForget:
		return with(r, func(b idBody) (any, error) { return nil, s.forget(ctx, b.ID) })
	case opList:
		return s.list(), nil
	case opWritten:
		return s.written(), nil
	case opShutdown:
		s.shutdown("asked to")
		return nil, nil
	}
	return nil, refuse(CodeBadRequest, "%q is not a call that this host knows; it may be older than the agent", r.Op)
}

func with[B, A any](r request, f func(B) (A, error)) (any, error) {
	b, err := decode[B](r)
	if err != nil {
		return nil, err
	}
	return f(b)
}
