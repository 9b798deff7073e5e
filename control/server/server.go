package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/consensus"
	"github.com/dunlin-edge/dunlin/control/enroll"
	"github.com/dunlin-edge/dunlin/control/httpapi"
	"github.com/dunlin-edge/dunlin/control/leader"
	"github.com/dunlin-edge/dunlin/control/modules"
	"github.com/dunlin-edge/dunlin/control/reap"
	"github.com/dunlin-edge/dunlin/control/session"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/blob"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/tlsnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Defaults of a server.
const (
	DefaultBeatEvery = 30 * time.Second
	leadTimeout      = 30 * time.Second // to lead for the first time, log replay included
)

// Config of a server.
type Config struct {
	DataDir    string // absolute; made with 0700
	Name       string
	Region     string
	Datacenter string
	Version    string
	HTTPAddr   string // host:port; used where it is not empty and HTTP is nil
	HTTP       net.Listener
	QUIC       net.PacketConn
	TLS        net.Listener    // of links over TLS on TCP, for devices whose UDP is filtered; nil: none
	Advertise  string          // host:port for devices; empty: the socket's
	AdvertTLS  string          // host:port of TLS for devices; empty: the listener's
	Material   *trust.Material // brought by the operator; nil: the server's own CA
	Open       bool            // no access control (acl { enabled = false })
	Schedulers int             // 0: one per core
	BeatEvery  time.Duration   // 0: DefaultBeatEvery
	LostAfter  time.Duration   // 0: liveness's default
	MaxLost    int             // percent of a datacenter or the region; 0: liveness's default
	Reap       reap.Config     // zero fields: reap's defaults
	Now        func() time.Time
	Logger     *slog.Logger
}

// Server is a region's server.
type Server struct {
	Config
	identity *identity
	store    *state.Store
	endpoint *quicnet.Endpoint
	tls      *tlsnet.Endpoint // nil where no TLS is served
	node     *consensus.Node
	log      log
	lead     *leader.Leader
	sessions *session.Sessions
	modules  *modules.Store
	forms    *modules.Forms
	enroll   *enroll.Service
	api      *httpapi.API
}

// Open loads the server's folder, starts its log and founds its region if it is
// new. When Open returns the region can be written to; nothing is served yet.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.BeatEvery == 0 {
		c.BeatEvery = DefaultBeatEvery
	}
	if c.Schedulers == 0 {
		c.Schedulers = runtime.NumCPU()
	}
	s := &Server{Config: c, store: state.New()}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	var err error
	if s.identity, err = loadIdentity(&s.Config); err != nil {
		return err
	}
	if err = s.listen(); err != nil {
		return err
	}
	// A region of one needs no network for its log; consensus.NewLinks over this
	// endpoint's raft listener is the layer of a larger one.
	s.node, err = consensus.Open(consensus.Config{
		Dir: filepath.Join(s.DataDir, "raft"), Server: consensus.Server{ID: s.Name, Addr: s.advertise()},
		Store: s.store, Logger: s.Logger,
	})
	if err != nil {
		return err
	}
	s.log = log{s.node}
	blobs, err := blob.Open(filepath.Join(s.DataDir, "modules"), blob.Options{MaxBytes: modules.StoreBytesMax})
	if err != nil {
		return err
	}
	s.modules = &modules.Store{Blobs: blobs, State: s.store, Log: plainLog{s.log}, Now: s.Now}
	if s.forms, err = modules.OpenForms(filepath.Join(s.DataDir, "forms"), s.modules, s.Logger); err != nil {
		return err
	}
	s.lead = leader.New(s.leaderConfig())
	s.sessions = session.New(session.Config{
		Store: s.store, Log: plainLog{s.log}, Liveness: s.lead, Modules: s.forms, ServerName: s.Name,
		Servers: s.addresses, Rate: s.handshakeRate, BeatEvery: s.BeatEvery, Now: s.Now, Logger: s.Logger,
	})
	if s.enroll = s.enrolment(); s.enroll != nil {
		s.sessions.Renewer = s.enroll
	}
	s.api = httpapi.New(s.apiConfig())
	return s.found(ctx)
}

