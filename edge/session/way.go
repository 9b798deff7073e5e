package session

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// usable leaves out what this device has no dialer for.
func (s *Session) usable(servers []link.Server) []link.Server {
	if s.opts.TLS != nil {
		return servers
	}
	var out []link.Server
	for _, server := range servers {
		if server.TLS = ""; server.QUIC != "" {
			out = append(out, server)
		}
	}
	return out
}

// moved is the end of a link that a better one replaces.
type moved struct {
	link link.Link
	at   reach.Attempt
}

func (m *moved) Error() string { return "UDP gets through again; the link moves to it" }

// probe looks, on a link over TLS, whether UDP gets through again. Its error is either the better link, or the end of ctx.
func (s *Session) probe(ctx context.Context) (*moved, error) {
	for {
		s.mu.Lock()
		at, after, ok := s.route.Probe(rand.Float64())
		s.mu.Unlock()
		if !ok {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		l, err := s.dial(ctx, at)
		if ctx.Err() != nil {
			if err == nil {
				s.close(ctx, l, ctx.Err())
			}
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		s.route.Probed(err == nil, time.Now())
		s.mu.Unlock()
		if err == nil {
			better := &moved{l, at}
			return better, better
		}
		s.opts.Log.Debug("UDP does not get through yet", "server", at.Address, "cause", err)
	}
}

// serveServers takes what the server says about where the region is.
func (s *Session) serveServers(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // nothing is said on it
	for {
		var m wire.Servers
		err := wire.Read(st, &m)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), isReset(err), ctx.Err() != nil:
			return nil
		default:
			return protocolErrorf("what the server says about servers cannot be read: %v", err)
		}
		s.learn(&m)
	}
}

// learn keeps what is new. A mistake in a server's configuration must not cost the device its link, so it costs a line.
func (s *Session) learn(m *wire.Servers) {
	servers, err := link.ParseServers(m.Addresses)
	if err != nil {
		s.opts.Log.Warn("the server names an address that makes no sense; its list is not used", "error", err)
		return
	}
	s.mu.Lock()
	s.route.Learn(s.usable(servers))
	known := slices.Equal(s.opts.Learnt, m.Addresses)
	s.opts.Learnt = m.Addresses
	s.mu.Unlock()
	if known || s.opts.Learn == nil { // no write for what is on disk already
		return
	}
	if err := s.opts.Learn(m.Addresses); err != nil {
		s.opts.Log.Warn("the list of servers is not kept over a restart", "error", err)
	}
}
