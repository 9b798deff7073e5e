package tlsnet

import (
	"sync"
)

// buffers hold what the writers of links put together. A link that is idle holds none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 2*(frameHead+FrameBytesMax)); return &b }}

// writeLoop is the only one that writes on the connection once the link lives.
func (l *tlsLink) writeLoop() {
	defer close(l.wrote)
	for {
		more, last := l.flush()
		if last {
			return
		}
		if !more {
			<-l.wake
		}
	}
}

// flush sends what there is. It reports whether there was anything, and whether it was the last.
func (l *tlsLink) flush() (more, last bool) {
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	l.mu.Lock()
	b, last := l.gather((*pooled)[:0])
	l.mu.Unlock()
	*pooled = b
	if len(b) == 0 {
		return false, last
	}
	if _, err := l.conn.Write(b); err != nil {
		l.finish(words(err), nil)
		_ = l.under.Close() // also when it had ended before and the last words did not get through
		return false, true
	}
	if last { // the peer reads to the end, then closes; see readLoop
		_ = l.conn.CloseWrite()
	}
	return true, last
}

// gather puts the next frames together: about one TLS record, so that what comes next can overtake the rest.
func (l *tlsLink) gather(b []byte) (out []byte, last bool) {
	if l.ended {
		if l.farewell != nil {
			b = appendClose(b, l.farewell)
		}
		return b, true
	}
	if !l.greeted {
		l.greeted = true
		b = l.ours.append(b)
	}
	if l.pong {
		l.pong = false
		b = appendHead(b, framePong, 0, 0)
	}
	if l.ping {
		l.ping = false
		b = appendHead(b, framePing, 0, 0)
	}
	if l.owed >= int(l.ours.linkWindow)/2 {
		b = appendWord(b, frameWindow, 0, uint32(l.owed))
		l.window += l.owed
		l.owed = 0
	}
	for len(b) < FrameBytesMax {
		select {
		case p := <-l.outgoing:
			b = append(appendHead(b, frameDatagram, 0, len(p)), p...)
			continue
		default:
		}
		break
	}
	for n := len(l.ready); n > 0 && len(b) < FrameBytesMax; n-- {
		s := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		s.queued = false
		b = l.gatherStream(b, s)
	}
	return b, false
}

// gatherStream appends what one stream has to say, with at most one frame of data, and queues it again if there is more.
func (l *tlsLink) gatherStream(b []byte, s *stream) []byte {
	switch {
	case s.sendOver:
	case s.resetting && s.id == 0: // the peer never heard of it
		s.sendOver, s.recvOver = true, true
	case s.resetting:
		b = appendWord(b, frameReset, s.id, uint32(s.resetCode))
		s.sendOver = true
	case len(s.out) > 0:
		b = l.gatherData(b, s)
	case s.finishing:
		b = appendHead(b, frameFin, l.number(s), 0)
		s.sendOver = true
	}
	if s.id == 0 || s.recvOver {
		l.release(s)
		return b
	}
	if s.stopping {
		s.stopping = false
		b = appendWord(b, frameStop, s.id, uint32(s.stopCode))
	}
	if s.owed >= int(l.ours.streamWindow)/2 && s.readErr == nil {
		b = appendWord(b, frameWindow, s.id, uint32(s.owed))
		s.window += s.owed
		s.owed = 0
	}
	return b
}

func (l *tlsLink) gatherData(b []byte, s *stream) []byte {
	n := min(len(s.out), FrameBytesMax, s.credit, l.credit)
	if n > 0 {
		b = append(appendHead(b, frameData, l.number(s), n), s.out[:n]...)
		s.out = s.out[n:]
		s.credit -= n
		l.credit -= n
	}
	switch {
	case len(s.out) == 0:
		notify(s.writable)
	case s.credit == 0: // its window brings it back
	case l.credit > 0:
		l.queue(s)
	case !s.blocked:
		s.blocked = true
		l.blocked = append(l.blocked, s)
	}
	return b
}

// number is the stream's number, drawn when its first frame is made.
func (l *tlsLink) number(s *stream) uint32 {
	if s.id == 0 {
		s.id = l.nextOwn
		l.nextOwn = after(l.nextOwn)
		l.streams[s.id] = s
	}
	return s.id
}

// queue lets the writer look at a stream. The caller holds l.mu and pokes the writer afterwards.
func (l *tlsLink) queue(s *stream) {
	if !s.queued {
		s.queued = true
		l.ready = append(l.ready, s)
	}
}

// release forgets a stream that both sides have ended.
func (l *tlsLink) release(s *stream) {
	if !s.sendOver || !s.recvOver || s.released {
		return
	}
	s.released = true
	delete(l.streams, s.id)
	if s.own {
		<-l.slots
	} else {
		l.peerOpen--
	}
}

// notify leaves one token in a channel.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
