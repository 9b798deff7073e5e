package session_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/tlsnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

var (
	nodeID     = fleet.UUID{7}
	serverAddr = netip.MustParseAddrPort("10.0.0.1:4647")
	tlsAddr    = netip.MustParseAddrPort("10.0.0.1:443")
	nodeAddr   = netip.MustParseAddrPort("10.0.0.2:0")
)

// device is a session.Device that notes what it is told.
type device struct {
	mu       sync.Mutex
	ups      int
	downs    int
	acked    []uint64
	desired  []wire.Generation
	refuse   string
	statuses chan *wire.StatusBatch
	logs     string
	ended    chan struct{}
}

func (d *device) Register(context.Context) (wire.Register, error) {
	return wire.Register{RegionID: fleet.UUID{1}, Held: wire.Generation{Epoch: 1, N: 5}}, nil
}

func (d *device) LinkUp(_ context.Context, w *wire.Welcome) (<-chan *wire.StatusBatch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w.RegionID != (fleet.UUID{1}) {
		return nil, errors.New("this device obeys another region")
	}
	d.ups++
	d.statuses = make(chan *wire.StatusBatch, 1)
	return d.statuses, nil
}

func (d *device) LinkDown(context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.downs++
}

func (d *device) Desired(_ context.Context, m *wire.Desired) (wire.Generation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != "" {
		return wire.Generation{}, errors.New(d.refuse)
	}
	d.desired = append(d.desired, m.Gen)
	return m.Gen, nil
}

func (d *device) StatusAcked(_ context.Context, seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acked = append(d.acked, seq)
}

func (d *device) Logs(_ context.Context, alloc fleet.UUID, _ string) (string, string, error) {
	if alloc != (fleet.UUID{3}) {
		return "", "", fmt.Errorf("allocation %s is not on this device", alloc)
	}
	return d.logs, "main", nil
}

func (d *device) Ended(context.Context, fleet.UUID, string) bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// obey sets why desired states are refused; empty: they are obeyed.
func (d *device) obey(refuse string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = refuse
}

// send gives the session a batch to send on the link that is up.
func (d *device) send(b *wire.StatusBatch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.statuses <- b
}

func (d *device) counts() (ups, downs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ups, d.downs
}

// rig is a device's session and a server that the test plays.
type rig struct {
	t       *testing.T
	net     *memnet.Network
	server  *quicnet.Endpoint
	tls     *tlsnet.Endpoint
	accept  link.Listener
	learnt  [][]string // what the session was told to keep
	told    []string   // how the links travelled, as the region was told
	device  *device
	session *session.Session
	facts   *facts
	restart func() // of the server, which forgets all links
	stop    func()
}

// resetKey is what a server keeps over restarts.
var resetKey = [trust.SecretBytes]byte{7}

// facts are the node's attributes, which a test changes.
type facts struct {
	mu      sync.Mutex
	now     map[string]string
	changed chan struct{}
}

func (f *facts) get() (map[string]string, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.changed
}

func (f *facts) set(now map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.now, f.changed = now, make(chan struct{})
}

func newRig(t *testing.T) *rig { return newRigWith(t, func(*session.Options) { /* as it is */ }) }

func newMeteredRig(t *testing.T, m *session.Meter) *rig {
	return newRigWith(t, func(o *session.Options) { o.Meter = m })
}

