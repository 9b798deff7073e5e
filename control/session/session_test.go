package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
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

// signs records what liveness is told.
type signs struct{ up, beat, down chan fleet.UUID }

func (s *signs) LinkUp(n fleet.UUID)             { s.up <- n }
func (s *signs) Beat(n fleet.UUID)               { s.beat <- n }
func (s *signs) LinkDown(n fleet.UUID, _ string) { s.down <- n }

type shelf map[string][]byte

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func (s shelf) Form(_ context.Context, req *wire.ModuleRequest) (wire.ModuleAnswer, io.ReadSeekCloser, error) {
	b, ok := s[req.Digest]
	if !ok {
		return wire.ModuleAnswer{}, nil, errors.New("no such module")
	}
	a := wire.ModuleAnswer{Encoding: wire.EncodingWhole, Size: uint64(len(b)), Form: req.Digest, FormSize: uint64(len(b))}
	return a, nopCloser{bytes.NewReader(b)}, nil
}

// region is a real server side over QUIC on loopback.
type region struct {
	*Sessions
	log   *direct
	signs *signs
	trust *linktest.Region
	addr  string
	said  *journal
	stop  func() // ends Serve
	// open opens an endpoint at an address, "" for a device's.
	open func(addr string, o quicnet.Options) (*quicnet.Endpoint, error)
}

// journal is the server's log.
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

// patient is how long anything here may take that takes milliseconds: what hangs says where, and a busy machine is not taken for it.
const patient = 45 * time.Second

// within takes the next of what is told.
func within[T any](t *testing.T, what string, told <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-told:
	case <-time.After(patient):
		t.Fatalf("no %s within %s", what, patient)
	}
	return v
}

func newRegion(t *testing.T) *region {
	t.Helper()
	return newRegionOver(t, quicnet.Open, "127.0.0.1:0", 16)
}

