package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
)

// pipes is a listener whose connections hold nothing that nobody reads.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4646} }

// get sends a request on a connection of its own and gives what can be read of the answer.
func (p *pipes) get(t *testing.T, path string) *bufio.Reader {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() }) // the server has closed it, or not
	p.conns <- server
	if _, err := fmt.Fprintf(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReaderSize(client, 16) // or it would read ahead
}

// endless is the output of a task that never stops talking.
type endless struct {
	read   atomic.Int64
	closed atomic.Bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	for i := range p {
		p[i] = 'x'
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

func (e *endless) Close() error {
	e.closed.Store(true)
	return nil
}

// TestALogReaderThatStopsIsLetGo: a client asks for a log without end and stops reading it. After LogWriteTimeout the device is read no
// more, the place is free and the log says why; until then no more than a few chunks were taken from the device, and others are served.
func TestALogReaderThatStopsIsLetGo(t *testing.T) {
	for _, form := range []string{"plain=true&", ""} {
		t.Run("?"+form, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out, said := &endless{}, &bytes.Buffer{}
				g := logged(t, func(context.Context, wire.LogRequest) (io.ReadCloser, error) { return out, nil })
				a := g.api(Access{Open: true})
				a.Logger = slog.New(slog.NewTextHandler(said, nil))
				l := &pipes{make(chan net.Conn), make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- Serve(ctx, l, nil, a, slog.New(slog.DiscardHandler)) }()

				r := l.get(t, "/v1/client/fs/logs/32?"+form+"follow=true")
				if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
					t.Fatalf("%q, %v", line, err)
				}
				if _, err := io.CopyN(io.Discard, r, 100_000); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				time.Sleep(LogWriteTimeout / 2)
				synctest.Wait()
				if out.closed.Load() || len(a.streams) != 1 {
					t.Errorf("given up after %s; %d streams", time.Since(begun), len(a.streams))
				}
				if held := out.read.Load() - 100_000; held > 8*LogChunkBytesMax {
					t.Errorf("%d bytes were read ahead of a client that does not read", held)
				}
				other := l.get(t, "/v1/status/leader")
				if line, err := other.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
					t.Errorf("another client: %q, %v", line, err)
				}
				if res, err := io.CopyN(io.Discard, other, 10); err != nil {
					t.Errorf("another client: %d, %v", res, err)
				}
				time.Sleep(LogWriteTimeout)
				synctest.Wait()
				if !out.closed.Load() || len(a.streams) != 0 {
					t.Errorf("not given up after %s; %d streams", time.Since(begun), len(a.streams))
				}
				if !strings.Contains(said.String(), "read nothing of a file") {
					t.Errorf("the server's log: %s", said)
				}
				cancel()
				if err := <-served; err != nil && err != http.ErrServerClosed {
					t.Error(err)
				}
			})
		})
	}
}