func newRigWith(t *testing.T, change func(*session.Options)) *rig {
	t.Helper()
	r := &rig{t: t, net: memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond}), device: &device{ended: make(chan struct{})},
		facts: &facts{now: map[string]string{"board.model": "x", "power.source": "mains"}, changed: make(chan struct{})}}
	region := linktest.NewRegion(t, "testland")
	r.server = r.endpoint(serverAddr, quicnet.Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge), ResetKey: resetKey})
	r.restart = func() {
		// Killed without a word: nothing of its end gets out.
		r.net.Isolate(serverAddr.Addr())
		if err := r.server.Close(); err != nil {
			t.Fatal(err)
		}
		r.net.HealAll()
		r.server = r.endpoint(serverAddr, quicnet.Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge), ResetKey: resetKey})
		var err error
		if r.accept, err = r.server.Listener(trust.ProtocolEdge); err != nil {
			t.Fatal(err)
		}
	}
	client := r.endpoint(nodeAddr, quicnet.Options{Credentials: region.Client(region.Issue(t, trust.KindNode, nodeID.String(), time.Now()))})
	var err error
	if r.accept, err = r.server.Listener(trust.ProtocolEdge); err != nil {
		t.Fatal(err)
	}
	l, err := r.net.ListenStream(tlsAddr)
	if err != nil {
		t.Fatal(err)
	}
	r.tls = tlsnet.Over(l, tlsnet.Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge)})
	fallback := tlsnet.Over(nil, tlsnet.Options{
		Credentials: region.Client(region.Issue(t, trust.KindNode, nodeID.String(), time.Now())),
		DialTCP: func(ctx context.Context, addr string) (net.Conn, error) {
			return r.net.DialStream(ctx, nodeAddr.Addr(), addr)
		},
	})
	opts := session.Options{
		Dialer: client, TLS: fallback, Servers: []link.Server{{QUIC: serverAddr.String(), TLS: tlsAddr.String()}}, Node: nodeID, Device: r.device, Log: slog.New(slog.DiscardHandler),
		Spec: func(t link.Transport, filtered bool) ([]byte, error) {
			r.device.mu.Lock()
			defer r.device.mu.Unlock()
			r.told = append(r.told, fmt.Sprint(t, " ", filtered))
			return []byte(`{"Name":"n"}`), nil
		},
		Learn: func(addresses []string) error {
			r.device.mu.Lock()
			defer r.device.mu.Unlock()
			r.learnt = append(r.learnt, addresses)
			return nil
		},
		Facts: r.facts.get,
	}
	change(&opts)
	r.session = session.New(opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.session.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
		if err := errors.Join(client.Close(), fallback.Close(), r.server.Close(), r.tls.Close()); err != nil {
			t.Error(err)
		}
	}
	return r
}

