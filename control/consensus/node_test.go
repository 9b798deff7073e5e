package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func module(n int) []byte {
	return command.Encode(command.ModulePut{Module: fleet.Module{Digest: digest(n), SizeBytes: 1}})
}

// alone opens a server alone and waits until it leads.
func alone(t *testing.T, dir string) (*Node, *state.Store) {
	t.Helper()
	store := state.New()
	n, err := Open(Config{Dir: dir, Server: Server{ID: "s1", Addr: "s1"}, Store: store, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	awaitLeader(t, n)
	return n, store
}

// awaitLeader waits until one of the nodes leads and has applied its log.
func awaitLeader(t *testing.T, nodes ...*Node) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		woken := make([]reflect.SelectCase, 0, len(nodes)+1)
		for _, n := range nodes {
			woken = append(woken, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(n.LeaderChanges())})
		}
		for _, n := range nodes {
			if n.IsLeader() && n.Barrier(ctx) == nil {
				return n
			}
		}
		reflect.Select(append(woken, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}))
	}
	t.Fatal("nobody leads")
	return nil
}

func closeNode(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestProposeAndReopen(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := filepath.Join(t.TempDir(), "log")
	n, store := alone(t, dir)
	var last uint64
	for i := range 20 {
		index, result, err := n.Propose(t.Context(), module(i))
		if err != nil || index <= last || result.(fleet.Module).CreateIndex != index {
			t.Fatalf("proposal %d: index %d after %d, %v, %v", i, index, last, result, err)
		}
		last = index
	}
	if store.View().Index() != last {
		t.Errorf("state at %d, log at %d", store.View().Index(), last)
	}
	if _, err := Open(Config{Dir: dir, Server: Server{ID: "s2"}, Store: state.New(), Logger: quiet()}); err == nil ||
		!strings.Contains(err.Error(), "in use") {
		t.Errorf("a folder in use: %v", err)
	}
	closeNode(t, n)
	closeNode(t, n)
	if _, _, err := n.Propose(t.Context(), module(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	n, again := alone(t, dir)
	defer closeNode(t, n)
	if again.View().Hash() != store.View().Hash() {
		t.Error("the reopened state is another")
	}
	if l := n.Leader(); l.ID != "s1" || n.Stats().Role != "leader" || len(n.Members()) != 1 {
		t.Errorf("leader %+v, stats %+v", l, n.Stats())
	}
}

func TestErrorsOfEntriesAreTheProposers(t *testing.T) {
	defer goleak.VerifyNone(t)
	n, store := alone(t, t.TempDir())
	defer closeNode(t, n)
	bad := command.Encode(command.JobDeregister{Namespace: "default", ID: "none"})
	// In one batch with good ones: each gets its own answer, in order.
	var futures []*Future
	for i := range 30 {
		entry := module(i)
		if i%3 == 1 {
			entry = bad
		}
		f, err := n.ProposeAsync(t.Context(), entry)
		if err != nil {
			t.Fatal(err)
		}
		futures = append(futures, f)
	}
	var last uint64
	for i, f := range futures {
		index, _, err := f.Wait(t.Context())
		if (i%3 == 1) != errors.Is(err, command.ErrNoSuchJob) || index <= last {
			t.Errorf("entry %d at %d: %v", i, index, err)
		}
		last = index
	}
	if got := len(collectModules(store)); got != 20 {
		t.Errorf("%d modules, want 20", got)
	}
	if _, _, err := n.Propose(t.Context(), []byte{99, 1}); err == nil || n.Err() != nil {
		t.Errorf("an unknown family must not get into the log: %v, %v", err, n.Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := n.ProposeAsync(context.Background(), module(50))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Wait(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	<-f.Done()
}

func collectModules(s *state.Store) (out []string) {
	for m := range s.View().Modules() {
		out = append(out, m.Digest)
	}
	return out
}

// TestUnknownEntryHalts puts an entry into the log behind the node's back, as a
// newer version of the program would.
func TestUnknownEntryHalts(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	n, store := alone(t, dir)
	if _, _, err := n.Propose(t.Context(), module(1)); err != nil {
		t.Fatal(err)
	}
	before := store.View().Index()
	_ = n.raft.Apply([]byte{200, 1, 2, 3}, 0).Error()
	<-n.Halted()
	if err := n.Err(); err == nil || !strings.Contains(err.Error(), "family 200") {
		t.Errorf("halted with %v", err)
	}
	if _, _, err := n.Propose(t.Context(), module(2)); !errors.Is(err, n.Err()) {
		t.Errorf("a proposal after the halt: %v", err)
	}
	_ = n.raft.Apply(module(3), 0).Error()
	if store.View().Index() != before {
		t.Error("the state went on after the halt")
	}
	if err := n.Snapshot(); err == nil {
		t.Error("a snapshot would drop entries that were never applied")
	}
	closeNode(t, n)
	again, err := Open(Config{Dir: dir, Server: Server{ID: "s1", Addr: "s1"}, Store: state.New(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	<-again.Halted()
	closeNode(t, again)
}

func TestSnapshotAndRestore(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	n, store := alone(t, dir)
	for i := range 50 {
		if _, _, err := n.Propose(t.Context(), module(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Propose(t.Context(), module(99)); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	found, err := filepath.Glob(filepath.Join(dir, "snapshots", "*", "state.bin"))
	if err != nil || len(found) != 1 {
		t.Fatalf("snapshots on disk: %v, %v", found, err)
	}
	n, again := alone(t, dir)
	defer closeNode(t, n)
	if again.View().Hash() != store.View().Hash() || len(collectModules(again)) != 51 {
		t.Error("the restored state is another")
	}
}

// TestTerms: work ends with its term, and the next begins after it.
func TestTerms(t *testing.T) {
	defer goleak.VerifyNone(t)
	synctest.Test(t, func(t *testing.T) {
		n, _ := alone(t, t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		var running, terms atomic.Int32
		ended := make(chan error)
		done := make(chan error)
		go func() {
			done <- n.Lead(ctx, func(ctx context.Context) {
				if running.Add(1) != 1 {
					t.Error("two terms at once")
				}
				terms.Add(1)
				<-ctx.Done()
				time.Sleep(time.Second) // children take their time
				running.Add(-1)
				ended <- context.Cause(ctx)
			})
		}()
		synctest.Wait()
		// What the library would say when leadership comes and goes quickly.
		n.setTerm(false)
		n.setTerm(true)
		if err := <-ended; !errors.Is(err, ErrTermEnded) {
			t.Errorf("the term ended with %v", err)
		}
		synctest.Wait()
		if terms.Load() != 2 || running.Load() != 1 {
			t.Errorf("%d terms, %d running", terms.Load(), running.Load())
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller's end: %v", err)
		}
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Lead returned %v", err)
		}
		go func() {
			done <- n.Lead(t.Context(), func(ctx context.Context) { <-ctx.Done(); ended <- context.Cause(ctx) })
		}()
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- n.Close() }()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("Close ended the term with %v", err)
		}
		if err := errors.Join(<-done); !errors.Is(err, ErrClosed) {
			t.Errorf("Lead returned %v", err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Dir: t.TempDir(), Server: Server{ID: "s1"}, Store: state.New(), Logger: quiet()}
	for name, change := range map[string]func(*Config){
		"folder":  func(c *Config) { c.Dir = "" },
		"ID":      func(c *Config) { c.Server.ID = "" },
		"store":   func(c *Config) { c.Store = nil },
		"network": func(c *Config) { c.Members = []Server{{ID: "a"}, {ID: "b"}} },
	} {
		c := good
		change(&c)
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExplain(t *testing.T) {
	n, _ := alone(t, t.TempDir())
	defer closeNode(t, n)
	for err, want := range map[error]error{
		raft.ErrNotLeader: ErrNotLeader, raft.ErrLeadershipLost: ErrUnsure, raft.ErrRaftShutdown: ErrClosed,
	} {
		if got := n.explain(err); !errors.Is(got, want) {
			t.Errorf("%v becomes %v, want %v", err, got, want)
		}
	}
}

// BenchmarkPropose measures acknowledged proposals with fsync, 64 under way.
func BenchmarkPropose(b *testing.B) {
	n, err := Open(Config{Dir: b.TempDir(), Server: Server{ID: "s1", Addr: "s1"}, Store: state.New(), Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for changed := n.LeaderChanges(); !n.IsLeader(); changed = n.LeaderChanges() {
		<-changed
	}
	b.SetParallelism(64)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := n.Propose(b.Context(), module(int(next.Add(1)))); err != nil {
				b.Error(err)
			}
		}
	})
}