// newRegionOver is a region whose endpoints open opens; signs is how many signs of life may wait to be looked at.
func newRegionOver(t *testing.T, open func(string, quicnet.Options) (*quicnet.Endpoint, error), addr string, most int) *region {
	t.Helper()
	r := &region{
		trust: linktest.NewRegion(t, "global"), open: open, said: &journal{},
		signs: &signs{make(chan fleet.UUID, most), make(chan fleet.UUID, most), make(chan fleet.UUID, most)},
	}
	server := r.trust.Issue(t, trust.KindServer, "s1", time.Now())
	end, err := open(addr, quicnet.Options{ServerTLS: r.trust.ServerTLS(t, server, trust.ProtocolEdge)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := end.Listener(trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	st := state.New()
	r.log, r.addr = &direct{store: st}, end.Addr().String()
	r.propose(t, &command.RegionFound{ID: fleet.UUID{1}, Name: "global", Epoch: 1})
	r.Sessions = New(Config{
		Store: st, Log: r.log, Liveness: r.signs, Modules: shelf{moduleA: []byte("0123456789"), moduleB: []byte("secret")}, ServerName: "s1",
		BeatEvery: time.Second, Now: time.Now, Logger: slog.New(slog.NewTextHandler(r.said, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, end.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *region) propose(t *testing.T, cmd command.Command) any {
	t.Helper()
	result, err := r.log.Propose(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// device is the other end, spoken by hand.
type device struct {
	t    *testing.T
	id   fleet.UUID
	link link.Link
}

func (r *region) dial(t *testing.T, kind trust.Kind, certID string, id fleet.UUID) *device {
	t.Helper()
	return r.dialWith(t, r.trust.Issue(t, kind, certID, time.Now()), id)
}

func (r *region) dialWith(t *testing.T, m *trust.Material, id fleet.UUID) *device {
	t.Helper()
	end, err := r.open("", quicnet.Options{Credentials: r.trust.Client(m)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	})
	l, err := end.Dial(t.Context(), r.addr, trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	return &device{t, id, l}
}

// tryDial dials with a certificate of a kind that may not.
func (r *region) tryDial(t *testing.T, kind trust.Kind) error {
	t.Helper()
	end, err := quicnet.Open("", quicnet.Options{Credentials: r.trust.Client(r.trust.Issue(t, kind, "x", time.Now()))})
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	_, err = end.Dial(t.Context(), r.addr, trust.ProtocolEdge)
	return err
}

func (r *region) node(t *testing.T, id fleet.UUID) *device {
	return r.dial(t, trust.KindNode, id.String(), id)
}

func (d *device) open(kind wire.Kind) link.Stream {
	d.t.Helper()
	st, err := d.link.OpenStream(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.send(st, &wire.Header{Kind: kind, Node: d.id})
	return st
}

func (d *device) send(st link.Stream, m wire.Message) {
	d.t.Helper()
	if err := wire.Write(st, m); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) read(st link.Stream, m wire.Message) {
	d.t.Helper()
	if err := st.SetReadDeadline(time.Now().Add(patient)); err != nil {
		d.t.Fatal(err)
	}
	if err := wire.Read(st, m); err != nil {
		d.t.Fatal(err)
	}
}

// register registers and returns the answer and the stream of desired states.
func (d *device) register(m wire.Register) (wire.Welcome, link.Stream) {
	d.t.Helper()
	spec, err := json.Marshal(fleet.Node{
		ID: fleet.NodeID(d.id.String()), Name: "n", Datacenter: "dc1",
		NodeResources: fleet.NodeResources{CPU: fleet.NodeCPU{CPUShares: 1000}, Memory: fleet.NodeMemory{MemoryMB: 1000}},
		Drivers:       map[string]fleet.DriverInfo{"raw_exec": {Detected: true, Healthy: true}},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	m.Spec = spec
	st := d.open(wire.KindRegister)
	d.send(st, &m)
	var w wire.Welcome
	d.read(st, &w)
	if w.Refusal != "" {
		return w, nil
	}
	pushed, err := d.link.AcceptStream(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	var h wire.Header
	d.read(pushed, &h)
	if h.Kind != wire.KindDesired || h.Node != d.id {
		d.t.Fatalf("pushed stream %+v", h)
	}
	return w, pushed
}

func (d *device) desired(st link.Stream) wire.Desired {
	d.t.Helper()
	var m wire.Desired
	d.read(st, &m)
	d.send(st, &wire.DesiredAck{Gen: m.Gen})
	return m
}

// place gives the node one allocation of a fresh job.
func (r *region) place(t *testing.T, node, alloc fleet.UUID, job fleet.JobID) {
	t.Helper()
	r.placeTask(t, node, alloc, job, fleet.Task{Name: "t", Driver: "raw_exec", Config: []byte(`{"command":"true"}`)})
}

// The modules of the test's region.
var (
	moduleA = "sha256:" + strings.Repeat("aa", 32)
	moduleB = "sha256:" + strings.Repeat("bb", 32)
)

// placeModule gives the node one allocation that runs a module.
func (r *region) placeModule(t *testing.T, node, alloc fleet.UUID, job fleet.JobID, digest string) {
	t.Helper()
	r.placeTask(t, node, alloc, job, fleet.Task{Name: "t", Driver: "wasm", Config: []byte(`{"module":"` + digest + `"}`)})
}

func (r *region) placeTask(t *testing.T, node, alloc fleet.UUID, job fleet.JobID, task fleet.Task) {
	t.Helper()
	j := &fleet.Job{ID: job, TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{task}}}}
	fleet.Canonicalize(j)
	r.propose(t, &command.JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: fleet.UUID{alloc[0], 9}})
	r.propose(t, &command.Plan{
		Eval: fleet.UUID{alloc[0], 9}, Namespace: "default", Job: job,
		Groups: []command.Placements{{Nodes: []state.NodeKey{r.Store.View().NodeByID(node).Key}, Names: []uint32{0}, IDs: []fleet.UUID{alloc}}},
	})
}

func TestPushSendsDifferencesAndStatusIsAckedOnceCommitted(t *testing.T) {
	r := newRegion(t)
	id, alloc := fleet.UUID{7}, fleet.UUID{42}
	d := r.node(t, id)
	w, pushed := d.register(wire.Register{})
	if w.RegionID != (fleet.UUID{1}) || w.Epoch != 1 || within(t, "sign of the link", r.signs.up) != id {
		t.Fatalf("welcome %+v", w)
	}
	first := d.desired(pushed)
	if !first.Full || len(first.Allocs) != 0 {
		t.Errorf("first contact: %+v", first)
	}
	r.place(t, id, alloc, "app")
	m := d.desired(pushed)
	if m.Full || len(m.Allocs) != 1 || m.Allocs[0].ID != alloc || len(m.Jobs) != 1 || !first.Gen.Less(m.Gen) {
		t.Fatalf("difference: %+v", m)
	}
	st := d.open(wire.KindStatus)
	d.send(st, &wire.StatusBatch{Seq: 5, Allocs: []wire.AllocStatus{{ID: alloc, Status: fleet.ClientRunning}}})
	var ack wire.StatusAck
	d.read(st, &ack)
	if ack.Seq != 5 || r.Store.View().AllocByID(alloc).Observed != state.ObservedRunning {
		t.Errorf("ack %d before the status was committed", ack.Seq)
	}
	if err := d.link.SendDatagram(wire.EncodeDatagram(&wire.Beat{Node: id, Seq: 1})); err != nil {
		t.Fatal(err)
	}
	if got := within(t, "beat", r.signs.beat); got != id {
		t.Errorf("beat of %s", got)
	}
	if err := d.link.Close(link.CodeDone, "bye"); err != nil {
		t.Fatal(err)
	}
	if got := within(t, "sign of the link's end", r.signs.down); got != id {
		t.Errorf("down of %s", got)
	}
	// It comes back and holds what it was told: nothing is said twice.
	d = r.node(t, id)
	_, pushed = d.register(wire.Register{RegionID: w.RegionID, Held: m.Gen})
	if again := d.desired(pushed); again.Full || len(again.Allocs) != 0 {
		t.Errorf("after the link's return: %+v", again)
	}
}

func TestANewerLinkReplacesTheOlder(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	m := r.trust.Issue(t, trust.KindNode, id.String(), time.Now())
	old := r.dialWith(t, m, id)
	old.register(wire.Register{Place: fleet.UUID{1}})
	r.dialWith(t, m, id).register(wire.Register{Place: fleet.UUID{1}})
	if c := closedWith(t, old.link); c.Code != link.CodeReplaced {
		t.Errorf("the old link ended with %v", c)
	}
	if !r.Connected(id) {
		t.Error("the end of the old link took the new one with it")
	}
}

func TestAStreamOfAnotherNodeIsRefused(t *testing.T) {
	r := newRegion(t)
	d := r.dial(t, trust.KindNode, fleet.UUID{7}.String(), fleet.UUID{8})
	d.open(wire.KindRegister)
	if c := closedWith(t, d.link); c.Code != link.CodeRefused {
		t.Errorf("the link ended with %v", c)
	}
	if r.Store.View().NodeCount() != 0 {
		t.Error("a node was registered under another's certificate")
	}
	// A gateway may: it speaks for many.
	g := r.dial(t, trust.KindGateway, "sim", fleet.UUID{9})
	if w, _ := g.register(wire.Register{}); w.Refusal != "" {
		t.Errorf("a gateway was refused: %s", w.Refusal)
	}
}

func TestFactsAreADifference(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	d := r.node(t, id)
	d.register(wire.Register{})
	st := d.open(wire.KindFacts)
	d.send(st, &wire.Facts{Seq: 1, Set: []wire.Attribute{{Name: "power.source", Value: "battery"}}})
	var ack wire.FactsAck
	d.read(st, &ack)
	if got := r.Store.View().NodeByID(id).Spec; ack.Seq != 1 || got.Attributes["power.source"] != "battery" || got.Name != "n" {
		t.Errorf("ack %d, the node is %+v", ack.Seq, got)
	}
	// One stream is enough, and what has no name is refused: by the stream's end, not by the link's.
	again := d.open(wire.KindFacts)
	d.send(again, &wire.Facts{Seq: 1})
	if err := wire.Read(again, &ack); err == nil {
		t.Error("a second stream of facts was served")
	}
	d2 := r.node(t, fleet.UUID{8})
	d2.register(wire.Register{})
	bad := d2.open(wire.KindFacts)
	d2.send(bad, &wire.Facts{Seq: 1, Set: []wire.Attribute{{Value: "x"}}})
	if err := wire.Read(bad, &ack); err == nil {
		t.Error("a fact without a name was taken")
	}
	if d2.link.Context().Err() != nil || d.link.Context().Err() != nil {
		t.Error("the link ended with the stream")
	}
}

func TestADeviceOfAnotherRegionIsRefusedInWords(t *testing.T) {
	r := newRegion(t)
	w, _ := r.node(t, fleet.UUID{7}).register(wire.Register{RegionID: fleet.UUID{99}})
	if !strings.Contains(w.Refusal, "belongs to region") {
		t.Errorf("refusal %q", w.Refusal)
	}
}

func TestModuleFromAnOffset(t *testing.T) {
	r := newRegion(t)
	d := r.node(t, fleet.UUID{7})
	d.register(wire.Register{})
	r.placeModule(t, d.id, fleet.UUID{41}, "a", moduleA)
	missing := "sha256:" + strings.Repeat("cc", 32)
	r.placeModule(t, d.id, fleet.UUID{42}, "c", missing)
	for _, tc := range []struct {
		req  wire.ModuleRequest
		from uint64
		body string
		fail string
	}{
		{wire.ModuleRequest{Digest: moduleA}, 0, "0123456789", ""},
		{wire.ModuleRequest{Digest: moduleA}, 7, "789", ""},
		{wire.ModuleRequest{Digest: moduleA}, 10, "", ""},
		{wire.ModuleRequest{Digest: missing}, 0, "", "no such module"},
	} {
		st := d.open(wire.KindModule)
		d.send(st, &tc.req)
		var a wire.ModuleAnswer
		d.read(st, &a)
		if !strings.Contains(a.Error, tc.fail) || (a.Error == "") != (tc.fail == "") {
			t.Errorf("%+v: %q", tc.req, a.Error)
			continue
		}
		if a.Error != "" {
			continue
		}
		d.send(st, &wire.ModuleFrom{Offset: tc.from})
		if b, err := io.ReadAll(st); err != nil || string(b) != tc.body {
			t.Errorf("%+v: %q, %v", tc.req, b, err)
		}
	}
}

func TestAnOffsetBeyondTheFormIsRefused(t *testing.T) {
	r := newRegion(t)
	d := r.node(t, fleet.UUID{7})
	d.register(wire.Register{})
	r.placeModule(t, d.id, fleet.UUID{41}, "a", moduleA)
	st := d.open(wire.KindModule)
	d.send(st, &wire.ModuleRequest{Digest: moduleA})
	d.read(st, &wire.ModuleAnswer{})
	d.send(st, &wire.ModuleFrom{Offset: 11})
	if b, err := io.ReadAll(st); len(b) > 0 || err == nil {
		t.Errorf("%d bytes came: %v", len(b), err)
	}
}

func TestLogsOfADevice(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	if _, err := r.Logs(t.Context(), id, wire.LogRequest{}); !errors.Is(err, ErrNotConnected) {
		t.Fatalf("an absent device: %v", err)
	}
	d := r.node(t, id)
	d.register(wire.Register{})
	go func() {
		st, err := d.link.AcceptStream(context.Background())
		if err != nil {
			return
		}
		var h wire.Header
		var req wire.LogRequest
		if wire.Read(st, &h) == nil && wire.Read(st, &req) == nil && h.Kind == wire.KindLogs {
			_ = wire.Write(st, &wire.LogAnswer{})
			_, _ = io.WriteString(st, "output of "+req.Task)
			_ = st.CloseWrite()
		}
	}()
	log, err := r.Logs(t.Context(), id, wire.LogRequest{Task: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if b, err := io.ReadAll(log); err != nil || string(b) != "output of web" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestStatusesAreSplitOverEntries(t *testing.T) {
	st := state.New()
	counting := &counter{}
	s := New(Config{Store: st, Log: counting, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	big := wire.AllocStatus{Status: fleet.ClientRunning, Description: strings.Repeat("x", 4000)}
	var jobs []statusJob
	for range 3 {
		j := statusJob{done: make(chan error, 1)}
		for range 300 {
			j.report.Allocs = append(j.report.Allocs, big)
		}
		jobs = append(jobs, j)
	}
	s.commit(t.Context(), jobs)
	for i, j := range jobs {
		if err := <-j.done; err != nil {
			t.Errorf("batch %d: %v", i, err)
		}
	}
	if counting.allocs != 900 || counting.largest > command.EntryBytesMax/2 || counting.entries < 3 {
		t.Errorf("%+v", counting)
	}
}

type counter struct{ entries, allocs, largest int }

func (c *counter) Propose(_ context.Context, cmd any) (any, error) {
	s := cmd.(*command.Statuses)
	c.entries++
	for _, n := range s.Nodes {
		c.allocs += len(n.Allocs)
	}
	c.largest = max(c.largest, len(command.Encode(s)))
	return nil, nil
}
