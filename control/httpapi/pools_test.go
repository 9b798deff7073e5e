package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestNodePools(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	if err := c.PutNodePool(ctx, &fleet.NodePool{Name: "shops", Description: "in shops"}); err != nil {
		t.Fatal(err)
	}
	pools, m, err := c.NodePools(ctx, nil)
	var names []string
	for _, p := range pools {
		names = append(names, p.Name)
	}
	if err != nil || strings.Join(names, " ") != "all default shops" || m.LastIndex == 0 {
		t.Fatalf("%v: %v", err, names)
	}
	// A device brings its pool with it.
	if _, _, err := g.Propose(ctx, command.NodeRegister{ID: id(9), Spec: []byte(`{"Name":"pi-9","NodePool":"vans"}`)}); err != nil {
		t.Fatal(err)
	}
	p, _, err := c.NodePool(ctx, "vans", nil)
	if err != nil || p.Name != "vans" || p.CreateIndex == 0 {
		t.Fatalf("%v: %+v", err, p)
	}
	nodes, _, err := c.NodePoolNodes(ctx, "vans", nil)
	if err != nil || len(nodes) != 1 || nodes[0].Name != "pi-9" {
		t.Fatalf("%v: %+v", err, nodes)
	}
	if nodes, _, err = c.NodePoolNodes(ctx, "shops", nil); err != nil || len(nodes) != 0 {
		t.Fatalf("%v: %+v", err, nodes)
	}
	if nodes, _, err = c.NodePoolNodes(ctx, fleet.NodePoolAll, nil); err != nil || len(nodes) != 1 {
		t.Fatalf("%v: %+v", err, nodes)
	}

	job := registrable("web")
	job.NodePool = "shosp"
	if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: job}); !api.IsStatus(err, 400) ||
		!strings.Contains(err.Error(), `NodePool: there is no node pool "shosp"; there are all, default, shops, vans`) {
		t.Fatalf("a job in no pool: %v", err)
	}
	job.NodePool = "shops"
	if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: job}); err != nil {
		t.Fatal(err)
	}
	if jobs, _, err := c.NodePoolJobs(ctx, "shops", nil); err != nil || len(jobs) != 1 || jobs[0].ID != "web" {
		t.Fatalf("%v: %+v", err, jobs)
	}
	for name, want := range map[string]struct {
		status int
		words  string
	}{
		"shops":   {409, "it is in use: 0 nodes are in it and 1 jobs name it"},
		"vans":    {409, "it is in use: 1 nodes are in it and 0 jobs name it"},
		"default": {400, "it is built in and cannot be changed"},
		"none":    {404, "no such node pool"},
	} {
		if err := c.DeleteNodePool(ctx, name); !api.IsStatus(err, want.status) || !strings.Contains(err.Error(), want.words) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if _, err := c.Deregister(ctx, "web", false); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteNodePool(ctx, "shops"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.NodePool(ctx, "shops", nil); !api.IsNotFound(err) {
		t.Errorf("after the delete: %v", err)
	}
	for _, wrong := range []*fleet.NodePool{{Name: "all"}, {Name: "a/b"}, {Name: "x", SchedulerConfiguration: &fleet.NodePoolScheduler{SchedulerAlgorithm: "best"}}} {
		if err := c.PutNodePool(ctx, wrong); !api.IsStatus(err, 400) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// registrable is the smallest job that is taken.
func registrable(name fleet.JobID) *fleet.Job {
	return &fleet.Job{ID: name, TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{
		{Name: "t", Driver: "raw_exec", Config: []byte(`{"command":"/bin/true"}`)}}}}}
}

func TestSchedulerConfiguration(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	r, _, err := c.SchedulerConfiguration(ctx, nil)
	if err != nil || r.SchedulerConfig.SchedulerAlgorithm != fleet.AlgorithmBinpack || r.SchedulerConfig.ModifyIndex != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	s := *r.SchedulerConfig
	s.SchedulerAlgorithm, s.RejectJobRegistration, s.MemoryOversubscriptionEnabled = fleet.AlgorithmSpread, true, true
	set, err := c.SetSchedulerConfiguration(ctx, &s, true)
	if err != nil || !set.Updated || set.Warnings != "" {
		t.Fatalf("%v: %+v", err, set)
	}
	// What was read before that change is not what is changed now.
	if set, err = c.SetSchedulerConfiguration(ctx, &s, true); err != nil || set.Updated {
		t.Fatalf("%v: %+v", err, set)
	}
	if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: registrable("web")}); !api.IsStatus(err, 403) || !strings.Contains(err.Error(), "takes no jobs now") {
		t.Fatalf("registered: %v", err)
	}
	s.PreemptionConfig.ServiceSchedulerEnabled = true
	if _, err := c.SetSchedulerConfiguration(ctx, &s, false); err != nil {
		t.Fatalf("preemption: %v", err)
	}
	ignored := func(want bool) {
		t.Helper()
		job := registrable("roomy")
		job.TaskGroups[0].Tasks[0].Resources = &fleet.Resources{MemoryMB: fleet.Ptr(64), MemoryMaxMB: fleet.Ptr(256)}
		got, err := c.Validate(ctx, job)
		if err != nil || strings.Contains(got.Warnings, "memory_max = 256 has no effect, the limit is memory = 64") != want {
			t.Errorf("want a warning: %t; %v: %+v", want, err, got)
		}
	}
	ignored(false)
	if r, _, err := c.SchedulerConfiguration(ctx, nil); err != nil || !r.SchedulerConfig.PreemptionConfig.ServiceSchedulerEnabled || !r.SchedulerConfig.PreemptionConfig.SystemSchedulerEnabled {
		t.Fatalf("%v: %+v", err, r)
	}
	s = fleet.SchedulerConfiguration{}
	if set, err = c.SetSchedulerConfiguration(ctx, &s, false); err != nil || !set.Updated {
		t.Fatalf("%v: %+v", err, set)
	}
	ignored(true)
	if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: registrable("web")}); err != nil {
		t.Fatal(err)
	}
}

