package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// ErrNoLink says that the device has no link to its region at the moment.
var ErrNoLink = errors.New("there is no link to the region")

// open opens a stream of a kind and writes its header together with the first message, so that they share a packet.
func (s *Session) open(ctx context.Context, l link.Link, kind wire.Kind, first wire.Message) (link.Stream, error) {
	raw, err := l.OpenStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	st := s.opts.Meter.stream(raw, kind)
	err = st.SetWriteDeadline(time.Now().Add(StatusAckTimeout))
	if err == nil {
		err = writeBoth(st, &wire.Header{Kind: kind, Node: s.opts.Node}, first)
	}
	if err == nil {
		err = st.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		st.Reset(link.CodeCanceled)
		return nil, err
	}
	return st, nil
}

func writeBoth(w io.Writer, a, b wire.Message) error {
	head, err := wire.Encode(a)
	if err != nil {
		return err
	}
	body, err := wire.Encode(b)
	if err != nil {
		return err
	}
	_, err = w.Write(append(head, body...))
	return err
}

// register is the first exchange of a link.
func (s *Session) register(ctx context.Context, l link.Link, at reach.Attempt) (*wire.Welcome, error) {
	m, err := s.opts.Device.Register(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	filtered := s.filtered(at)
	s.mu.Unlock()
	if m.Spec, err = s.opts.Spec(at.Transport, filtered); err != nil {
		return nil, fmt.Errorf("describe this device: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	m.Place = s.opts.Place
	st, err := s.open(ctx, l, wire.KindRegister, &m)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { st.Reset(link.CodeCanceled) })()
	if err := st.CloseWrite(); err != nil {
		return nil, err
	}
	var w wire.Welcome
	if err := wire.Read(st, &w); err != nil {
		return nil, fmt.Errorf("read the welcome: %w", err)
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	if w.Refusal != "" {
		return nil, &link.CloseError{Code: link.CodeRefused, Reason: w.Refusal, Remote: true}
	}
	w.ServerTime = trust.SignedTime(time.Unix(0, w.ServerTime), l.PeerCertificates()[0]).UnixNano()
	return &w, nil
}

// beat shows the server that the device lives.
func (s *Session) beat(ctx context.Context, l link.Link, every time.Duration) error {
	for seq := uint64(1); ; seq++ {
		b := wire.EncodeDatagram(&wire.Beat{Node: s.opts.Node, Seq: seq})
		if err := l.SendDatagram(b); err == nil {
			s.opts.Meter.sent(traffic.Beat, len(b))
		} else if l.Context().Err() == nil {
			s.opts.Log.Debug("a beat was not sent; the next one may be", "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(every - every/10 + rand.N(every/5)): // a tenth early to a tenth late
		}
	}
}

// tell sends status batches, one at a time, over one stream for as long as there is news.
func (s *Session) tell(ctx context.Context, l link.Link, statuses <-chan *wire.StatusBatch) error {
	var st link.Stream // nil: none is open
	defer func() {
		if st != nil {
			st.Reset(link.CodeCanceled)
		}
	}()
	for {
		if err := s.opts.Meter.status(ctx); err != nil {
			return err
		}
		var quiet <-chan time.Time
		if st != nil {
			quiet = time.After(StatusIdle)
		}
		var batch *wire.StatusBatch
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case batch = <-statuses:
		case <-quiet:
			if err := endStatuses(st); err != nil {
				return err
			}
			st = nil
			continue
		}
		var err error
		if st == nil {
			st, err = s.open(ctx, l, wire.KindStatus, batch)
		} else {
			err = writeSoon(st, batch)
		}
		if err != nil {
			return fmt.Errorf("send statuses: %w", err)
		}
		if err := awaitStatuses(st, batch.Seq); err != nil {
			return err
		}
		s.opts.Device.StatusAcked(ctx, batch.Seq)
	}
}

func awaitStatuses(st link.Stream, seq uint64) error {
	var ack wire.StatusAck
	err := st.SetReadDeadline(time.Now().Add(StatusAckTimeout))
	if err == nil {
		err = wire.Read(st, &ack)
	}
	if err != nil {
		return fmt.Errorf("await the server's word on statuses: %w", err)
	}
	if ack.Seq != seq {
		return protocolErrorf("the server acknowledged status batch %d, and %d was sent", ack.Seq, seq)
	}
	return nil
}

// endStatuses closes the stream of statuses and waits until the server has: it takes one at a time on a link.
func endStatuses(st link.Stream) error {
	err := st.CloseWrite()
	if err == nil {
		err = st.SetReadDeadline(time.Now().Add(StatusAckTimeout))
	}
	if err != nil {
		return fmt.Errorf("end the stream of statuses: %w", err)
	}
	switch n, err := st.Read(make([]byte, 1)); {
	case n > 0:
		return protocolErrorf("the server goes on after the last status was acknowledged")
	case errors.Is(err, io.EOF), isReset(err):
		return st.Close()
	default: // a server that leaves it open; the rest of the link is worth keeping
		st.Reset(link.CodeCanceled)
		return nil
	}
}

// accept serves the streams that the server opens. Their goroutines are added to wg.
func (s *Session) accept(ctx context.Context, l link.Link, wg *sync.WaitGroup) error {
	desired := make(chan struct{}, DesiredStreamsMax)
	logs := make(chan struct{}, LogStreamsMax)
	files := make(chan struct{}, FileStreamsMax)
	execs := make(chan struct{}, ExecStreamsMax)
	accounts := make(chan struct{}, TrafficStreamsMax)
	servers := make(chan struct{}, 1)
	written := make(chan struct{}, WrittenStreamsMax)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for {
		raw, err := l.AcceptStream(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return fmt.Errorf("accept a stream: %w", err)
		}
		st := link.Count(raw)
		var h wire.Header
		if err := readSoon(st, &h); err != nil {
			st.Reset(link.CodeProtocol)
			return protocolErrorf("the header of a stream that the server opened: %v", err)
		}
		s.opts.Meter.assign(st, h.Kind)
		slots, serve := desired, s.serveDesired
		switch h.Kind {
		case wire.KindDesired:
		case wire.KindLogs:
			slots, serve = logs, s.serveLogs
		case wire.KindFiles:
			slots, serve = files, s.serveFiles
		case wire.KindExec:
			slots, serve = execs, s.serveExec
		case wire.KindTraffic:
			slots, serve = accounts, s.serveTraffic
		case wire.KindProbe:
			serve = s.serveProbe
		case wire.KindServers:
			slots, serve = servers, s.serveServers
		case wire.KindWritten:
			slots, serve = written, s.serveWritten
		default:
			st.Reset(link.CodeProtocol)
			return protocolErrorf("the server opened a stream of kind %d, which is for devices to open", h.Kind)
		}
		select {
		case slots <- struct{}{}:
		default:
			st.Reset(link.CodeBusy)
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := serve(ctx, st); err != nil {
				cancel(err)
			}
		})
	}
}

// serveTraffic tells what this device counted.
func (s *Session) serveTraffic(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // whoever asked has the answer or is gone
	if err := readSoon(st, &wire.TrafficRequest{}); err != nil {
		if isReset(err) || ctx.Err() != nil {
			return nil
		}
		return protocolErrorf("a question about traffic cannot be read: %v", err)
	}
	if err := wire.Write(st, s.opts.Meter.answer()); err != nil {
		s.opts.Log.Debug("nobody waits for the account of traffic any more", "error", err)
	}
	return nil
}

// writeSoon writes a message that the server must take within StatusAckTimeout: beats alone keep a link whose server reads nothing.
func writeSoon(st link.Stream, m wire.Message) error {
	if err := st.SetWriteDeadline(time.Now().Add(StatusAckTimeout)); err != nil {
		return err
	}
	return wire.Write(st, m)
}

// readSoon reads a message that must come within AnswerTimeout.
func readSoon(st link.Stream, m wire.Message) error {
	if err := st.SetReadDeadline(time.Now().Add(AnswerTimeout)); err != nil {
		return err
	}
	if err := wire.Read(st, m); err != nil {
		return err
	}
	return st.SetReadDeadline(time.Time{})
}

// serveDesired takes what the region wants, as long as the server sends it. An error ends the link: a server whose word is not
// obeyed, or makes no sense, is not one to stay with.
func (s *Session) serveDesired(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // whatever is wrong with the stream, its last use said so
	for {
		var m wire.Desired
		err := wire.Read(st, &m)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), isReset(err), ctx.Err() != nil:
			return nil // the server is done with the stream, or the link has ended and says so itself
		default:
			return protocolErrorf("what the server wants cannot be read: %v", err)
		}
		gen, err := s.opts.Device.Desired(ctx, &m)
		if err != nil {
			return protocolErrorf("refused what the server wants: %v", err)
		}
		if err := wire.Write(st, &wire.DesiredAck{Gen: gen}); err != nil {
			return nil // as above
		}
	}
}

func isReset(err error) bool {
	if _, closed := link.Closed(err); closed {
		return true
	}
	_, reset := errors.AsType[*link.ResetError](err)
	return reset
}
