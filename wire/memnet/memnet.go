// Package memnet is a network in memory for tests: loss, delay, jitter, partitions and filters, all from one seed. Real
// QUIC (wire/quicnet) runs over its sockets and real TLS (wire/tlsnet) over its streams, so tests see the real link with
// its real errors, also in a testing/synctest bubble, where minutes of virtual time pass in milliseconds.
//
// The one idea: packets wait in the receiver's own heap, ordered by the time at which they arrive; the reader sleeps until
// the first is due. There is no goroutine and no timer per packet, hence nothing to stop and no reordering that the seed
// did not ask for.
//
// What the seed fixes: for each pair of addresses, which of their packets, counted in order of sending, are lost and how
// late they are. It does not fix the order in which goroutines send.
//
// Threading: everything is safe for concurrent use. Close the endpoints (quicnet) before their sockets go away.
package memnet

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// QueuePacketsMax bounds the packets on their way to one socket; more are dropped, as a full router drops them.
const QueuePacketsMax = 4096

// PacketBytesMax is the largest packet that passes; larger ones vanish, as on a path with this MTU.
const PacketBytesMax = 1500

// Conditions describe the paths of a network.
type Conditions struct {
	Loss   float64       // share of packets lost, 0 to 1
	Delay  time.Duration // one way
	Jitter time.Duration // up to so much more, evenly spread; reorders packets
	Twice  float64       // share of packets that arrive twice, the second time a Jitter later
}

// Network connects sockets.
type Network struct {
	seed uint64

	mu      sync.Mutex
	cond    Conditions
	sockets map[netip.AddrPort]*Socket
	paths   map[path]*rand.Rand
	cuts    map[cut]bool
	next    uint16

	listeners map[netip.AddrPort]*StreamListener
	filtered  map[netip.Addr]bool // no packets from or to these
	healed    chan struct{}       // closed and replaced when cuts end
}

type path struct{ from, to netip.AddrPort }

// cut is an unordered pair of hosts, the smaller first.
type cut struct{ a, b netip.Addr }

func newCut(a, b netip.Addr) cut {
	if b.Less(a) {
		a, b = b, a
	}
	return cut{a, b}
}

// New makes a network.
func New(seed uint64, cond Conditions) *Network {
	return &Network{seed: seed, cond: cond, sockets: make(map[netip.AddrPort]*Socket), paths: make(map[path]*rand.Rand),
		cuts: make(map[cut]bool), next: 40000, listeners: make(map[netip.AddrPort]*StreamListener),
		filtered: make(map[netip.Addr]bool), healed: make(chan struct{})}
}

// Set changes the conditions for packets sent from now on.
func (n *Network) Set(cond Conditions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cond = cond
}

// Cut drops all packets between two hosts, also those under way, until Heal.
func (n *Network) Cut(a, b netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[newCut(a, b)] = true
}

// Heal ends a Cut.
func (n *Network) Heal(a, b netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, newCut(a, b))
	n.heal()
}

// Isolate cuts a host from all others that have a socket now.
func (n *Network) Isolate(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for addr := range n.sockets {
		if addr.Addr() != host {
			n.cuts[newCut(host, addr.Addr())] = true
		}
	}
	for addr := range n.listeners {
		if addr.Addr() != host {
			n.cuts[newCut(host, addr.Addr())] = true
		}
	}
}

// HealAll ends all cuts.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	n.heal()
}

func (n *Network) heal() {
	close(n.healed)
	n.healed = make(chan struct{})
}

// Listen opens a socket at a host's port; port 0 takes a free one. A taken address is syscall.EADDRINUSE, as on a real
// host.
func (n *Network) Listen(addr netip.AddrPort) (*Socket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		for n.sockets[netip.AddrPortFrom(addr.Addr(), n.next)] != nil {
			n.next++
		}
		addr = netip.AddrPortFrom(addr.Addr(), n.next)
		n.next++
	}
	if n.sockets[addr] != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	s := &Socket{net: n, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	s.addr.Store(&addr)
	n.sockets[addr] = s
	return s, nil
}

// Move gives a socket another address, unseen by whoever uses it: another port, as when a NAT forgets, or another host, as
// when a device changes its network.
func (n *Network) Move(s *Socket, to netip.AddrPort) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[to] != nil {
		return fmt.Errorf("move to %s: %w", to, syscall.EADDRINUSE)
	}
	delete(n.sockets, s.at())
	s.addr.Store(&to)
	n.sockets[to] = s
	return nil
}

// send decides a packet's fate. A packet to nobody vanishes, as UDP does.
func (n *Network) send(from, to netip.AddrPort, data []byte) {
	n.mu.Lock()
	dst := n.sockets[to]
	if dst == nil || n.isCut(from, to) || n.filtered[from.Addr()] || n.filtered[to.Addr()] || len(data) > PacketBytesMax {
		n.mu.Unlock()
		return
	}
	draw := n.path(from, to)
	// Both draws are made for each packet, so that one packet's fate does not shift that of the next.
	lost := draw.Float64() < n.cond.Loss
	late := time.Duration(draw.Float64() * float64(n.cond.Jitter))
	due, again := time.Now().Add(n.cond.Delay+late), n.cond.Jitter
	twice := n.cond.Twice > 0 && draw.Float64() < n.cond.Twice
	n.mu.Unlock()
	if !lost {
		dst.push(packet{due: due, from: from, data: append([]byte(nil), data...)})
	}
	if twice {
		dst.push(packet{due: due.Add(again), from: from, data: append([]byte(nil), data...)})
	}
}

func (n *Network) isCut(from, to netip.AddrPort) bool { return n.cuts[newCut(from.Addr(), to.Addr())] }

func (n *Network) path(from, to netip.AddrPort) *rand.Rand {
	p := path{from, to}
	if r := n.paths[p]; r != nil {
		return r
	}
	h := fnv.New64a()
	text, _ := from.MarshalBinary() // cannot fail
	h.Write(text)
	text, _ = to.MarshalBinary()
	h.Write(text)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n.seed)
	binary.LittleEndian.PutUint64(seed[8:], h.Sum64())
	r := rand.New(rand.NewChaCha8(seed))
	n.paths[p] = r
	return r
}

func (n *Network) remove(s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets[s.at()] == s {
		delete(n.sockets, s.at())
	}
}

func (n *Network) arrives(from, to netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.isCut(from, to)
}

func udpAddr(a netip.AddrPort) net.Addr { return net.UDPAddrFromAddrPort(a) }
