package tlsnet

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// stream is a link.Stream. Its fields are guarded by the link's lock, except for those that have one of their own.
type stream struct {
	link *tlsLink
	own  bool
	id   uint32 // 0 before its first frame

	ctx context.Context // ends when writing has ended
	end context.CancelCauseFunc

	readable, writable chan struct{} // one token each
	readBy, writeBy    deadline
	write              sync.Mutex // held by Write, so that Close can tell

	queued, blocked, released bool

	// Receiving.
	in       bytes.Buffer
	window   int   // bytes that the peer may send
	owed     int   // taken by the reader, not yet given back to the peer
	readErr  error // a reset, of either side
	recvOver bool  // the peer has ended its direction
	stopping bool  // a stop is to be sent
	stopCode link.Code

	// Sending.
	out       []byte // of the Write under way
	credit    int
	writeErr  error
	finishing bool
	resetting bool
	resetCode link.Code
	sendOver  bool // fin or reset is on its way
}

var _ link.Stream = (*stream)(nil)

func newStream(l *tlsLink, own bool) *stream {
	s := &stream{link: l, own: own, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1),
		window: int(l.ours.streamWindow), credit: int(l.theirs.streamWindow)}
	s.ctx, s.end = context.WithCancelCause(l.ctx)
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if n, err := s.take(p); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-s.readable:
		case <-s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case <-s.link.ctx.Done():
			return 0, context.Cause(s.link.ctx)
		}
	}
}

// take takes what has come.
func (s *stream) take(p []byte) (int, error) {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return 0, context.Cause(l.awaitCause())
	case s.readErr != nil:
		return 0, s.readErr
	case s.readBy.isPassed():
		return 0, os.ErrDeadlineExceeded
	case s.in.Len() == 0 && s.recvOver:
		return 0, io.EOF
	}
	n, _ := s.in.Read(p) // fails on an empty buffer only, which is no error here
	if n == 0 {
		return 0, nil
	}
	if s.in.Len() == 0 && s.in.Cap() > link.SmallStreamWindow {
		s.in = bytes.Buffer{} // a burst must not stay in memory
	}
	s.owed += n
	if s.owed >= int(l.ours.streamWindow)/2 && !s.recvOver {
		l.queue(s)
		l.poke()
	}
	l.giveBack(n)
	return n, nil
}

// giveBack lets the peer send as many bytes more on the link, as soon as that is worth a frame.
func (l *tlsLink) giveBack(n int) {
	l.owed += n
	if l.owed >= int(l.ours.linkWindow)/2 {
		l.poke()
	}
}

func (s *stream) receive(body []byte) error {
	l := s.link
	if s.recvOver {
		return brokenf("data on stream %d after its end", s.id)
	}
	l.window -= len(body)
	s.window -= len(body)
	if l.window < 0 || s.window < 0 {
		return brokenf("%d bytes beyond the window of stream %d or of the link", len(body), s.id)
	}
	if s.readErr != nil { // nobody wants it any more
		l.giveBack(len(body))
		return nil
	}
	s.in.Write(body)
	notify(s.readable)
	return nil
}

// receiveEnd is the end of the peer's direction: by reset, or, with nil, in good order.
func (s *stream) receiveEnd(reset *link.ResetError) error {
	if s.recvOver {
		return brokenf("stream %d ends twice", s.id)
	}
	s.recvOver = true
	if reset != nil && s.readErr == nil {
		s.readErr = reset
		s.discard()
	}
	notify(s.readable)
	s.link.release(s)
	return nil
}

func (s *stream) discard() {
	s.link.giveBack(s.in.Len())
	s.in = bytes.Buffer{}
}

func (s *stream) Write(p []byte) (int, error) {
	s.write.Lock()
	defer s.write.Unlock()
	l := s.link
	l.mu.Lock()
	if err := s.cannotWrite(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	s.out = p
	if len(p) > 0 {
		l.queue(s)
	}
	l.mu.Unlock()
	l.poke()
	for {
		if n, over, err := s.written(len(p)); over {
			return n, err
		}
		select {
		case <-s.writable:
		case <-s.writeBy.passed():
		case <-s.ctx.Done():
		}
	}
}

// written says how far a Write has come and whether it is over.
func (s *stream) written(of int) (n int, over bool, err error) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	n = of - len(s.out)
	if len(s.out) > 0 {
		if err = s.cannotWrite(); err == nil {
			return n, false, nil
		}
	}
	s.out = nil
	return n, true, err
}

func (s *stream) cannotWrite() error {
	switch {
	case s.link.ended:
		return context.Cause(s.link.awaitCause())
	case s.writeErr != nil:
		return s.writeErr
	case s.finishing:
		return io.ErrClosedPipe
	case s.writeBy.isPassed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// awaitCause is the link's context, which has its cause a moment after ended is set. The caller holds l.mu, which whoever
// sets the cause does not need.
func (l *tlsLink) awaitCause() context.Context {
	<-l.ctx.Done()
	return l.ctx
}

func (s *stream) CloseWrite() error {
	s.write.Lock()
	defer s.write.Unlock()
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return context.Cause(l.awaitCause())
	}
	return s.finishWriting()
}

func (s *stream) finishWriting() error {
	if s.resetting {
		if reset, ok := s.writeErr.(*link.ResetError); ok && !reset.Remote {
			return nil // given up on this side already
		}
		return s.writeErr
	}
	if !s.finishing {
		s.finishing = true
		s.end(context.Canceled)
		s.link.queue(s)
		s.link.poke()
	}
	return nil
}

// Close is graceful unless a Write is under way, which it then cuts short: callers of net.Conn expect that.
func (s *stream) Close() error {
	if !s.write.TryLock() {
		s.Reset(link.CodeCanceled)
		return nil
	}
	defer s.write.Unlock()
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil
	}
	_ = s.finishWriting() // fails only if writing has ended already
	s.stopReading(link.CodeDone)
	return nil
}

func (s *stream) Reset(code link.Code) {
	l := s.link
	l.mu.Lock()
	defer l.mu.Unlock()
	s.stopReading(code)
	s.stopWriting(code, false)
}

// stopReading tells the peer that nothing more is taken. The caller holds the link's lock.
func (s *stream) stopReading(code link.Code) {
	if s.readErr != nil {
		return
	}
	s.readErr = &link.ResetError{Code: code}
	s.discard()
	notify(s.readable)
	if !s.recvOver {
		s.stopping, s.stopCode = true, code
		s.touch()
	}
}

// stopWriting gives up what was not written yet. The caller holds the link's lock.
func (s *stream) stopWriting(code link.Code, remote bool) {
	if s.sendOver || s.resetting {
		return
	}
	s.resetting, s.resetCode = true, code
	s.finishing = false
	s.writeErr = &link.ResetError{Code: code, Remote: remote}
	notify(s.writable)
	s.end(s.writeErr)
	s.touch()
}

// touch has the writer say what changed.
func (s *stream) touch() {
	s.link.queue(s)
	s.link.poke()
}

func (s *stream) SetDeadline(t time.Time) error {
	s.readBy.set(t, s.readable)
	s.writeBy.set(t, s.writable)
	return nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.readBy.set(t, s.readable)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.writeBy.set(t, s.writable)
	return nil
}

func (s *stream) Context() context.Context { return s.ctx }
