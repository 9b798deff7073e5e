// Package ports draws loopback ports for servers that tests start, kill and start again on the same address.
//
// Its one idea: the kernel must not give such a port to somebody else while its server is away. It does so with the port that it drew
// for a listener on port 0 and got back: beside a fleet of a few hundred sockets, one restart in a hundred found its port taken. So ports
// are drawn below those that the kernel hands out by itself, and no port twice in one process.
//
// Any goroutine may draw.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

// Where ports are drawn.
const (
	First = 10_000 // below are services of the machine
	End   = 32_768 // no system hands out by itself what is below this, unless it says so
	// RoomMin is how few ports there may be to draw from.
	RoomMin = 1_000
	// TriesMax bounds the search for a port that nobody listens on.
	TriesMax = 1_000
)

var (
	mu    sync.Mutex
	drawn = map[int]bool{}
)

// Draw returns a loopback address, such as "127.0.0.1:14647", on which nobody listens by any of the networks ("tcp", "udp"). The error
// says that there is none.
func Draw(networks ...string) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	end := end()
	if end-First < RoomMin {
		return "", fmt.Errorf("the kernel hands out ports from %d on by itself; at least %d must be left (sysctl net.ipv4.ip_local_port_range)", end, First+RoomMin)
	}
	var last error
	for range TriesMax {
		port := First + rand.IntN(end-First)
		if drawn[port] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if last = free(addr, networks); last == nil {
			drawn[port] = true
			return addr, nil
		}
	}
	return "", fmt.Errorf("no free port of %d to %d in %d tries: %w", First, end-1, TriesMax, last)
}

// end is the first port that the kernel hands out by itself.
func end() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return End // another system
	}
	return below(string(text))
}

func below(kernel string) int {
	var low int
	if _, err := fmt.Sscan(kernel, &low); err != nil {
		return End
	}
	return min(low, End)
}

func free(addr string, networks []string) error {
	for _, network := range networks {
		if network == "udp" {
			c, err := net.ListenPacket(network, addr)
			if err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
			continue
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}
