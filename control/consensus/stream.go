package consensus

import (
	"context"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// StreamLayer is how servers reach each other: byte streams to an address, and
// those that peers opened. [Links] is the one over QUIC.
type StreamLayer interface {
	net.Listener
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// transport is the library's own protocol over the layer; a server alone talks
// to nobody.
func (c *Config) transport(rc *raft.Config) raft.Transport {
	if c.Layer == nil {
		_, t := raft.NewInmemTransport(raft.ServerAddress(c.Server.Addr))
		return t
	}
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: timedLayer{c.Layer}, MaxPool: StreamsPooledMax, Timeout: StreamTimeout, Logger: rc.Logger,
	})
}

// timedLayer gives the library a layer in its own words.
type timedLayer struct{ StreamLayer }

// Dial implements raft.StreamLayer.
func (l timedLayer) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return l.StreamLayer.Dial(ctx, string(addr))
}
