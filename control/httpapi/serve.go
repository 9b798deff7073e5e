package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Serve answers requests on l until ctx ends, and returns when the last of their
// goroutines has. Blocking queries and log streams end with ctx. With a TLS
// configuration the listener speaks TLS. It closes l.
func Serve(ctx context.Context, l net.Listener, secure *tls.Config, h http.Handler, logger *slog.Logger) error {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers.Add(1)
			defer handlers.Done()
			h.ServeHTTP(w, r)
		}),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: HeaderTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    HeaderBytesMax,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	l = &bounded{Listener: l, places: make(chan struct{}, ConnsMax), closed: make(chan struct{})}
	if secure != nil {
		l = tls.NewListener(l, withHTTP2(secure))
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		patience, cancel := context.WithTimeout(context.Background(), ShutdownTimeout)
		defer cancel()
		if server.Shutdown(patience) != nil {
			_ = server.Close() // whoever does not leave is put out
		}
	})
	err := server.Serve(l)
	if !stop() {
		<-stopped
	}
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	_ = server.Close()
	return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
}

// withHTTP2 offers HTTP/2 before 1.1, which net/http does only for listeners it
// wraps itself.
func withHTTP2(c *tls.Config) *tls.Config {
	if len(c.NextProtos) > 0 {
		return c
	}
	c = c.Clone()
	c.NextProtos = []string{"h2", "http/1.1"}
	return c
}

// bounded leaves connections beyond a number in the kernel's queue.
type bounded struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &place{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

type place struct {
	net.Conn
	leave func()
}

func (p *place) Close() error {
	defer p.leave()
	return p.Conn.Close()
}
