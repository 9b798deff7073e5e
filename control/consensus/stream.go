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
		Stream: peerLayer{c.Layer, memberAddr(c.Server.Addr)}, MaxPool: StreamsPooledMax, Timeout: StreamTimeout, Logger: rc.Logger,
	})
}

// peerLayer gives the library a layer in its own words. Its address is the one
// under which this server is a member: what is listened on may be a wildcard, and
// peers are told the address as the leader's.
type peerLayer struct {
	StreamLayer
	addr memberAddr
}

// Addr implements net.Listener.
func (l peerLayer) Addr() net.Addr { return l.addr }

// Dial implements raft.StreamLayer.
func (l peerLayer) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return l.StreamLayer.Dial(ctx, string(addr))
}

type memberAddr string

func (memberAddr) Network() string  { return "dunlin-raft" }
func (a memberAddr) String() string { return string(a) }