func (r *rig) endpoint(at netip.AddrPort, o quicnet.Options) *quicnet.Endpoint {
	r.t.Helper()
	s, err := r.net.Listen(at)
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := quicnet.Over(s, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// serve takes the device's next link and answers its registration.
func (r *rig) serve(w *wire.Welcome) link.Link {
	r.t.Helper()
	return r.serveFrom(r.accept, w)
}

func (r *rig) serveFrom(accept link.Listener, w *wire.Welcome) link.Link {
	r.t.Helper()
	l, err := accept.Accept(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	st, kind := r.stream(l)
	var m wire.Register
	if err := wire.Read(st, &m); err != nil || kind != wire.KindRegister || string(m.Spec) != `{"Name":"n"}` || m.Held.N != 5 {
		r.t.Fatalf("registered with %+v (stream %d): %v", m, kind, err)
	}
	if err := errors.Join(wire.Write(st, w), st.Close()); err != nil {
		r.t.Fatal(err)
	}
	return l
}

func welcome() *wire.Welcome {
	return &wire.Welcome{RegionID: fleet.UUID{1}, Epoch: 1, BeatEvery: int64(30 * time.Second), ServerName: "s1"}
}

func (r *rig) stream(l link.Link) (link.Stream, wire.Kind) {
	r.t.Helper()
	st, err := l.AcceptStream(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var h wire.Header
	if err := wire.Read(st, &h); err != nil || h.Node != nodeID {
		r.t.Fatalf("header %+v: %v", h, err)
	}
	return st, h.Kind
}

// open opens a stream to the device with a first message.
func (r *rig) open(l link.Link, kind wire.Kind, m wire.Message) link.Stream {
	r.t.Helper()
	st, err := l.OpenStream(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := errors.Join(wire.Write(st, &wire.Header{Kind: kind, Node: nodeID}), wire.Write(st, m)); err != nil {
		r.t.Fatal(err)
	}
	return st
}

func TestConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		time.Sleep(time.Second) // packets take their time

		st := r.open(l, wire.KindDesired, &wire.Desired{Gen: wire.Generation{Epoch: 1, N: 6}})
		for n := uint64(6); n < 9; n++ {
			var ack wire.DesiredAck
			if err := wire.Read(st, &ack); err != nil || ack.Gen.N != n {
				t.Fatalf("acknowledged %+v: %v", ack, err)
			}
			if err := wire.Write(st, &wire.Desired{Gen: wire.Generation{Epoch: 1, N: n + 1}}); err != nil {
				t.Fatal(err)
			}
		}

		begun := time.Now()
		for range 10 {
			b, err := l.ReceiveDatagram(t.Context())
			var beat wire.Beat
			if err != nil || wire.Decode(b, &beat) != nil || beat.Node != nodeID {
				t.Fatalf("beat %+v: %v", beat, err)
			}
		}
		if took := time.Since(begun); took < 4*time.Minute || took > 5*time.Minute+30*time.Second {
			t.Errorf("ten beats took %s", took)
		}

		var status link.Stream
		for seq := uint64(1); seq < 4; seq++ {
			r.device.send(&wire.StatusBatch{Seq: seq, Full: seq == 1})
			if status == nil {
				var kind wire.Kind
				if status, kind = r.stream(l); kind != wire.KindStatus {
					t.Fatalf("statuses come on a stream of kind %d", kind)
				}
			}
			var b wire.StatusBatch
			if err := errors.Join(wire.Read(status, &b), wire.Write(status, &wire.StatusAck{Seq: b.Seq})); err != nil || b.Seq != seq {
				t.Fatalf("batch %d: %v", b.Seq, err)
			}
			time.Sleep(time.Second)
			if seq == 2 { // a quiet device ends the stream, and opens another with its next news
				quiet := time.Now()
				if rest, err := io.ReadAll(status); len(rest) > 0 || err != nil || time.Since(quiet) > session.StatusIdle {
					t.Errorf("after %s without news the stream gives %q, %v; want its end", time.Since(quiet), rest, err)
				}
				if err := status.Close(); err != nil {
					t.Error(err)
				}
				status = nil
			}
		}
		r.device.mu.Lock()
		if n := len(r.device.acked); n != 3 {
			t.Errorf("%d acknowledgements arrived", n)
		}
		r.device.mu.Unlock()

		if s := r.session.State(); !s.Up || s.Server != "s1" || s.Address != serverAddr.String() {
			t.Errorf("the link's state is %+v", s)
		}
		if ups, downs := r.device.counts(); ups != 1 || downs != 0 {
			t.Errorf("up %d times, down %d times", ups, downs)
		}
	})
}

func TestReconnectsWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		l := r.serve(welcome())
		time.Sleep(2 * reach.StableAfter)
		r.net.Isolate(serverAddr.Addr())
		<-l.Context().Done()
		time.Sleep(10 * time.Minute)
		if s := r.session.State(); s.Up || s.Reason == "" {
			t.Fatalf("isolated for ten minutes, the state is %+v", s)
		}
		r.net.HealAll()
		begun := time.Now()
		r.serve(welcome())
		// At worst an attempt by each transport had just begun, then comes the pause, then the attempt that gets through.
		if took := time.Since(begun); took > 2*reach.DialTimeout+reach.PauseMax+time.Second {
			t.Errorf("the link came back after %s", took)
		}
		time.Sleep(time.Second) // packets take their time
		if ups, downs := r.device.counts(); ups != 2 || downs != 1 {
			t.Errorf("up %d times, down %d times", ups, downs)
		}
	})
}

