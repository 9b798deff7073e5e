package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/module"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// region is a region of one process: a real store, whose log applies commands at
// once, and devices and modules made of strings.
type region struct {
	t     *testing.T
	store *state.Store
	index uint64
	now   time.Time

	mu        sync.Mutex
	proposals int
	refuse    error // Propose answers it
	noLeader  bool
	refusing  map[state.NodeKey]*fleet.RefusedPlans
	linked    map[fleet.UUID]bool
	output    func(ctx context.Context, req wire.LogRequest) (io.ReadCloser, error)
	files     func(ctx context.Context, req wire.FsRequest) (*wire.FsAnswer, func() (*wire.FsPiece, error), error)
	command   func(ctx context.Context, req wire.ExecRequest) (func(*wire.ExecInput) error, func() (*wire.ExecOutput, error), error)
	modules   map[string][]byte
	plan      *PlanResult
	unhealthy bool
}

func newRegion(t *testing.T) *region {
	g := &region{t: t, store: state.New(), now: time.Unix(1_800_000_000, 0), linked: map[fleet.UUID]bool{}, modules: map[string][]byte{}}
	g.commit(func(x *state.Txn, i uint64) { x.SetRegion(state.Region{ID: id(1), Name: "eu", Epoch: 1}) })
	return g
}

func (g *region) api(access Access) *API {
	return New(Config{
		Region: "eu", ServerName: "s1", Datacenter: "dc1", Store: g.store, Log: g, Sessions: g, Modules: g, Enroll: g, Info: g, Planner: g,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "dunlin_index 7\n") }),
		Access:  access, Now: func() time.Time { return g.now }, Logger: slog.New(slog.DiscardHandler),
	})
}

// client serves the region on a loopback port and returns a client of it.
func (g *region) client(c api.Config) *api.Client {
	g.t.Helper()
	server := httptest.NewServer(g.api(Access{Loopback: true}))
	g.t.Cleanup(server.Close)
	c.Address = server.URL
	client, err := api.New(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(client.Close)
	return client
}

func (g *region) commit(f func(x *state.Txn, index uint64)) {
	g.index++
	x := g.store.Begin()
	f(x, g.index)
	x.Commit(g.index)
}

func id(n byte) fleet.UUID {
	var u fleet.UUID
	u[0], u[15] = n, n
	return u
}

// Propose applies a command as the log would.
func (g *region) Propose(_ context.Context, cmd any) (uint64, any, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proposals++
	if g.refuse != nil {
		return 0, nil, g.refuse
	}
	g.index++
	x := g.store.Begin()
	result, err := command.Apply(x, g.index, command.Encode(cmd.(command.Command)))
	if err != nil {
		return 0, nil, err
	}
	x.Commit(g.index)
	return g.index, result, nil
}

// Traffic is that of every device that was ever linked.
func (g *region) Traffic(node fleet.UUID) (traffic.Book, bool) {
	_, known := g.linked[node]
	b := traffic.Book{}
	b.Settle(traffic.Tally{traffic.Beat: {Sent: 1, Received: 20}}, 0, g.now)
	return b, known
}

// AskTraffic is answered by linked devices, which have counted more than this server.
func (g *region) AskTraffic(_ context.Context, node fleet.UUID) (*wire.TrafficAnswer, error) {
	if !g.linked[node] {
		return nil, errors.New("the device is not connected")
	}
	a := &wire.TrafficAnswer{Links: 3, Budget: 50e6}
	a.Book.Settle(traffic.Tally{traffic.Modules: {Sent: 7, Received: 32e6}}, 0, g.now)
	return a, nil
}

// node adds a device; linked ones answer for logs.
func (g *region) node(n byte, name string, link fleet.LinkState) *state.Node {
	g.linked[id(n)] = link == fleet.LinkOnline
	var row *state.Node
	g.commit(func(x *state.Txn, i uint64) {
		row = x.PutNode(state.Node{ID: id(n), Link: link, LinkSince: g.now.Add(-time.Hour).UnixNano(), Spec: &fleet.Node{Name: name, ID: fleet.NodeID(id(n).String())}}, i)
	})
	return row
}

// alloc places the job's first group on a node.
func (g *region) alloc(n byte, job fleet.JobID, node *state.Node, detail *state.AllocDetail) {
	g.commit(func(x *state.Txn, i uint64) {
		j := x.JobByID(fleet.DefaultNamespace, job)
		rows := []*state.Alloc{{ID: id(n), Version: j.Current(), Node: node.Key, Observed: state.ObservedRunning, Detail: detail}}
		for e := range x.EvalsByJob(j.Namespace, j.ID) {
			rows[0].Eval = e.ID
		}
		if err := x.InsertAllocs(rows, i); err != nil {
			g.t.Error(err)
		}
	})
}

func (g *region) Connected(node fleet.UUID) bool { return g.linked[node] }

func (g *region) Logs(ctx context.Context, _ fleet.UUID, req wire.LogRequest) (io.ReadCloser, error) {
	return g.output(ctx, req)
}

func (g *region) Files(ctx context.Context, _ fleet.UUID, req wire.FsRequest) (*wire.FsAnswer, func() (*wire.FsPiece, error), error) {
	return g.files(ctx, req)
}

func (g *region) Exec(ctx context.Context, _ fleet.UUID, req wire.ExecRequest) (func(*wire.ExecInput) error, func() (*wire.ExecOutput, error), error) {
	return g.command(ctx, req)
}

func (g *region) Written(context.Context, fleet.UUID) (*fleet.DiskWrites, error) {
	return &fleet.DiskWrites{Total: fleet.WriteClasses{State: 7}}, nil
}

func (g *region) Put(_ context.Context, digest, name string, size int64, r io.Reader) (fleet.Module, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return fleet.Module{}, err
	}
	if got := digestText(b); got != digest {
		return fleet.Module{}, fmt.Errorf("the bytes have digest %s, not %s", got, digest)
	}
	g.modules[digest] = b
	m := fleet.Module{Digest: digest, Name: name, SizeBytes: size}
	g.commit(func(x *state.Txn, i uint64) {
		m.CreateIndex = i
		x.PutModule(m)
	})
	return m, nil
}

