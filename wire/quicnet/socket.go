package quicnet

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
)

// socket is a UDP socket that treats a passing fault of the local network as a lost packet. QUIC ends a connection on any
// error of a send but EMSGSIZE; a device whose route is gone for a second, or whose address changes, would lose its link
// and every server would pay for a new handshake. QUIC repeats lost packets anyway, and its idle timeout ends a link
// whose network stays away.
type socket struct {
	*net.UDPConn
	swallowed atomic.Uint64
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
