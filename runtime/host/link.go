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
)

// errLinkLost says that the connection broke; whether the call was carried out is not known.
var errLinkLost = errors.New("the connection to the host broke")

// link is one connection to one host. Its reader goroutine ends when the connection does; close waits for it.
type link struct {
	conn    net.Conn
	hostPID int
	done    chan struct{} // closed when the reader has ended

	writing sync.Mutex // one frame at a time

	mu      sync.Mutex
	nextID  uint64
	pending map[uint64]chan response // each with room for its one answer
	broken  bool
}

// newLink exchanges hellos on conn and starts the reader.
func newLink(conn net.Conn, pid int) (*link, error) {
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	ours := ourHello(pid)
	frame, err := appendFrame(nil, ours)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(frame); err != nil {
		return nil, fmt.Errorf("send hello: %w", err)
	}
	var theirs hello
	if err := readFrame(conn, &theirs); err != nil {
		return nil, fmt.Errorf("read hello: %w", err)
	}
	if theirs.Error != "" {
		return nil, &Error{Code: CodeBadRequest, Text: theirs.Error}
	}
	if _, err := chooseVersion(ours, theirs); err != nil {
		return nil, &Error{Code: CodeBadRequest, Text: err.Error()}
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("clear deadline: %w", err)
	}
	l := &link{conn: conn, hostPID: theirs.PID, done: make(chan struct{}), pending: map[uint64]chan response{}}
	go l.read()
	return l, nil
}

func (l *link) read() {
	defer close(l.done)
	for {
		var r response
		if err := readFrame(l.conn, &r); err != nil {
			l.fail()
			return
		}
		l.mu.Lock()
		ch := l.pending[r.ID]
		delete(l.pending, r.ID)
		l.mu.Unlock()
		if ch != nil {
			ch <- r
		}
	}
}

// fail ends the connection and every call that waits on it.
func (l *link) fail() {
	l.conn.Close() //nolint:errcheck // nothing is left to do with a broken connection
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	for id, ch := range l.pending {
		delete(l.pending, id)
		close(ch)
	}
}

func (l *link) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.broken
}

func (l *link) close() {
	l.fail()
	<-l.done
}

// call sends one request and waits for its answer. When ctx ends first the host is told to drop the request.
func (l *link) call(ctx context.Context, o op, body json.RawMessage, files ...*os.File) (json.RawMessage, error) {
	ch := make(chan response, 1)
	l.mu.Lock()
	if l.broken {
		l.mu.Unlock()
		return nil, errLinkLost
	}
	l.nextID++
	id := l.nextID
	l.pending[id] = ch
	l.mu.Unlock()

	if err := l.send(request{ID: id, Op: o, Body: body, files: files}); err != nil {
		l.drop(id)
		return nil, err
	}
	select {
	case r, ok := <-ch:
		switch {
		case !ok:
			return nil, errLinkLost
		case r.Error != nil:
			return nil, r.Error
		}
		return r.Body, nil
	case <-ctx.Done():
		l.drop(id)
		// A failure to cancel means a broken link, where nothing is left to cancel.
		_ = l.send(request{ID: id, Op: opCancel})
		return nil, ctx.Err()
	}
}

func (l *link) drop(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, id)
}

// send writes one frame. A frame that cannot be encoded is the caller's error; a failed write breaks the link, because half a
// frame may be out.
func (l *link) send(r request) error {
	frame, err := appendFrame(nil, r)
	if err != nil {
		return &Error{Code: CodeBadRequest, Text: err.Error()}
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		l.fail()
		return errLinkLost
	}
	if len(r.files) > 0 {
		err = sendFiles(l.conn, frame, r.files)
	} else {
		_, err = l.conn.Write(frame)
	}
	if err != nil {
		l.fail()
		return errLinkLost
	}
	return nil
}
