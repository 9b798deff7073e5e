package httpapi

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// waiting performs a request in a goroutine; the channel gives the answer and
// how long it took.
type answered struct {
	*httptest.ResponseRecorder
	took time.Duration
}

func waiting(h *API, target string) <-chan answered {
	out := make(chan answered, 1)
	go func() {
		start := time.Now()
		w := do(h, "GET", target, "")
		out <- answered{w, time.Since(start)}
	}()
	return out
}

// registered commits a job as a handler would.
func registered(g *region, name string) {
	spec := job(name)
	fleet.Canonicalize(spec)
	registeredJob(g, spec)
}

func registeredJob(g *region, spec *fleet.Job) {
	cmd := &command.JobRegister{Spec: fleet.CanonicalBytes(spec), EvalID: mint()}
	if _, _, err := g.Propose(context.Background(), cmd); err != nil {
		g.t.Error(err)
	}
}

func TestBlockingWakesOnItsOwnRowsOnly(t *testing.T) {
	touch := map[string]func(g *region){
		"node": func(g *region) { g.node(80, "new", fleet.LinkOnline) },
		"module": func(g *region) {
			g.commit(func(x *state.Txn, i uint64) { x.PutModule(fleet.Module{Digest: "sha256:x", CreateIndex: i}) })
		},
		"job":   func(g *region) { registered(g, "other") },
		"alloc": func(g *region) { g.alloc(81, "web", g.store.View().NodeByID(id(9)), nil) },
		"purge": func(g *region) { g.commit(func(x *state.Txn, i uint64) { x.DeleteJob(x.JobByID("default", "web")) }) },
	}
	for _, c := range []struct{ path, wakes, sleeps string }{
		{"/v1/jobs", "job", "module"},
		{"/v1/jobs", "alloc", "module"},
		{"/v1/jobs", "purge", "node"},
		{"/v1/jobs?prefix=w", "purge", "job"},
		{"/v1/job/web", "alloc", "job"},
		{"/v1/job/web", "purge", "node"},
		{"/v1/job/web/summary", "alloc", "job"},
		{"/v1/job/web/allocations", "alloc", "job"},
		{"/v1/job/web/evaluations", "purge", "job"},
		{"/v1/allocations", "alloc", "node"},
		{"/v1/evaluations", "job", "node"},
		{"/v1/nodes", "node", "job"},
		{"/v1/node/pi-9/allocations", "alloc", "job"},
		{"/v1/modules", "module", "job"},
	} {
		t.Run(c.path+" "+c.wakes, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRegion(t)
				registered(g, "web")
				g.alloc(50, "web", g.node(9, "pi-9", fleet.LinkOnline), nil)
				h := g.api(Access{Open: true})
				sep := "?"
				if len(c.path) > 8 && c.path[8] == '?' {
					sep = "&"
				}
				got := waiting(h, fmt.Sprintf("%s%sindex=%d&wait=1m", c.path, sep, g.index))
				synctest.Wait()
				time.Sleep(time.Second)
				touch[c.sleeps](g)
				synctest.Wait()
				select {
				case w := <-got:
					t.Fatalf("%s woke it: %d %s", c.sleeps, w.Code, w.Body)
				default:
				}
				time.Sleep(time.Second)
				touch[c.wakes](g)
				synctest.Wait()
				w := <-got
				if w.took != 2*time.Second {
					t.Errorf("it took %s, want the moment of the change", w.took)
				}
				if index := w.Header().Get("X-Nomad-Index"); w.Code == 200 && index != fmt.Sprint(g.index) {
					t.Errorf("index %s, want %d", index, g.index)
				}
			})
		})
	}
}

func TestBlockingEnds(t *testing.T) {
	for _, c := range []struct {
		query    string
		min, max time.Duration
	}{
		{"wait=10s", 10 * time.Second, 10*time.Second + 10*time.Second/BlockingJitter},
		{"", BlockingWait, BlockingWait + BlockingWait/BlockingJitter},
		{"wait=24h", BlockingWaitMax, BlockingWaitMax + BlockingWaitMax/BlockingJitter},
		{"wait=0s", 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRegion(t)
			w := <-waiting(g.api(Access{Open: true}), fmt.Sprintf("/v1/nodes?index=%d&%s", g.index, c.query))
			if w.took < c.min || w.took > c.max || w.Code != 200 {
				t.Errorf("%q took %s with status %d, want %s to %s", c.query, w.took, w.Code, c.min, c.max)
			}
		})
	}
}

func TestOldIndexAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRegion(t)
		g.node(9, "pi-9", fleet.LinkOnline)
		if w := <-waiting(g.api(Access{Open: true}), "/v1/nodes?index=1"); w.took != 0 {
			t.Errorf("a change newer than the index took %s", w.took)
		}
	})
}

func TestBlockingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRegion(t)
		h := g.api(Access{Open: true})
		var all []<-chan answered
		for range BlockingMax {
			all = append(all, waiting(h, "/v1/nodes?index=9"))
		}
		synctest.Wait()
		if w := do(h, "GET", "/v1/nodes?index=9", ""); w.Code != 429 {
			t.Errorf("one waiter too many got %d", w.Code)
		}
		if w := do(h, "GET", "/v1/nodes", ""); w.Code != 200 {
			t.Errorf("a read that does not wait got %d", w.Code)
		}
		for _, c := range all {
			<-c
		}
	})
}