func TestMountsOfDrivers(t *testing.T) {
	g := newRegion(t)
	c := g.client(api.Config{})
	job := registrable("web")
	job.TaskGroups[0].Volumes = fleet.Volumes{{Name: "x", Type: fleet.VolumeTypeHost, Source: "certs"}}
	if _, err := c.Register(t.Context(), &api.JobRegisterRequest{Job: job}); err != nil {
		t.Fatal(err)
	}
	job.TaskGroups[0].Tasks[0].VolumeMounts = []fleet.VolumeMount{{Volume: "x", Destination: "/certs"}}
	if _, err := c.Register(t.Context(), &api.JobRegisterRequest{Job: job}); !api.IsStatus(err, 400) ||
		!strings.Contains(err.Error(), "TaskGroups[0].Tasks[0].VolumeMounts[0]: raw_exec cannot mount /certs") {
		t.Fatalf("registered: %v", err)
	}
}

// Single pools have a mux of their own; what is not there is no other's.
func TestPoolPaths(t *testing.T) {
	g := newRegion(t)
	h := g.api(Access{Loopback: true})
	for path, want := range map[string]int{
		"/v1/node/pool/default": 200, "/v1/node/pool/default/nodes": 200, "/v1/node/pool/none/nodes": 404,
		"/v1/node/pool/default/drain": 404, "/v1/node/pool/": 404, "/v1/node/pool": 404, "/v1/operator/scheduler/configuration?cas=x": 200,
	} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:1", "127.0.0.1:4646"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}

func TestExplainAndRankedGroups(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: registrable("web")}); err != nil {
		t.Fatal(err)
	}
	g.node(9, "pi-9", fleet.LinkOnline)
	if x, _, err := c.ExplainJob(ctx, "web", "pi-9", nil); err != nil || x.JobID != "web" || x.NodeName != "pi-9" {
		t.Fatalf("%v: %+v", err, x)
	}
	if x, _, err := c.ExplainJob(ctx, "web", "", nil); err != nil || x.NodeName != "" {
		t.Fatalf("%v: %+v", err, x)
	}
	for _, wrong := range [][2]string{{"wbe", ""}, {"web", "pi-8"}} {
		if _, _, err := c.ExplainJob(ctx, fleet.JobID(wrong[0]), wrong[1], nil); !api.IsNotFound(err) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
	// What was placed is explained in the evaluation itself and not in lists.
	evals, _, err := c.Evaluations(ctx, nil)
	if err != nil || len(evals) != 1 {
		t.Fatalf("%v: %+v", err, evals)
	}
	g.commit(func(x *state.Txn, i uint64) {
		for e := range g.store.View().Evals() {
			done := *e
			done.Status, done.Groups = fleet.EvalComplete, []state.GroupOutcome{{Group: "g", Placed: 1, Metric: &fleet.AllocMetric{NodesEvaluated: 4}}}
			x.PutEval(done, i)
		}
	})
	e, _, err := c.Evaluation(ctx, evals[0].ID, nil)
	if err != nil || e.PlacedTGAllocs["g"] == nil || e.PlacedTGAllocs["g"].NodesEvaluated != 4 || len(e.FailedTGAllocs) != 0 {
		t.Fatalf("%v: %+v", err, e)
	}
	if evals, _, err = c.Evaluations(ctx, nil); err != nil || evals[0].PlacedTGAllocs != nil {
		t.Fatalf("%v: %+v", err, evals[0])
	}
}