func TestNonsenseEndsTheLink(t *testing.T) {
	later := func(r *rig, l link.Link, what func(link.Stream) error) {
		st, err := l.OpenStream(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if err := what(st); err != nil {
			r.t.Fatal(err)
		}
	}
	for name, play := range map[string]func(*rig, link.Link){
		"no header": func(r *rig, l link.Link) {
			later(r, l, func(st link.Stream) error { _, err := io.WriteString(st, "GET / HTTP/1.1\r\n\r\n"); return err })
		},
		"an oversized frame": func(r *rig, l link.Link) {
			later(r, l, func(st link.Stream) error {
				return errors.Join(wire.Write(st, &wire.Header{Kind: wire.KindDesired, Node: nodeID}), func() error {
					_, err := st.Write(binary.BigEndian.AppendUint32(nil, wire.FrameBytesMax+1))
					return err
				}())
			})
		},
		"a kind that devices open": func(r *rig, l link.Link) { r.open(l, wire.KindRegister, &wire.Beat{}) },
		"another message":          func(r *rig, l link.Link) { r.open(l, wire.KindDesired, &wire.Beat{}) },
		"a desired state that is refused": func(r *rig, l link.Link) {
			r.device.obey("it is older")
			r.open(l, wire.KindDesired, &wire.Desired{})
		},
		"an acknowledgement of nothing": func(r *rig, l link.Link) {
			r.device.send(&wire.StatusBatch{Seq: 4})
			st, _ := r.stream(l)
			if err := wire.Write(st, &wire.StatusAck{Seq: 9}); err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				l := r.serve(welcome())
				time.Sleep(time.Second) // packets take their time
				play(r, l)
				<-l.Context().Done()
				if c, ok := link.Closed(context.Cause(l.Context())); !ok || c.Code != link.CodeProtocol || c.Reason == "" {
					t.Errorf("the link ended with %v", context.Cause(l.Context()))
				}
				r.device.obey("")
				r.serve(welcome())      // it comes back
				time.Sleep(time.Second) // packets take their time
				if ups, downs := r.device.counts(); ups != 2 || downs != 1 {
					t.Errorf("up %d times, down %d times", ups, downs)
				}
			})
		})
	}
}

func TestWelcomesThatAreNone(t *testing.T) {
	for name, change := range map[string]func(*wire.Welcome){
		"refused":        func(w *wire.Welcome) { w.Refusal = "this node was revoked" },
		"another region": func(w *wire.Welcome) { w.RegionID = fleet.UUID{2} },
		"beat of zero":   func(w *wire.Welcome) { w.BeatEvery = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				w := welcome()
				change(w)
				l := r.serve(w)
				<-l.Context().Done()
				time.Sleep(time.Second) // packets take their time
				if ups, downs := r.device.counts(); ups != 0 || downs != 0 {
					t.Errorf("up %d times, down %d times", ups, downs)
				}
				if s := r.session.State(); s.Up || s.Reason == "" || w.Refusal != "" && !strings.Contains(s.Reason, w.Refusal) {
					t.Errorf("the state is %+v", s)
				}
			})
		})
	}
}

func TestLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.device.logs = t.TempDir()
		out, err := tasklog.NewWriter(tasklog.Options{Dir: r.device.logs, Task: "main", Stream: tasklog.Stdout})
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		say := func(s string) {
			if _, err := io.WriteString(out, s); err != nil {
				t.Fatal(err)
			}
		}
		say("one\ntwo\n")
		l := r.serve(welcome())
		ask := func(q *wire.LogRequest) (link.Stream, string) {
			st := r.open(l, wire.KindLogs, q)
			var a wire.LogAnswer
			if err := wire.Read(st, &a); err != nil {
				t.Fatal(err)
			}
			return st, a.Error
		}
		if _, refusal := ask(&wire.LogRequest{Alloc: fleet.UUID{9}, Stream: "stdout"}); !strings.Contains(refusal, "is not on this device") {
			t.Errorf("an absent allocation: %q", refusal)
		}
		if _, refusal := ask(&wire.LogRequest{Alloc: fleet.UUID{3}, Stream: "stdlog"}); !strings.Contains(refusal, "stdlog") {
			t.Errorf("an absent stream: %q", refusal)
		}
		for want, q := range map[string]*wire.LogRequest{
			"one\ntwo\n": {}, "two\n": {TailLines: 1}, "wo\n": {FromEnd: true, Offset: 3}, "": {Offset: 1 << 63},
		} {
			q.Alloc, q.Stream = fleet.UUID{3}, "stdout"
			st, refusal := ask(q)
			if b, err := io.ReadAll(st); err != nil || string(b) != want || refusal != "" {
				t.Errorf("%+v gave %q, %v, %q; want %q", q, b, err, refusal, want)
			}
		}
		st, _ := ask(&wire.LogRequest{Alloc: fleet.UUID{3}, Stream: "stdout", Follow: true})
		gone, _ := ask(&wire.LogRequest{Alloc: fleet.UUID{3}, Stream: "stdout", Follow: true})
		gone.Reset(link.CodeCanceled)
		time.Sleep(time.Minute)
		say("three\n")
		time.Sleep(time.Minute)
		close(r.device.ended)
		if b, err := io.ReadAll(st); err != nil || string(b) != "one\ntwo\nthree\n" {
			t.Errorf("followed: %q, %v", b, err)
		}
		if err := os.RemoveAll(r.device.logs); err != nil {
			t.Fatal(err)
		}
		if _, refusal := ask(&wire.LogRequest{Alloc: fleet.UUID{3}, Stream: "stdout"}); !strings.Contains(refusal, "not been started") {
			t.Errorf("a task without folder: %q", refusal)
		}
		if ups, downs := r.device.counts(); ups != 1 || downs != 0 {
			t.Errorf("up %d times, down %d times", ups, downs)
		}
	})
}

func TestModule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		if _, err := r.session.Module(t.Context(), &wire.ModuleRequest{Digest: "sha256:x"}); !errors.Is(err, session.ErrNoLink) {
			t.Errorf("without a link: %v", err)
		}
		l := r.serve(welcome())
		time.Sleep(time.Second) // packets take their time
		done := make(chan error, 1)
		go func() {
			x, err := r.session.Module(t.Context(), &wire.ModuleRequest{Digest: "sha256:x", Holds: []string{"sha256:w"}})
			if err != nil {
				done <- err
				return
			}
			err = x.From(2)
			b, readErr := io.ReadAll(x)
			if string(b) != "dule" || x.Answer().FormSize != 6 {
				err = fmt.Errorf("%+v announced, got %q: %w", x.Answer(), b, err)
			}
			done <- errors.Join(err, readErr, x.Close())
		}()
		st, kind := r.stream(l)
		var q wire.ModuleRequest
		if err := wire.Read(st, &q); err != nil || kind != wire.KindModule || len(q.Holds) != 1 {
			t.Fatalf("asked %+v on a stream of kind %d: %v", q, kind, err)
		}
		if err := wire.Write(st, &wire.ModuleAnswer{Encoding: wire.EncodingWhole, Size: 6, FormSize: 6}); err != nil {
			t.Fatal(err)
		}
		var from wire.ModuleFrom
		if err := wire.Read(st, &from); err != nil || from.Offset != 2 {
			t.Fatalf("asked from %d: %v", from.Offset, err)
		}
		if _, err := io.WriteString(st, "dule"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(st.Close(), <-done); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := r.session.Module(t.Context(), &wire.ModuleRequest{Digest: "sha256:y"})
			done <- err
		}()
		st, _ = r.stream(l)
		if err := errors.Join(wire.Read(st, &q), wire.Write(st, &wire.ModuleAnswer{Error: "no such module"}), st.Close()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "no such module") {
			t.Errorf("refused: %v", err)
		}
	})
}

func TestNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session.New(session.Options{Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		go s.Run(ctx)
		time.Sleep(time.Second) // packets take their time
		if got := s.State().Reason; !strings.Contains(got, "no server is configured") {
			t.Errorf("the state says %q", got)
		}
		cancel()
	})
}
