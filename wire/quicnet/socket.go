package quicnet

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// ear takes a packet that is not QUIC's, and gives what is to be answered. It must not keep b.
type ear func(b []byte, from net.Addr) (answer []byte)

// sealed reports whether a packet is not QUIC's (RFC 9443).
func sealed(b []byte) bool { return len(b) > 0 && b[0]&0xc0 == 0 }

// socket is a UDP socket that treats a passing fault of the local network as a lost packet. QUIC ends a connection on any
// error of a send but EMSGSIZE; a device whose route is gone for a second, or whose address changes, would lose its link
// and every server would pay for a new handshake. QUIC repeats lost packets anyway, and its idle timeout ends a link
// whose network stays away.
//
// It also takes out the packets that are not QUIC's, and answers them, before QUIC sees them. The rejected alternative, to ask QUIC
// for them, costs a copy, a queue of 32, and waking another goroutine: half of what a beat costs a server.
type socket struct {
	*net.UDPConn
	batch     *ipv4.PacketConn
	ear       ear
	swallowed atomic.Uint64
}

// ReadBatch is what QUIC reads with where the system can give more than one packet at a time, or where they come from and to.
// Packets are copied to close the gaps: QUIC knows its buffers by their places.
func (s *socket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		n, err := s.batch.ReadBatch(ms, flags)
		if err != nil {
			return n, err
		}
		kept := 0
		for i := range ms[:n] {
			m := &ms[i]
			if b := m.Buffers[0][:m.N]; sealed(b) {
				if answer := s.ear(b, m.Addr); answer != nil {
					s.answer(answer, sourceOf(m.OOB[:m.NN]), m.Addr)
				}
				continue
			}
			if kept != i {
				to := &ms[kept]
				to.N, to.NN, to.Flags, to.Addr = copy(to.Buffers[0], m.Buffers[0][:m.N]), copy(to.OOB, m.OOB[:m.NN]), m.Flags, m.Addr
			}
			kept++
		}
		if kept > 0 {
			return kept, nil
		}
	}
}

// sourceOf is the control message that makes an answer leave from the address that was asked, on a host that has several.
func sourceOf(oob []byte) []byte {
	var v4 ipv4.ControlMessage
	if v4.Parse(oob) == nil && v4.Dst != nil {
		return (&ipv4.ControlMessage{Src: v4.Dst, IfIndex: v4.IfIndex}).Marshal()
	}
	var v6 ipv6.ControlMessage
	if v6.Parse(oob) == nil && v6.Dst != nil {
		return (&ipv6.ControlMessage{Src: v6.Dst, IfIndex: v6.IfIndex}).Marshal()
	}
	return nil
}

// answer sends to where a packet came from. An error is as a packet that was lost.
func (s *socket) answer(b, oob []byte, to net.Addr) {
	if addr, ok := to.(*net.UDPAddr); ok {
		_, _, _ = s.WriteMsgUDP(b, oob, addr)
	}
}

// ReadFrom is what QUIC reads with elsewhere.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) { return readFrom(s.UDPConn, s, b, s.ear) }

// packets is any other packet socket, without the packets that are not QUIC's.
type packets struct {
	net.PacketConn
	ear ear
}

// ReadFrom implements net.PacketConn.
func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	return readFrom(p.PacketConn, p.PacketConn, b, p.ear)
}

// SetReadBuffer and SetWriteBuffer pass on what QUIC asks of the sockets that have them.
func (p *packets) SetReadBuffer(n int) error {
	if s, ok := p.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
		return s.SetReadBuffer(n)
	}
	return errors.ErrUnsupported
}

// SetWriteBuffer is as SetReadBuffer.
func (p *packets) SetWriteBuffer(n int) error {
	if s, ok := p.PacketConn.(interface{ SetWriteBuffer(int) error }); ok {
		return s.SetWriteBuffer(n)
	}
	return errors.ErrUnsupported
}

func readFrom(from, to net.PacketConn, b []byte, hear ear) (int, net.Addr, error) {
	for {
		n, addr, err := from.ReadFrom(b)
		if err != nil || !sealed(b[:n]) {
			return n, addr, err
		}
		if answer := hear(b[:n], addr); answer != nil {
			_, _ = to.WriteTo(answer, addr) // an error is as a packet that was lost
		}
	}
}

// WriteMsgUDP is what QUIC sends with where the system can send in batches. The form of the address that the standard library
// passes on without an allocation saves some 3 % of what a server spends on a handshake.
func (s *socket) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	to := addr.AddrPort()
	n, oobn, err = s.UDPConn.WriteMsgUDPAddrPort(b, oob, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if passing(err) {
		s.swallowed.Add(1)
		return len(b), len(oob), nil
	}
	return n, oobn, err
}

// WriteTo is what QUIC sends with elsewhere.
func (s *socket) WriteTo(b []byte, addr net.Addr) (int, error) {
	n, err := s.UDPConn.WriteTo(b, addr)
	if passing(err) {
		s.swallowed.Add(1)
		return len(b), nil
	}
	return n, err
}

func passing(err error) bool {
	if err == nil {
		return false
	}
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(passingErrnos, errno)
}
