package link

import "net"

// Conn makes a net.Conn of a stream, for libraries that know nothing else (the raft transport, net/http, net/rpc).
// Closing it closes the stream; the link stays.
func Conn(l Link, s Stream) net.Conn {
	return &conn{Stream: s, local: l.LocalAddr(), remote: l.RemoteAddr()}
}

type conn struct {
	Stream
	local, remote net.Addr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }
