package tlsnet

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// brokenProtocol is what a peer did that it may not.
type brokenProtocol struct{ text string }

func (e *brokenProtocol) Error() string { return e.text }

func brokenf(format string, args ...any) error { return &brokenProtocol{fmt.Sprintf(format, args...)} }

// readLoop is the only one that reads from the connection once the link lives.
func (l *tlsLink) readLoop() {
	err := l.readFrames()
	if broke, ok := err.(*brokenProtocol); ok {
		l.beginClose(link.CodeProtocol, broke.text)
	} else if closed, ok := err.(*link.CloseError); ok {
		l.finish(closed, nil)
	} else if err != nil {
		l.finish(words(err), nil)
	}
	<-l.wrote
	if l.farewell != nil {
		// A connection that is closed with unread bytes in it is reset, and the reset may overtake our last words. So the
		// rest is read until the peer closes too; the deadline of finish bounds it.
		_, _ = io.Copy(io.Discard, l.under.Conn)
	}
	_ = l.under.Close()
}

// readFrames reads until the link has ended; its error says why.
func (l *tlsLink) readFrames() error {
	var b [frameHead]byte
	for l.ctx.Err() == nil {
		// An idle link holds no buffer but these eight bytes and what TLS keeps.
		if _, err := io.ReadFull(l.conn, b[:]); err != nil {
			return err
		}
		h, err := parseHead(b)
		if err != nil {
			return brokenf("%v", err)
		}
		if err := l.readBody(h); err != nil {
			return err
		}
		l.hear()
	}
	return nil
}

func (l *tlsLink) readBody(h head) error {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	body := (*pooled)[:h.length]
	if _, err := io.ReadFull(l.conn, body); err != nil {
		return err
	}
	switch h.kind {
	case frameDatagram:
		select {
		case l.datagrams <- append([]byte(nil), body...):
		default: // as lost on the way: nobody takes them
		}
		return nil
	case frameClose:
		return parseClose(body)
	case framePong:
		l.answered()
		return nil
	case frameSettings:
		return brokenf("settings came twice")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.poke()
	if l.ended {
		return nil
	}
	switch {
	case h.kind == framePing:
		l.pong = true
		return nil
	case h.stream == 0: // a window, as parseHead lets nothing else through
		return l.widen(binary.BigEndian.Uint32(body))
	}
	return l.streamFrame(h, body)
}

// widen is the peer's word that the link may carry more.
func (l *tlsLink) widen(by uint32) error {
	if by > windowMax || l.credit+int(by) > windowMax {
		return brokenf("a window beyond %d bytes", windowMax)
	}
	l.credit += int(by)
	for _, s := range l.blocked {
		s.blocked = false
		l.queue(s)
	}
	l.blocked = l.blocked[:0]
	return nil
}

// find is the stream of a frame, which may open it; nil if there is nothing to do.
func (l *tlsLink) find(h head) (*stream, error) {
	if s := l.streams[h.stream]; s != nil {
		return s, nil
	}
	if h.kind != frameData && h.kind != frameFin {
		return nil, nil // it crossed our own end of the stream
	}
	if h.stream != l.nextPeer {
		return nil, brokenf("data on stream %d, which is not open; the next to open is %d", h.stream, l.nextPeer)
	}
	if l.peerOpen >= int(l.ours.streams) {
		return nil, brokenf("more than %d streams", l.ours.streams)
	}
	l.nextPeer = after(l.nextPeer)
	l.peerOpen++
	s := newStream(l, false)
	s.id = h.stream
	l.streams[s.id] = s
	select {
	case l.accepts <- s:
	default: // the peer opened and gave up so many that nobody has taken
		s.stopReading(link.CodeBusy)
		s.stopWriting(link.CodeBusy, false)
	}
	return s, nil
}

func (l *tlsLink) streamFrame(h head, body []byte) error {
	s, err := l.find(h)
	if s == nil || err != nil {
		return err
	}
	switch h.kind {
	case frameData:
		return s.receive(body)
	case frameFin:
		return s.receiveEnd(nil)
	case frameReset:
		return s.receiveEnd(&link.ResetError{Code: link.Code(binary.BigEndian.Uint32(body)), Remote: true})
	case frameStop:
		s.stopWriting(link.Code(binary.BigEndian.Uint32(body)), true)
	case frameWindow:
		by := binary.BigEndian.Uint32(body)
		if by > windowMax || s.credit+int(by) > windowMax {
			return brokenf("a window of stream %d beyond %d bytes", s.id, windowMax)
		}
		s.credit += int(by)
		l.queue(s)
	}
	return nil
}
