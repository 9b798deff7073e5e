//go:build !edgeonly

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/dunlin-edge/dunlin/control/reap"
	"github.com/dunlin-edge/dunlin/control/server"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// runningServer is a server with what a device in the same process needs.
type runningServer struct {
	*server.Server
	material *trust.Material
}

func (s *runningServer) local() *localServer {
	return &localServer{material: s.material, address: s.Address()}
}

// startServer opens a server, prints where it is, and returns it ready to Run.
func startServer(ctx context.Context, e *env, cfg *config.Config, o agentOptions, log *slog.Logger) (*runningServer, error) {
	l, err := listenTCP(cfg.HTTP.Addr, o.dev && !o.fixedHTTP)
	if err != nil {
		return nil, err
	}
	socket, err := listenUDP(cfg.QUIC, o.dev && !o.fixedQUIC)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	fallback, err := listenFallback(cfg, log)
	if err != nil {
		return nil, errors.Join(err, l.Close(), socket.Close())
	}
	c := server.Config{
		DataDir: filepath.Join(cfg.DataDir, "server"), Name: cfg.Name, Region: cfg.Region, Datacenter: cfg.Datacenter,
		Version: Version, HTTP: l, HTTPAddr: l.Addr().String(), QUIC: socket, Advertise: advertised(cfg, socket),
		TLS: fallback, AdvertTLS: advertisedTLS(cfg, socket, fallback),
		Open: !cfg.ACL, Schedulers: cfg.Server.Schedulers, BeatEvery: cfg.Server.BeatEvery,
		LostAfter: cfg.Server.LostAfter, MaxLost: cfg.Server.MaxLost, Logger: log,
		Reap: reap.Config{
			Every: cfg.Server.GC.Interval, EvalAge: cfg.Server.GC.Eval, BatchEvalAge: cfg.Server.GC.BatchEval,
			JobAge: cfg.Server.GC.Job, NodeAge: cfg.Server.GC.Node,
		},
	}
	if cfg.TLS != nil {
		if c.Material, err = loadTLS(cfg.TLS); err != nil {
			return nil, errors.Join(err, l.Close(), socket.Close())
		}
	}
	s, err := server.Open(ctx, c)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	r := &runningServer{Server: s}
	if cfg.Client != nil {
		if r.material, err = localDevice(cfg, s, log); err != nil {
			return nil, errors.Join(err, s.Close(), l.Close())
		}
	}
	address := "http://" + l.Addr().String()
	if !config.Loopback(l.Addr().String()) {
		address = "https://" + l.Addr().String()
	}
	devices := s.Address() + " (UDP)"
	if at := s.TLSAddress(); at != "" {
		devices += ", " + at + " (TLS over TCP)"
	}
	fmt.Fprintf(e.Out, "region %s, server %s\nHTTP API  %s\ndevices   %s\ndata      %s\n", cfg.Region, cfg.Name, address, devices, cfg.DataDir)
	if o.dev {
		fmt.Fprintf(e.Out, "commands on this machine find this agent by themselves; elsewhere:\n  export DUNLIN_ADDR=%s\n", address)
	}
	if o.onReachable != nil {
		o.onReachable(address, "")
	}
	return r, nil
}

// advertised is where devices reach the server: what the configuration says,
// else the socket's address, else, on a wildcard address, the machine's own.
func advertised(cfg *config.Config, socket net.PacketConn) string {
	local, ok := socket.LocalAddr().(*net.UDPAddr)
	if cfg.Advertise != "" {
		if _, _, err := net.SplitHostPort(cfg.Advertise); err == nil || !ok {
			return cfg.Advertise
		}
		return net.JoinHostPort(cfg.Advertise, strconv.Itoa(local.Port))
	}
	if !ok || !local.IP.IsUnspecified() {
		return socket.LocalAddr().String()
	}
	host := "127.0.0.1"
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
				host = n.IP.String()
				break
			}
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(local.Port))
}

