package tlsnet

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tune sets up a TCP connection: what is not acknowledged within idle ends it (also after Close, when nobody watches any
// more), and the kernel holds little that is unsent.
func tune(conn net.Conn, idle time.Duration) {
	control(conn, func(fd int) {
		// Neither is needed for correctness; an old kernel may know them not.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(idle/time.Millisecond))
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, UnsentBytesMax)
	})
}

// info asks the kernel about a connection.
func info(conn net.Conn) (i pathInfo, ok bool) {
	control(conn, func(fd int) {
		t, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		ok = true
		ms := time.Duration(min(t.Last_ack_recv, t.Last_data_recv)) * time.Millisecond
		i = pathInfo{
			silence: ms, roundTrip: time.Duration(t.Rtt) * time.Microsecond,
			sent: uint64(t.Segs_out), received: uint64(t.Segs_in), lost: uint64(t.Total_retrans),
		}
	})
	return i, ok
}

func control(conn net.Conn, f func(fd int)) {
	tcp, isTCP := conn.(*net.TCPConn)
	if !isTCP {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // fails on a closed connection only
}