// enrolment lets devices in and keeps them in; nil where the CA's key is not.
func (s *Server) enrolment() *enroll.Service {
	if s.identity.ca == nil {
		return nil
	}
	return &enroll.Service{
		CA: s.identity.ca, Store: s.store, Log: plainLog{s.log}, Now: s.Now, Logger: s.Logger,
		Addresses: s.addresses,
	}
}

// listen makes the endpoints of both transports; they trust alike. Devices are
// answered when the server runs.
func (s *Server) listen() error {
	clock := trust.NewClock(s.Now)
	source := s.identity.keeper.Source()
	tls, err := trust.ServerTLS(trust.ServerOptions{
		Source: source, Clock: clock, TicketKey: trust.DeriveKey(s.identity.secret, "ticket"),
		Protocols: []string{trust.ProtocolEdge, trust.ProtocolJoin, trust.ProtocolRenew},
	})
	if err != nil {
		return err
	}
	if s.TLS != nil {
		s.tls = tlsnet.Over(s.TLS, tlsnet.Options{ServerTLS: tls})
	}
	s.endpoint, err = quicnet.Over(s.QUIC, quicnet.Options{
		Credentials: trust.Client{Source: source, Clock: clock}, ServerTLS: tls,
		Later: true, ResetKey: trust.DeriveKey(s.identity.secret, "reset"), TokenKey: trust.DeriveKey(s.identity.secret, "token"),
	})
	return err
}

func (s *Server) apiConfig() httpapi.Config {
	var inviter httpapi.Enroll = noInvites{}
	if s.enroll != nil {
		inviter = invites{s.enroll}
	}
	return httpapi.Config{
		Region: s.Region, ServerName: s.Name, Datacenter: s.Datacenter, Store: s.store, Log: indexLog{s.log},
		Sessions: s.sessions, Modules: s.modules, Enroll: inviter, Info: info{s}, Planner: planner{s.store, s.Now}, Metrics: s.metrics(),
		Access: httpapi.Access{Open: s.Config.Open, Loopback: s.plainHTTP(), Token: s.identity.token},
		Now:    s.Now, Logger: s.Logger,
	}
}

// found waits until this server leads, and founds the region if it is new.
func (s *Server) found(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leadTimeout)
	defer cancel()
	for !s.node.IsLeader() {
		changed := s.node.LeaderChanges()
		if s.node.IsLeader() {
			break
		}
		select {
		case <-changed:
		case <-s.node.Halted():
			return s.node.Err()
		case <-ctx.Done():
			return fmt.Errorf("the region got no leader within %s", leadTimeout)
		}
	}
	if err := s.node.Barrier(ctx); err != nil {
		return fmt.Errorf("replay the log: %w", errors.Join(err, s.node.Err()))
	}
	s.modules.Pin()
	region := s.store.View().Region()
	if !region.ID.IsZero() {
		if region.Name != s.Region {
			return fmt.Errorf("%s holds region %q, the configuration says %q", s.DataDir, region.Name, s.Region)
		}
		return s.mark(ctx)
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	_, _, err := s.log.propose(ctx, &command.RegionFound{ID: fleet.MintUUID(random), Name: s.Region, Epoch: 1, At: s.Now().UnixNano()})
	if err != nil {
		return err
	}
	return s.mark(ctx)
}

// mark names the stretch of the log that begins now, before any device is told
// anything of it: a folder that was put back from a copy goes on with other marks
// than the one that the copy was made of.
func (s *Server) mark(ctx context.Context) error {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	_, _, err := s.log.propose(ctx, &command.MarkBegin{
		ID: binary.BigEndian.Uint64(random[:]) | 1, After: s.store.View().Index(), At: s.Now().UnixNano(),
	})
	return err
}

