package linktest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// echo answers one stream of l with what it says.
func echo(ctx context.Context, l link.Link) error {
	s, err := l.AcceptStream(ctx)
	if err != nil {
		return err
	}
	if _, err := io.Copy(s, s); err != nil {
		return err
	}
	return s.Close()
}

// ask says something on a new stream and returns the answer.
func ask(ctx context.Context, l link.Link, say []byte) ([]byte, error) {
	s, err := l.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	// Write beside Read: the answer may come before all is said.
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Write(say)
		wrote <- errors.Join(err, s.CloseWrite())
	}()
	got, err := io.ReadAll(s)
	return got, errors.Join(err, <-wrote)
}

func wantEcho(t *testing.T, from, to link.Link, say []byte) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- echo(t.Context(), to) }()
	got, err := ask(t.Context(), from, say)
	check(t, err)
	check(t, <-done)
	if !bytes.Equal(got, say) {
		t.Errorf("sent %d bytes, %d came back, or others", len(say), len(got))
	}
}

func streamsBothWays(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	wantEcho(t, p.dialed, p.accepted, []byte("from the node"))
	wantEcho(t, p.accepted, p.dialed, []byte("from the server"))
	wantEcho(t, p.dialed, p.accepted, bytes.Repeat([]byte("more than one window "), 100_000))
}

func halfClose(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	out, err := p.dialed.OpenStream(p.ctx)
	check(t, err)
	if _, err := out.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	check(t, out.CloseWrite())
	in, err := p.accepted.AcceptStream(p.ctx)
	check(t, err)
	if got, err := io.ReadAll(in); err != nil || string(got) != "question" {
		t.Fatalf("read %q, %v", got, err)
	}
	// The other direction is still open.
	if _, err := in.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	check(t, in.Close())
	if got, err := io.ReadAll(out); err != nil || string(got) != "answer" {
		t.Fatalf("read %q, %v", got, err)
	}
	check(t, out.Close())
}

func resetCode(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	out, err := p.dialed.OpenStream(p.ctx)
	check(t, err)
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	in, err := p.accepted.AcceptStream(p.ctx)
	check(t, err)
	if _, err := io.ReadFull(in, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	out.Reset(link.CodeProtocol)
	_, err = io.ReadAll(in)
	r, ok := errors.AsType[*link.ResetError](err)
	if !ok || r.Code != link.CodeProtocol || !r.Remote {
		t.Errorf("the peer read %v; want a reset by the peer with %s", err, link.CodeProtocol)
	}
	<-in.Context().Done() // writing has ended too
	check(t, in.Close())
	wantEcho(t, p.dialed, p.accepted, []byte("the link lives on"))
}

func manyStreams(t *testing.T, open Open) {
	const streams = 300 // more than a peer may have open at once
	p := newPair(t, open, 0)
	var work sync.WaitGroup
	for range streams {
		work.Go(func() {
			if err := echo(p.ctx, p.accepted); err != nil {
				t.Error(err)
			}
		})
		work.Go(func() {
			if got, err := ask(p.ctx, p.dialed, []byte("hello")); err != nil || string(got) != "hello" {
				t.Errorf("echo: %q, %v", got, err)
			}
		})
	}
	work.Wait()
}

func datagrams(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	for _, way := range []struct{ from, to link.Link }{{p.dialed, p.accepted}, {p.accepted, p.dialed}} {
		check(t, way.from.SendDatagram([]byte("beat")))
		got, err := way.to.ReceiveDatagram(p.ctx)
		if err != nil || string(got) != "beat" {
			t.Errorf("received %q, %v", got, err)
		}
	}
	// With a context that has ended, what is there is taken and nothing is waited for.
	ended, end := context.WithCancel(p.ctx)
	end()
	if got, err := p.accepted.ReceiveDatagram(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing is there, and taken at once: %q, %v", got, err)
	}
	check(t, p.dialed.SendDatagram([]byte("late")))
	var got []byte
	var err error
	for got == nil && p.ctx.Err() == nil {
		time.Sleep(time.Millisecond) // it travels; both kinds of adapters are here, in bubbles and out of them
		got, err = p.accepted.ReceiveDatagram(ended)
	}
	if err != nil || string(got) != "late" {
		t.Errorf("taken at once: %q, %v", got, err)
	}
	err = p.dialed.SendDatagram(make([]byte, 10_000))
	size, ok := errors.AsType[*link.DatagramSizeError](err)
	if !ok || size.Size != 10_000 || size.Max < 1000 {
		t.Errorf("a long datagram: %v", err)
	}
}

func netConn(t *testing.T, open Open) {
	p := newPair(t, open, 0)
	out, err := p.dialed.OpenStream(p.ctx)
	check(t, err)
	var c net.Conn = link.Conn(p.dialed, out)
	if c.LocalAddr() == nil || c.RemoteAddr().String() != p.server.Addr().String() {
		t.Errorf("addresses %v and %v; want the server's %v", c.LocalAddr(), c.RemoteAddr(), p.server.Addr())
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	check(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = c.Read(make([]byte, 1))
	if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v (%T)", err, err)
	}
	in, err := p.accepted.AcceptStream(p.ctx)
	check(t, err)
	// Closing while a write waits for the peer must end the write.
	blocked := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, 32<<20))
		blocked <- err
	}()
	if _, err := io.ReadFull(in, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	check(t, c.Close())
	if err := <-blocked; err == nil {
		t.Error("a write that nobody read succeeded")
	}
	in.Reset(link.CodeDone)
}

func lossy(t *testing.T, open Open) {
	p := newPair(t, open, 0.3)
	wantEcho(t, p.dialed, p.accepted, bytes.Repeat([]byte("0123456789"), 20_000))
	wantEcho(t, p.accepted, p.dialed, bytes.Repeat([]byte("9876543210"), 20_000))
}
