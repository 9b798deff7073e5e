package enroll

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// direct applies commands to the store at once.
type direct struct {
	mu    sync.Mutex
	store *state.Store
	index uint64
}

func (d *direct) Propose(_ context.Context, cmd any) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index++
	txn := d.store.Begin()
	result, err := command.Apply(txn, d.index, command.Encode(cmd.(command.Command)))
	txn.Commit(d.index)
	return result, err
}

// region is a service that answers joins over real QUIC on loopback.
type region struct {
	*Service
	clock time.Time
	addr  string
}

func newRegion(t *testing.T) *region {
	t.Helper()
	r := &region{clock: time.Now()}
	ca, err := trust.NewCA("global", r.clock, time.Hour*24*365)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ca.Issue(trust.Identity{Region: "global", Kind: trust.KindServer, ID: "s1"}, r.clock, time.Hour, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tls, err := trust.ServerTLS(trust.ServerOptions{Source: server.Source(), Clock: trust.NewClock(time.Now), Protocols: []string{trust.ProtocolJoin}})
	if err != nil {
		t.Fatal(err)
	}
	end, err := quicnet.Open("127.0.0.1:0", quicnet.Options{ServerTLS: tls})
	if err != nil {
		t.Fatal(err)
	}
	l, err := end.Listener(trust.ProtocolJoin)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = end.Addr().String()
	st := state.New()
	r.Service = &Service{
		CA: ca, Store: st, Log: &direct{store: st}, Now: func() time.Time { return r.clock },
		Addresses: func() []string { return []string{r.addr} }, Logger: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *region) invite(t *testing.T, o Options) trust.Invite {
	t.Helper()
	line, _, err := r.Invite(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	in, err := trust.ParseInvite(line)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// join plays a device.
func (r *region) join(t *testing.T, in trust.Invite, name string) (*wire.JoinAnswer, *trust.Material) {
	t.Helper()
	key, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.JoinClient{Fingerprint: in.Fingerprint, Key: key, Clock: trust.NewClock(time.Now)}})
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	l, err := end.Dial(t.Context(), in.Addresses[0], trust.ProtocolJoin)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(link.CodeDone, "")
	st, err := l.OpenStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var answer wire.JoinAnswer
	for _, err := range []error{
		wire.Write(st, &wire.Header{Kind: wire.KindJoin}),
		wire.Write(st, &wire.JoinRequest{Token: in.Token, Name: name}), wire.Read(st, &answer),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if answer.Error != "" {
		return &answer, nil
	}
	pem, err := trust.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := trust.Files{CA: answer.CAPEM, Cert: answer.CertPEM, Key: pem}.Material()
	if err != nil {
		t.Fatal(err)
	}
	return &answer, m
}

func TestJoinGivesACertificateForTheProvenKey(t *testing.T) {
	r := newRegion(t)
	answer, m := r.join(t, r.invite(t, Options{Datacenter: "berlin"}), "kiosk-7")
	if answer.Error != "" {
		t.Fatal(answer.Error)
	}
	if answer.Name != "kiosk-7" || answer.Datacenter != "berlin" || answer.Region != "global" {
		t.Errorf("answer %+v", answer)
	}
	if m.Identity.Kind != trust.KindNode || m.Identity.ID != answer.Node.String() {
		t.Errorf("identity %s", m.Identity)
	}
}

func TestAnInviteWorksOnce(t *testing.T) {
	r := newRegion(t)
	in := r.invite(t, Options{Name: "till-1"})
	if a, _ := r.join(t, in, "other"); a.Error != "" || a.Name != "till-1" {
		t.Fatalf("first: %+v", a)
	}
	a, _ := r.join(t, in, "other")
	if !strings.Contains(a.Error, "dunlin node invite") {
		t.Errorf("second: %q", a.Error)
	}
}

func TestTwoDevicesWithOneInvite(t *testing.T) {
	r := newRegion(t)
	in := r.invite(t, Options{})
	var wg sync.WaitGroup
	got := make([]string, 8)
	for i := range got {
		wg.Go(func() {
			a, _ := r.join(t, in, "d")
			got[i] = a.Error
		})
	}
	wg.Wait()
	let := 0
	for _, e := range got {
		if e == "" {
			let++
		}
	}
	if let != 1 {
		t.Errorf("%d devices got in with one invite: %q", let, got)
	}
}

func TestRefusedJoins(t *testing.T) {
	r := newRegion(t)
	expired := r.invite(t, Options{TTL: time.Minute})
	stranger := expired
	stranger.Token, _, _ = trust.NewToken()
	nameless := r.invite(t, Options{})
	for what, tc := range map[string]struct {
		in   trust.Invite
		name string
		want string
	}{
		"unknown token": {stranger, "d", "not known"},
		"bad name":      {nameless, "a b", "cannot be a device's name"},
	} {
		if a, _ := r.join(t, tc.in, tc.name); !strings.Contains(a.Error, tc.want) {
			t.Errorf("%s: %q", what, a.Error)
		}
	}
	if a, _ := r.join(t, nameless, "good"); a.Error != "" {
		t.Errorf("a refused name spent the invite: %s", a.Error)
	}
}

func TestInviteOptions(t *testing.T) {
	r := newRegion(t)
	for _, o := range []Options{{TTL: time.Second}, {TTL: InviteTTLMax + 1}, {Name: "a/b"}, {Name: strings.Repeat("x", 64)}} {
		if _, _, err := r.Invite(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	for i := range r.Store.View().Invites() {
		t.Errorf("a refused invite was stored: %+v", i)
	}
}
