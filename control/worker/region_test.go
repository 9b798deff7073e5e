package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/leader"
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/worker"
	"github.com/dunlin-edge/dunlin/fleet"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func uid(kind byte, n int) fleet.UUID {
	return fleet.MintUUID([16]byte{kind, 15: byte(n), 14: byte(n >> 8)})
}

// memLog applies entries at once, in one order.
type memLog struct {
	mu     sync.Mutex
	store  *state.Store
	index  uint64
	unsure bool // the next proposal is applied, and its proposer told that nobody knows
}

func (l *memLog) Propose(ctx context.Context, cmd any) (uint64, any, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	time.Sleep(time.Millisecond) // a disk; in the bubble this is fake time
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index++
	x := l.store.Begin()
	result, err := command.Apply(x, l.index, command.Encode(cmd.(command.Command)))
	if err != nil {
		return l.index, nil, err
	}
	x.Commit(l.index)
	if l.unsure {
		l.unsure = false
		return 0, nil, errors.New("leadership was lost")
	}
	return l.index, result, nil
}

type region struct {
	t     *testing.T
	log   *memLog
	lead  *leader.Leader
	stops []func()
	evals int
}

func start(t *testing.T, workers int, schedule func(scheduler.Input) scheduler.Output) *region {
	store := state.New()
	r := &region{t: t, log: &memLog{store: store}}
	logger := slog.New(slog.DiscardHandler)
	r.lead = leader.New(leader.Config{Store: store, Log: r.log, Logger: logger})
	r.goUntilStop(func(ctx context.Context) {
		worker.Run(ctx, worker.Config{Leader: r.lead, Workers: workers, Logger: logger, Schedule: schedule})
	})
	return r
}

func (r *region) goUntilStop(f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	stop = func() { cancel(); <-done }
	r.stops = append(r.stops, stop)
	return stop
}

func (r *region) leads() (stop func()) {
	return r.goUntilStop(func(ctx context.Context) { _ = r.lead.RunTerm(ctx) })
}

func (r *region) end() {
	for _, stop := range r.stops {
		stop()
	}
}

func (r *region) must(cmd any) {
	r.t.Helper()
	if _, _, err := r.log.Propose(context.Background(), cmd); err != nil {
		r.t.Fatal(err)
	}
}

func (r *region) node(n int) {
	spec := fleet.Node{Name: fmt.Sprintf("n%d", n), Datacenter: "dc1", Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}}}
	spec.NodeResources.CPU.CPUShares, spec.NodeResources.Memory.MemoryMB = 1000, 1<<20
	raw, err := json.Marshal(&spec)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(&command.NodeRegister{ID: uid('n', n), Spec: raw, At: time.Now().UnixNano()})
	r.lead.LinkUp(uid('n', n))
}

func (r *region) job(n, count int) fleet.UUID {
	r.evals++
	j := &fleet.Job{ID: fleet.JobID(fmt.Sprintf("job%d", n)), Type: fleet.JobTypeService, Datacenters: []string{"dc1"},
		TaskGroups: []fleet.TaskGroup{{Name: "g", Count: fleet.Ptr(count), Tasks: []fleet.Task{{
			Name: "t", Driver: "wasm", Config: []byte(`{"module":"sha256:0"}`), Resources: &fleet.Resources{CPU: fleet.Ptr(100), MemoryMB: fleet.Ptr(16)}}}}}}
	r.must(&command.JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: uid('e', r.evals), At: time.Now().UnixNano()})
	return uid('e', r.evals)
}

func (r *region) running() (n int) {
	for a := range r.log.store.View().Allocs() {
		if a.Holds() {
			n++
		}
	}
	return n
}

func (r *region) wantRunning(n int) {
	r.t.Helper()
	synctest.Wait()
	if got := r.running(); got != n {
		for e := range r.log.store.View().Evals() {
			r.t.Logf("%s %s %s %s", e.ID, e.Job, e.Status, e.Description)
		}
		r.t.Fatalf("%d run, want %d", got, n)
	}
}

func TestJobsRunAndBlockedOnesFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 4, nil)
		defer r.end()
		r.leads()
		r.node(0)
		for n := range 6 {
			r.job(n, 3)
		}
		time.Sleep(100 * time.Millisecond)
		r.wantRunning(10)
		r.node(1)
		time.Sleep(200 * time.Millisecond)
		r.wantRunning(18)
		for e := range r.log.store.View().OpenEvals() {
			t.Errorf("still open: %s of %s is %s", e.ID, e.Job, e.Status)
		}
	})
}

// Workers wait over terms, nothing is lost between them, and nothing runs twice.
func TestTermsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, nil)
		defer r.end()
		r.node(0)
		r.job(0, 2)
		time.Sleep(time.Second)
		r.wantRunning(0) // nobody leads
		stop := r.leads()
		time.Sleep(time.Second)
		r.wantRunning(2)
		r.job(1, 2)
		stop() // in the midst of it
		r.job(2, 2)
		time.Sleep(time.Second)
		r.leads()
		time.Sleep(2 * time.Second)
		r.wantRunning(6)
	})
}

func TestUnknownOutcomeStartsTheTermOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		defer r.end()
		r.leads()
		r.node(0)
		time.Sleep(time.Second)
		r.job(0, 1)
		r.log.mu.Lock()
		r.log.unsure = true // the plan is applied but its leader is not told
		r.log.mu.Unlock()
		time.Sleep(10 * time.Second)
		r.wantRunning(1)
		r.job(1, 1)
		time.Sleep(time.Second)
		r.wantRunning(2)
	})
}

func TestPanicFailsTheEvaluationOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, func(in scheduler.Input) scheduler.Output {
			if in.Eval.Job == "job0" {
				panic("poison")
			}
			return scheduler.Schedule(in)
		})
		defer r.end()
		r.leads()
		r.node(0)
		bad := r.job(0, 1)
		r.job(1, 1)
		time.Sleep(20 * time.Second)
		r.wantRunning(1)
		if e := r.log.store.View().Eval(bad); e.Status != fleet.EvalFailed {
			t.Fatalf("the poisoned evaluation is %s", e.Status)
		}
	})
}

func TestSilentNodeIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 2, nil)
		defer r.end()
		r.leads()
		r.node(0)
		r.job(0, 3)
		time.Sleep(time.Second)
		r.node(1)
		r.lead.LinkDown(uid('n', 0), "the link ended")
		for range 9 {
			time.Sleep(10 * time.Second)
			r.lead.Beat(uid('n', 1))
		}
		v := r.log.store.View()
		if link := v.NodeByID(uid('n', 0)).Link; link != fleet.LinkLost {
			t.Fatalf("the silent node is %s", link)
		}
		if u := v.Usage(v.NodeByID(uid('n', 1)).Key); u.Allocs != 3 {
			t.Fatalf("%d of 3 replaced", u.Allocs)
		}
		r.wantRunning(3)
	})
}

func TestDequeueEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, 1, nil)
		r.end() // no workers
		defer r.leads()()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := r.lead.Dequeue(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		// The request was taken back: an evaluation goes to who still asks.
		r.node(0)
		since := time.Now()
		id := r.job(0, 1)
		a, err := r.lead.Dequeue(context.Background())
		if err != nil || a.Eval.ID != id || time.Since(since) > time.Second {
			t.Fatal(a, err, time.Since(since))
		}
		if err := r.lead.Nack(a.Token); err != nil {
			t.Fatal(err)
		}
		b, err := r.lead.Dequeue(context.Background())
		if err != nil || b.Eval.ID != id || b.Token == a.Token {
			t.Fatal(b, err)
		}
		if _, err := r.lead.SubmitPlan(context.Background(), a.Token, &command.Plan{}); err == nil {
			t.Fatal("a plan with an old token was taken")
		}
	})
}
