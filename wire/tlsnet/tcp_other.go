//go:build !linux

package tlsnet

import (
	"net"
	"time"
)

// tune does nothing: these systems have no such options, or not by these names.
func tune(net.Conn, time.Duration) {}

// info knows nothing; silence is then broken by pings, and packets are counted by calls.
func info(net.Conn) (i pathInfo, ok bool) { return pathInfo{}, false }
