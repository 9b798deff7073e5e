package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// TestRoad goes the road of a job with the client: push, validate, plan, register,
// read, stop.
func TestRoad(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{Region: "eu"}), t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: job("web")}); !api.IsStatus(err, 400) || !strings.Contains(err.Error(), "does not hold module") {
		t.Fatalf("a job whose module is missing gave %v", err)
	}
	if has, err := c.HasModule(ctx, digestText(hello)); err != nil || has {
		t.Fatalf("HasModule = %v, %v before the push", has, err)
	}
	_, err := c.PushModule(ctx, digestText(hello), "hello.wasm", bytes.NewReader(hello), int64(len(hello)))
	ok(err)
	detail, _, err := c.Module(ctx, digestText(hello), nil)
	ok(err)
	if detail.Name != "hello.wasm" || detail.Language != "Go" || len(detail.Imports) != 1 {
		t.Fatalf("module detail %+v", detail)
	}
	valid, err := c.Validate(ctx, job("web"))
	ok(err)
	if valid.Error != "" || len(valid.ValidationErrors) > 0 {
		t.Fatalf("validation says %+v", valid)
	}
	reg, err := c.Register(ctx, &api.JobRegisterRequest{Job: job("web"), EnforceIndex: true})
	ok(err)
	if reg.EvalID == "" || reg.EvalCreateIndex == 0 || reg.JobModifyIndex == 0 || reg.Index == 0 {
		t.Fatalf("registration answered %+v", reg)
	}
	if _, err = c.Register(ctx, &api.JobRegisterRequest{Job: job("web"), EnforceIndex: true, JobModifyIndex: 1}); !api.IsStatus(err, 409) {
		t.Fatalf("a stale index gave %v", err)
	}
	changed := job("web")
	changed.Priority = fleet.Ptr(70)
	_, err = c.Register(ctx, &api.JobRegisterRequest{Job: changed, EnforceIndex: true, JobModifyIndex: reg.JobModifyIndex})
	ok(err)
	g.alloc(50, "web", g.node(9, "pi-9", fleet.LinkOnline), nil)

	jobs, meta, err := c.Jobs(ctx, &api.QueryOptions{Prefix: "we"})
	ok(err)
	if len(jobs) != 1 || jobs[0].Status != fleet.JobStatusRunning || jobs[0].JobSummary.Summary["g"].Running != 1 {
		t.Fatalf("jobs %+v", jobs)
	}
	if meta.LastIndex != g.index || !meta.KnownLeader || meta.LastContact.Milliseconds() != 7 {
		t.Fatalf("meta %+v at index %d", meta, g.index)
	}
	if none, _, err := c.Jobs(ctx, &api.QueryOptions{Prefix: "x"}); err != nil || none == nil || len(none) != 0 {
		t.Fatalf("an empty list is %v, %v", none, err)
	}
	versions, _, err := c.JobVersions(ctx, "web", true, nil)
	ok(err)
	if len(versions.Versions) != 2 || versions.Versions[0].Version != 1 || len(versions.Diffs) != 1 || versions.Diffs[0].Type != fleet.DiffEdited {
		t.Fatalf("versions %+v", versions)
	}
	sum, _, err := c.JobSummary(ctx, "web", nil)
	ok(err)
	if sum.Summary["g"].Running != 1 {
		t.Fatalf("summary %+v", sum)
	}
	for name, read := range map[string]func() (int, error){
		"job allocs": func() (int, error) { l, _, err := c.JobAllocations(ctx, "web", nil); return len(l), err },
		"allocs": func() (int, error) {
			l, _, err := c.Allocations(ctx, &api.QueryOptions{Prefix: "32"})
			return len(l), err
		},
		"eval allocs": func() (int, error) {
			l, _, err := c.JobEvaluations(ctx, "web", nil)
			if err != nil {
				return 0, err
			}
			a, _, err := c.EvaluationAllocations(ctx, l[0].ID, nil)
			return len(a), err
		},
		"node allocs": func() (int, error) { l, _, err := c.NodeAllocations(ctx, "pi-9", nil); return len(l), err },
		"nodes":       func() (int, error) { l, _, err := c.Nodes(ctx, nil); return len(l), err },
		"modules":     func() (int, error) { l, _, err := c.Modules(ctx, nil); return len(l), err },
	} {
		if n, err := read(); n != 1 || err != nil {
			t.Errorf("%s: %d rows, %v; want one", name, n, err)
		}
	}
	alloc, _, err := c.Allocation(ctx, "3200", nil)
	ok(err)
	if alloc.Name != "web.g[0]" || alloc.NodeName != "pi-9" || alloc.Job == nil {
		t.Fatalf("allocation %+v", alloc)
	}
	evals, _, err := c.Evaluations(ctx, nil)
	ok(err)
	if len(evals) != 2 || evals[0].CreateIndex < evals[1].CreateIndex {
		t.Fatalf("evaluations are not newest first: %+v", evals)
	}
	again, err := c.Evaluate(ctx, "web")
	ok(err)
	if e, _, err := c.Evaluation(ctx, again.EvalID, nil); err != nil || e.JobID != "web" {
		t.Fatalf("evaluation %+v, %v", e, err)
	}
	_, err = c.SetEligible(ctx, "pi-9", false)
	ok(err)
	if n, _, err := c.Node(ctx, "pi-9", nil); err != nil || n.SchedulingEligibility != fleet.NodeIneligible {
		t.Fatalf("node %+v, %v", n, err)
	}
	_, err = c.Deregister(ctx, "web", false)
	ok(err)
	if j, _, err := c.Job(ctx, "web", nil); err != nil || !j.Stop {
		t.Fatalf("stopped job %+v, %v", j, err)
	}
	_, err = c.Deregister(ctx, "web", true)
	ok(err)
	if _, _, err := c.Job(ctx, "web", nil); !api.IsNotFound(err) {
		t.Fatalf("a purged job gave %v", err)
	}
}

