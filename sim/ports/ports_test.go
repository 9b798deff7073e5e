package ports

import (
	"net"
	"strconv"
	"sync"
	"testing"
)

// TestDraw: what is drawn is no port of the kernel's, can be listened on by each network, and is drawn once.
func TestDraw(t *testing.T) {
	var wg sync.WaitGroup
	found := make(chan string, 100)
	for range cap(found) {
		wg.Go(func() {
			addr, err := Draw("tcp", "udp")
			if err != nil {
				t.Error(err)
			}
			found <- addr
		})
	}
	wg.Wait()
	close(found)
	seen := map[string]bool{}
	for addr := range found {
		_, text, err := net.SplitHostPort(addr)
		port, bad := strconv.Atoi(text)
		if err != nil || bad != nil || port < First || port >= end() || seen[addr] {
			t.Errorf("drew %q, again: %t", addr, seen[addr])
		}
		seen[addr] = true
	}
}

func TestTakenPortsAreSkipped(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, c := range []struct {
		addr, network string
	}{{tcp.Addr().String(), "tcp"}, {udp.LocalAddr().String(), "udp"}} {
		if free(c.addr, []string{c.network}) == nil {
			t.Errorf("%s %s counts as free while somebody listens there", c.network, c.addr)
		}
	}
}

func TestBelow(t *testing.T) {
	for kernel, want := range map[string]int{"32768\t60999\n": 32768, "49152 65535": End, "20000 30000": 20000, "": End, "x": End} {
		if got := below(kernel); got != want {
			t.Errorf("below what the kernel hands out (%q): %d, want %d", kernel, got, want)
		}
	}
}
