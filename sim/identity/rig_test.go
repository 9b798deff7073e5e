package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/server"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/sim/ports"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// wall is a clock that tests set. It goes on by itself in between.
type wall struct{ ahead atomic.Int64 }

func (w *wall) now() time.Time          { return time.Now().Add(time.Duration(w.ahead.Load())) }
func (w *wall) forward(d time.Duration) { w.ahead.Add(int64(d)) }

// region is a server that can be stopped and started again on its folder.
type region struct {
	t      *testing.T
	clock  *wall
	dir    string
	quic   string
	client *api.Client
	stop   func()
}

func newRegion(t *testing.T) *region {
	quic, err := ports.Draw("udp") // the same after a restart
	if err != nil {
		t.Fatal(err)
	}
	r := &region{t: t, clock: &wall{}, dir: t.TempDir(), quic: quic}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *region) start() {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", r.quic)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, server.Config{
		DataDir: r.dir, Name: "s1", Region: "testland", Datacenter: "dc1", Version: "test", HTTP: l, QUIC: socket, Open: true,
		Schedulers: 1, BeatEvery: time.Second, Now: r.clock.now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if r.client, err = api.New(api.Config{Address: "http://" + l.Addr().String()}); err != nil {
		r.t.Fatal(err)
	}
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

func (r *region) restart() { r.stop(); r.start() }

func (r *region) invite(req api.InviteRequest) trust.Invite {
	r.t.Helper()
	resp, err := r.client.Invite(r.t.Context(), &req)
	if err != nil {
		r.t.Fatal(err)
	}
	in, err := trust.ParseInvite(resp.Invite)
	if err != nil {
		r.t.Fatal(err)
	}
	return in
}

// join plays dunlin join on a machine with the given wall clock.
func join(ctx context.Context, in trust.Invite, name string, now func() time.Time) (*wire.JoinAnswer, *trust.Material, error) {
	key, err := trust.NewKey()
	if err != nil {
		return nil, nil, err
	}
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.JoinClient{Fingerprint: in.Fingerprint, Key: key, Clock: trust.NewDeviceClock(now)}})
	if err != nil {
		return nil, nil, err
	}
	defer end.Close()
	l, err := end.Dial(ctx, in.Addresses[0], trust.ProtocolJoin)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close(link.CodeDone, "")
	st, err := l.OpenStream(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer st.Close()
	var answer wire.JoinAnswer
	if err := errors.Join(wire.Write(st, &wire.Header{Kind: wire.KindJoin}),
		wire.Write(st, &wire.JoinRequest{Token: in.Token, Name: name}), wire.Read(st, &answer)); err != nil {
		return nil, nil, err
	}
	if answer.Error != "" {
		return &answer, nil, errors.New(answer.Error)
	}
	pem, err := trust.EncodeKey(key)
	if err != nil {
		return nil, nil, err
	}
	m, err := trust.Files{CA: answer.CAPEM, Cert: answer.CertPEM, Key: pem}.Material()
	return &answer, m, err
}

// device is an agent with a folder and a wall clock of its own.
type device struct {
	t      *testing.T
	region *region
	dir    string
	name   string
	clock  func() time.Time
	keeper *trust.Keeper
	said   *journal
	agent  *agent.Agent
	stop   func()
}

// journal is what an agent logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// enter joins a device and stores what it got, as the command does.
func (r *region) enter(name string, clock func() time.Time) *device {
	r.t.Helper()
	_, m, err := join(r.t.Context(), r.invite(api.InviteRequest{Name: name}), name, clock)
	if err != nil {
		r.t.Fatal(err)
	}
	d := &device{t: r.t, region: r, dir: r.t.TempDir(), name: name, clock: clock, said: &journal{}, stop: func() {}}
	files, err := m.Files()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := files.SaveTwice(filepath.Join(d.dir, "tls")); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { d.stop() })
	return d
}

// start runs the agent from what is on disk.
func (d *device) start() {
	d.t.Helper()
	dir := filepath.Join(d.dir, "tls")
	m, err := trust.LoadFolder(dir)
	if err != nil {
		d.t.Fatal(err)
	}
	d.keeper = trust.NewKeeper(m, dir)
	clock := trust.NewDeviceClock(d.clock)
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.Client{Source: d.keeper.Source(), Clock: clock}})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.agent, err = agent.New(ctx, agent.Config{
		DataDir: d.dir, Identity: m.Identity, Name: d.name, Datacenter: "dc1", Servers: []string{d.region.quic}, Dialer: end,
		Clock: clock, Certificates: d.keeper, Log: slog.New(slog.NewTextHandler(d.said, nil)),
		Probe: func(context.Context) (*fleet.Node, error) { return &fleet.Node{}, nil },
	})
	if err != nil {
		d.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- d.agent.Run(ctx) }()
	d.stop = func() {
		d.stop = func() {}
		cancel()
		if err := errors.Join(<-done, end.Close()); err != nil {
			d.t.Error(err)
		}
	}
}

// patience is how long anything here may take; it takes milliseconds.
const patience = 45 * time.Second

// await polls until ask finds nothing wrong any more.
func (d *device) await(what string, ask func() error) {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if err = ask(); err == nil {
			return
		}
	}
	d.t.Fatalf("%s: %v\nthe device said:\n%s", what, err, d.said)
}

func (d *device) linked() error {
	s, err := d.agent.Status(d.t.Context())
	if err == nil && !s.Link.Up {
		err = fmt.Errorf("no link: %s", s.Link.Reason)
	}
	return err
}

func (d *device) node() (*fleet.Node, error) {
	n, _, err := d.region.client.Node(d.t.Context(), fleet.NodeID(d.keeper.Material().Identity.ID), nil)
	return n, err
}