func digestText(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (g *region) Has(digest string) bool { return g.modules[digest] != nil }

func (g *region) Open(digest string) (io.ReadSeekCloser, int64, error) {
	b := g.modules[digest]
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(b), io.NopCloser(nil)}, int64(len(b)), nil
}

func (g *region) Inspect(digest string) (module.Info, error) {
	return module.Info{Language: module.Go, Imports: []module.Import{{Module: "wasi_snapshot_preview1", Name: "fd_write", Kind: "func"}}}, nil
}

func (g *region) Invite(_ context.Context, r *api.InviteRequest) (*api.InviteResponse, error) {
	if strings.Contains(r.Name, " ") {
		return nil, fmt.Errorf("%q cannot be a device's name", r.Name)
	}
	return &api.InviteResponse{Invite: "dunlin1:" + r.Name, ExpiresAt: g.now.Add(r.TTL.Std()).UnixNano()}, nil
}

func (g *region) Leader() (string, bool)     { return "10.0.0.1:4647", !g.noLeader }
func (g *region) LastContact() time.Duration { return 7 * time.Millisecond }
func (g *region) Peers() []string            { return []string{"10.0.0.1:4647"} }
func (g *region) Members() []*api.AgentMember {
	return []*api.AgentMember{{Name: "s1.eu", Status: "alive"}}
}
func (g *region) Self() *api.AgentSelf                         { return &api.AgentSelf{Member: api.AgentMember{Name: "s1.eu"}} }
func (g *region) Refusing(n state.NodeKey) *fleet.RefusedPlans { return g.refusing[n] }

func (g *region) Health() *api.AgentHealth {
	return &api.AgentHealth{Server: &api.AgentPartHealth{OK: !g.unhealthy, Message: "words"}}
}

func (g *region) Plan(_ context.Context, job *fleet.Job) (*PlanResult, error) {
	if g.plan == nil {
		return nil, errors.New("no plan was expected")
	}
	return g.plan, nil
}

func (g *region) Why(_ *state.View, job *state.Job, only *state.Node) *fleet.JobExplanation {
	x := &fleet.JobExplanation{JobID: job.ID}
	if only != nil {
		x.NodeName = only.Spec.Name
	}
	return x
}

// do performs one request on the handler itself.
func do(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:4646"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var hello = []byte("\x00asm\x01\x00\x00\x00hello")

// job is a job of one wasm task that the region can run once hello is pushed.
func job(name string) *fleet.Job {
	return &fleet.Job{ID: fleet.JobID(name), TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{{
		Name: "main", Driver: "wasm", Config: json.RawMessage(`{"module":"` + digestText(hello) + `"}`),
	}}}}}
}