func TestPlan(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	g.plan = &PlanResult{
		Updates: map[string]*api.DesiredUpdates{"g": {Place: 3}},
		Failed:  map[string]*fleet.AllocMetric{"g": {NodesEvaluated: 4}},
	}
	out, err := c.Plan(ctx, &api.JobPlanRequest{Job: job("web"), Diff: true})
	if err != nil {
		t.Fatal(err)
	}
	if out.Annotations.DesiredTGUpdates["g"].Place != 3 || out.FailedTGAllocs["g"].NodesEvaluated != 4 || out.JobModifyIndex != 0 {
		t.Errorf("plan %+v", out)
	}
	if out.Diff.Type != fleet.DiffAdded || out.Diff.TaskGroups[0].Updates["create"] != 3 {
		t.Errorf("diff %+v", out.Diff)
	}
	if !strings.Contains(out.Warnings, "does not hold module") {
		t.Errorf("a missing module must be a warning in a plan, got %q", out.Warnings)
	}
	if g.proposals != 0 {
		t.Errorf("a plan proposed %d commands", g.proposals)
	}
}

func TestAgentReads(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	leader, err := c.Leader(ctx)
	if err != nil || leader != "10.0.0.1:4647" {
		t.Errorf("leader %q, %v", leader, err)
	}
	if peers, err := c.Peers(ctx); err != nil || len(peers) != 1 {
		t.Errorf("peers %v, %v", peers, err)
	}
	if regions, err := c.Regions(ctx); err != nil || len(regions) != 1 || regions[0] != "eu" {
		t.Errorf("regions %v, %v", regions, err)
	}
	if self, err := c.Self(ctx); err != nil || self.Member.Name != "s1.eu" {
		t.Errorf("self %+v, %v", self, err)
	}
	if members, err := c.Members(ctx); err != nil || members.ServerRegion != "eu" || len(members.Members) != 1 {
		t.Errorf("members %+v, %v", members, err)
	}
	if h, err := c.Health(ctx); err != nil || !h.Server.OK {
		t.Errorf("health %+v, %v", h, err)
	}
	g.unhealthy = true
	if _, err := c.Health(ctx); !api.IsStatus(err, 500) || !strings.Contains(err.Error(), "words") {
		t.Errorf("an unhealthy agent gave %v", err)
	}
	in, err := c.Invite(ctx, &api.InviteRequest{Name: "pi"})
	if err != nil || in.Invite != "dunlin1:pi" {
		t.Errorf("invite %+v, %v", in, err)
	}
	if _, err := c.Invite(ctx, &api.InviteRequest{Name: "a b"}); !api.IsStatus(err, 400) {
		t.Errorf("a bad name gave %v", err)
	}
	parsed, err := c.Parse(ctx, &api.JobsParseRequest{Canonicalize: true, JobHCL: `job "web" {
		group "g" {
			task "main" {
				driver = "wasm"
				config {
					module = "./x.wasm"
				}
			}
		}
	}`})
	if err != nil || parsed.ID != "web" || parsed.Priority == nil {
		t.Errorf("parse %+v, %v", parsed, err)
	}
}

func TestPretty(t *testing.T) {
	g := newRegion(t)
	plain, pretty := do(g.api(Access{Open: true}), "GET", "/v1/regions", ""), do(g.api(Access{Open: true}), "GET", "/v1/regions?pretty", "")
	if plain.Body.String() != "[\"eu\"]\n" || !strings.Contains(pretty.Body.String(), "\n    \"eu\"") {
		t.Errorf("plain %q, pretty %q", plain.Body, pretty.Body)
	}
}

// TestEveryPathAnswers goes through the whole table: each path answers, each
// wrong method is refused with the right ones.
func TestEveryPathAnswers(t *testing.T) {
	g := newRegion(t)
	a := g.api(Access{Open: true})
	for path, m := range a.routes() {
		target := strings.NewReplacer("{id}", "none", "{digest}", digestText(nil)).Replace(path)
		w := do(a, "PATCH", target, "")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != m.names() || !strings.Contains(w.Body.String(), "PATCH") {
			t.Errorf("PATCH %s: %d %q, Allow %q", target, w.Code, w.Body, w.Header().Get("Allow"))
		}
		if m[http.MethodGet] == nil {
			continue
		}
		w = do(a, "GET", target, "")
		named := strings.Contains(path, "{")
		if named && w.Code != http.StatusNotFound && !strings.Contains(path, "deployment") || !named && w.Code != http.StatusOK {
			t.Errorf("GET %s: %d %q", target, w.Code, w.Body)
		}
		if !named && path != "/v1/metrics" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("GET %s: %q is not JSON", target, w.Body)
		}
	}
	for path := range uncarried {
		target := strings.NewReplacer("{id}", "x", "{what}", "y", "{rest...}", "z/z").Replace(path)
		if w := do(a, "PUT", target, ""); w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "is not carried out") {
			t.Errorf("%s: %d %q", target, w.Code, w.Body)
		}
	}
	if w := do(a, "GET", "/v1/jbos", ""); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "/v1/jbos") {
		t.Errorf("unknown path: %d %q", w.Code, w.Body)
	}
}

func TestMetricsFormat(t *testing.T) {
	g := newRegion(t)
	for query, want := range map[string]int{"": 200, "?format=prometheus": 200, "?format=xml": 400} {
		if w := do(g.api(Access{Loopback: true}), "GET", "/v1/metrics"+query, ""); w.Code != want || want == 200 && w.Body.String() != "dunlin_index 7\n" {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
	}
}