// Run serves until ctx ends or the server halts, and then closes it.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	part := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	if err := s.endpoint.Serve(); err != nil {
		return errors.Join(err, s.close())
	}
	part("leader", s.leadTerms)
	part("workers", s.work)
	part("devices", func(ctx context.Context) error { return s.serve(ctx, trust.ProtocolEdge, s.sessions.Serve) })
	if s.enroll != nil {
		part("joins", func(ctx context.Context) error { return s.serve(ctx, trust.ProtocolJoin, s.enroll.Serve) })
		part("renewals", func(ctx context.Context) error { return s.serve(ctx, trust.ProtocolRenew, s.enroll.ServeRenewals) })
		part("own certificate", s.keepCertificate)
	}
	part("http", s.serveHTTP)
	part("memory", trim)
	select {
	case <-s.node.Halted():
		cancel(s.node.Err())
	case <-ctx.Done():
	}
	wg.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, s.close())
}

func (s *Server) serve(ctx context.Context, protocol string, f func(context.Context, ...link.Listener) error) error {
	quic, err := s.endpoint.Listener(protocol)
	if err != nil {
		return err
	}
	if s.tls == nil {
		return f(ctx, quic)
	}
	tls, err := s.tls.Listener(protocol)
	if err != nil {
		return err
	}
	return f(ctx, quic, tls)
}

// serveHTTP serves the API, with TLS unless it is on loopback.
func (s *Server) serveHTTP(ctx context.Context) error {
	if s.plainHTTP() {
		return httpapi.Serve(ctx, s.HTTP, nil, s.api, s.Logger)
	}
	if s.Config.Open {
		s.Logger.Warn("access control is off: whoever reaches the HTTP API may do anything", "address", s.HTTP.Addr())
	}
	secure := trust.HTTPServerTLS(s.identity.keeper.Source(), trust.NewClock(s.Now))
	return httpapi.Serve(ctx, s.HTTP, secure, s.api, s.Logger)
}

// plainHTTP reports whether only processes of this machine reach the API.
func (s *Server) plainHTTP() bool {
	a, ok := s.HTTP.Addr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

func (s *Server) advertise() string {
	if s.Advertise != "" {
		return s.Advertise
	}
	return s.endpoint.Addr().String()
}

// addresses are where devices reach the region, by both transports.
func (s *Server) addresses() []string {
	out := []string{s.advertise()}
	if s.tls != nil {
		out = append(out, s.TLSAddress()+trust.TCPSuffix)
	}
	return out
}

// handshakeRate is how many full handshakes per second this server was last measured to do; 0: it met no crowd since its
// start. The transports share one machine: what both did at different times does not add up.
func (s *Server) handshakeRate() float64 {
	rate := s.endpoint.Handshakes().Rate
	if s.tls != nil {
		rate = max(rate, s.tls.Handshakes().Rate)
	}
	return rate
}

// close ends what Open started, the last first.
func (s *Server) close() error {
	var errs []error
	if s.node != nil {
		errs = append(errs, s.node.Close())
	}
	if s.tls != nil {
		errs = append(errs, s.tls.Close())
	}
	if s.endpoint != nil {
		errs = append(errs, s.endpoint.Close())
	}
	if s.forms != nil {
		errs = append(errs, s.forms.Close())
	}
	return errors.Join(errs...)
}

// Close ends a server that was opened and is not run.
func (s *Server) Close() error { return s.close() }

// Token is the management token.
func (s *Server) Token() string { return s.identity.token }

// CA signs this region's certificates; nil when the operator brought them.
func (s *Server) CA() *trust.CA { return s.identity.ca }

// Address is where devices reach this server.
func (s *Server) Address() string { return s.advertise() }

// TLSAddress is where devices whose UDP is filtered reach this server; empty where it serves no TLS.
func (s *Server) TLSAddress() string {
	switch {
	case s.tls == nil:
		return ""
	case s.AdvertTLS != "":
		return s.AdvertTLS
	default:
		return s.tls.Addr().String()
	}
}
