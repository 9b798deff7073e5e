package link

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

// ServersMax bounds the servers that are kept in mind.
const ServersMax = 16

// Server is where one server may be reached. One of the two may be empty.
type Server struct {
	QUIC string // host:port
	TLS  string // host:port
}

// Address is the server's address for people, as it is written in configurations.
func (s Server) Address() string {
	if s.QUIC == "" {
		return s.TLS + trust.TCPSuffix
	}
	return s.QUIC
}

// ParseServers groups addresses (host:port for QUIC, host:port/tcp for TLS over TCP) by host: a server that is named by
// both is one server. The order is that of first mention; those beyond ServersMax are left out.
func ParseServers(addresses []string) ([]Server, error) {
	var out []Server
	for _, a := range addresses {
		plain, isTLS := strings.CutSuffix(a, trust.TCPSuffix)
		host, port, err := net.SplitHostPort(plain)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
			return nil, fmt.Errorf("server address %q: want host:port, or host:port%s for TLS over TCP", a, trust.TCPSuffix)
		}
		out = add(out, host, plain, isTLS)
	}
	return out[:min(len(out), ServersMax)], nil
}

func add(servers []Server, host, plain string, isTLS bool) []Server {
	for i := range servers {
		s := &servers[i]
		if isTLS && s.TLS == plain || !isTLS && s.QUIC == plain {
			return servers
		}
		if isTLS && s.TLS == "" && hostOf(s.QUIC) == host {
			s.TLS = plain
			return servers
		}
		if !isTLS && s.QUIC == "" && hostOf(s.TLS) == host {
			s.QUIC = plain
			return servers
		}
	}
	if isTLS {
		return append(servers, Server{TLS: plain})
	}
	return append(servers, Server{QUIC: plain})
}

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address) // was parsed before
	return host
}