// listenFallback opens the port for devices whose UDP is filtered. The default port is privileged: a server that may not
// have it, and was not told to, goes on without.
func listenFallback(cfg *config.Config, log *slog.Logger) (net.Listener, error) {
	if cfg.Fallback.Addr == "" {
		return nil, nil
	}
	lc := net.ListenConfig{KeepAlive: -1} // links notice silence by themselves, without packets
	l, err := lc.Listen(context.Background(), "tcp", cfg.Fallback.Addr)
	if err == nil {
		return l, nil
	}
	if cfg.Fallback.Required {
		return nil, portTaken("TLS", cfg.Fallback.Addr, "ports { tls = … }, or 0 for none", withoutAddress(err))
	}
	log.Warn("devices whose UDP is filtered cannot reach this server: its TLS port cannot be used; let it have the port (setcap cap_net_bind_service), or set ports { tls = … }, or 0 for none",
		"address", cfg.Fallback.Addr, "error", err)
	return nil, nil
}

// advertisedTLS is where devices reach the TLS port: what the configuration says, else the host of the QUIC address.
func advertisedTLS(cfg *config.Config, socket net.PacketConn, l net.Listener) string {
	if l == nil || cfg.Fallback.Advertise != "" {
		return cfg.Fallback.Advertise
	}
	host, _, err := net.SplitHostPort(advertised(cfg, socket))
	_, port, err2 := net.SplitHostPort(l.Addr().String())
	if err != nil || err2 != nil {
		return l.Addr().String()
	}
	return net.JoinHostPort(host, port)
}

// localDevice is the certificate of a device in the server's own process: it
// needs no invite, since who can read the CA's key could make one anyway.
func localDevice(cfg *config.Config, s *server.Server, log *slog.Logger) (*trust.Material, error) {
	dir := filepath.Join(cfg.DataDir, config.TLSDir)
	m, err := mendDevice(log)(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if s.CA() == nil {
		return nil, fmt.Errorf("this process is to be a device too, but has no certificate for it in %s and no CA key to make one", dir)
	}
	m, err = s.CA().Issue(trust.Identity{Region: cfg.Region, Kind: trust.KindNode, ID: newNodeID()}, time.Now(), certTTL, nil, nil)
	if err != nil {
		return nil, err
	}
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	return m, files.SaveTwice(dir)
}

// nextPorts yields an address and, if allowed, those with the next ports.
func nextPorts(addr string, more bool) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, usageError("address %q: want HOST:PORT", addr)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return nil, usageError("address %q: the port is not a number of 0 to 65535", addr)
	}
	out := []string{addr}
	for i := 1; more && i <= portsTried && n+i <= 65535; i++ {
		out = append(out, net.JoinHostPort(host, strconv.Itoa(n+i)))
	}
	return out, nil
}

func listenTCP(addr string, more bool) (net.Listener, error) {
	addrs, err := nextPorts(addr, more)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		l, lerr := net.Listen("tcp", a)
		if lerr == nil {
			return l, nil
		}
		err = lerr
	}
	return nil, portTaken("HTTP", addr, "-http HOST:PORT or ports { http = … }", withoutAddress(err))
}

func listenUDP(addr string, more bool) (net.PacketConn, error) {
	addrs, err := nextPorts(addr, more)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		c, lerr := net.ListenPacket("udp", a)
		if lerr == nil {
			return c, nil
		}
		err = lerr
	}
	return nil, portTaken("QUIC", addr, "-quic HOST:PORT or ports { quic = … }", withoutAddress(err))
}

// withoutAddress keeps an address from being said twice.
func withoutAddress(err error) error {
	var op *net.OpError
	var sys *os.SyscallError
	if errors.As(err, &op) && errors.As(op.Err, &sys) {
		return errors.New(strings.ToLower(sys.Err.Error()))
	}
	return err
}
