package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// answering is a region of fixed answers by method and path, which notes what it is
// asked beyond reading.
func answering(t *testing.T, answers map[string]any) (environ map[string]string, asked func() string) {
	var last string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what := r.Method + " " + r.URL.RequestURI()
		if r.Method != http.MethodGet {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			last = what + " " + strings.TrimSpace(string(body))
		}
		out, ok := answers[what]
		if !ok {
			http.Error(w, "nothing is at "+what, http.StatusNotFound)
			return
		}
		w.Header().Set("X-Nomad-Index", "5")
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(server.Close)
	return map[string]string{"DUNLIN_ADDR": server.URL}, func() string { return last }
}

const (
	evalA = "11111111-1111-4111-8111-111111111111"
	evalB = "22222222-2222-4222-8222-222222222222"
	nodeA = "33333333-3333-4333-8333-333333333333"
)

// TestVerbs goes through verbs, what they print, and what they ask of a region.
func TestVerbs(t *testing.T) {
	wait := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	eval := &fleet.Evaluation{
		ID: evalA, JobID: "web", TriggeredBy: fleet.TriggerReschedule, Priority: 50, Status: fleet.EvalPending, WaitUntil: wait.UnixNano(),
		PreviousEval: evalB, QueuedAllocations: map[string]int{"g": 2, "h": 1}, StatusDescription: "later steps of the update replace 3 more",
	}
	one := fleet.AllocMetric{NodesEvaluated: 2, ScoreMetaData: []fleet.NodeScore{{NodeID: nodeA, NormScore: 0.5, Scores: map[string]float64{"binpack": 0.5}}},
		Refusals: []fleet.Refusal{{Rule: "memory", Wants: "memory >= 512 MiB", Has: "100 MiB free", Nodes: 1, Node: "pi-2", Fix: "ask for at most 100 MiB"}}}
	job := &fleet.Job{ID: "web"}
	config := fleet.DefaultSchedulerConfiguration()
	pool := &fleet.NodePool{Name: "shops", Description: "in shops"}
	answers := map[string]any{
		"GET /v1/evaluations?job=web&status=pending": []*fleet.Evaluation{eval},
		"GET /v1/evaluations":                        []*fleet.Evaluation{},
		"GET /v1/evaluation/1111":                    eval,
		"DELETE /v1/evaluations":                     api.EvalDeleteResponse{Count: 1},
		"GET /v1/evaluation/" + evalA + "/allocations": []*fleet.AllocationListStub{{
			ID: "44444444-4444-4444-8444-444444444444", Name: "web.g[0]", NodeName: "pi-1", PreemptedAllocations: []fleet.AllocID{"55555555-5555-4555-8555-555555555555"},
		}},
		"GET /v1/node/pools":                             []*fleet.NodePool{{Name: "all"}, pool},
		"GET /v1/node/pool/shops":                        pool,
		"GET /v1/node/pool/shops/nodes":                  []*fleet.NodeListStub{{ID: nodeA, Name: "pi-1", Status: "ready"}},
		"GET /v1/node/pool/shops/jobs":                   []*api.JobListStub{{ID: "web", Type: "service", Status: "running"}},
		"DELETE /v1/node/pool/shops":                     api.WriteMeta{},
		"PUT /v1/node/pools":                             api.WriteMeta{},
		"GET /v1/nodes":                                  []*fleet.NodeListStub{{ID: nodeA, Name: "pi-1"}},
		"GET /v1/job/web":                                job,
		"GET /v1/job/web/explain":                        &fleet.JobExplanation{JobID: "web", Groups: []fleet.GroupExplanation{{Name: "g", Count: 3, Live: 1, Could: 1, Metric: &one}}},
		"GET /v1/job/web/explain?node=pi-2":              &fleet.JobExplanation{JobID: "web", NodeID: nodeA, NodeName: "pi-2", Groups: []fleet.GroupExplanation{{Name: "g", Count: 3, Live: 1, Metric: &one}}},
		"GET /v1/operator/scheduler/configuration":       &api.SchedulerConfigurationResponse{SchedulerConfig: &config},
		"PUT /v1/operator/scheduler/configuration?cas=4": &api.SchedulerSetConfigurationResponse{Updated: true},
	}
	config.ModifyIndex, config.MemoryOversubscriptionEnabled = 4, true // which a change of another setting keeps
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("shops.hcl", `node_pool "shops" { description = "in shops" }`)
	bad := write("bad.hcl", `node_pool "shops" { descriptoin = "in shops" }`)
	wrong := write("wrong.hcl", `node_pool "a shop" { description = "mine" }`)
	const (
		poolAsked   = `PUT /v1/node/pools {"Name":"shops","Description":"in shops"`
		configAsked = `PUT /v1/operator/scheduler/configuration?cas=4 {"SchedulerAlgorithm":"spread"`
	)
	environ, asked := answering(t, answers)
	for _, tt := range []struct {
		args  string
		code  int
		want  []string
		asked string // the beginning of it
	}{
		{"eval list -job web -status pending", ExitOK, []string{"NOT PLACED", "11111111", "alloc-reschedule", " 3 "}, ""},
		{"eval list", ExitOK, []string{"no evaluations"}, ""},
		{"eval status 1111", ExitOK, []string{"Waits until", "2026-03-01T12:00:00Z", "Follows", "22222222", "replace 3 more", "web.g[0] (44444444) on pi-1 preempted 55555555"}, ""},
		{"eval status -json 1111", ExitOK, []string{`"TriggeredBy": "alloc-reschedule"`}, ""},
		{"eval delete 1111", ExitOK, []string{"deleted: 1"}, `DELETE /v1/evaluations {"EvalIDs":["` + evalA + `"]`},
		{"eval delete", ExitUsage, []string{"needs an evaluation"}, ""},
		{"node pool list", ExitOK, []string{"all", "shops", "in shops"}, ""},
		{"node pool info shops", ExitOK, []string{"shops", "in shops"}, ""},
		{"node pool nodes shops", ExitOK, []string{"pi-1"}, ""},
		{"node pool jobs shops", ExitOK, []string{"web"}, ""},
		{"node pool delete shops", ExitOK, []string{`node pool "shops" is gone`}, "DELETE /v1/node/pool/shops"},
		{"node pool delete none", ExitFailed, []string{"nothing is at DELETE /v1/node/pool/none"}, ""},
		{"node pool info none", ExitFailed, []string{"nothing is at GET /v1/node/pool/none"}, ""},
		{"node pool info -json shops", ExitOK, []string{`"Name": "shops"`}, ""},
		{"node pool info", ExitUsage, nil, ""},
		{"node pool apply " + file, ExitOK, []string{`node pool "shops" is as the file says`}, poolAsked},
		{"node pool apply " + bad, ExitFailed, []string{"bad.hcl:1", "descriptoin", "description"}, ""},
		{"node pool apply " + wrong, ExitFailed, []string{"wrong.hcl", `"a shop"`}, ""},
		{"operator scheduler get-config", ExitOK, []string{"binpack", "Pause eval broker", "false"}, ""},
		{"operator scheduler get-config -json", ExitOK, []string{`"SchedulerAlgorithm": "binpack"`}, ""},
		{"operator scheduler set-config -scheduler-algorithm=spread", ExitOK, []string{"schedules so from now on"}, configAsked},
		{"operator scheduler set-config", ExitUsage, []string{"give at least one setting"}, ""},
		{"operator scheduler set-config -check-index=9 -pause-eval-broker=true", ExitFailed, []string{"is at index 4, not 9; nothing was changed"}, ""},
		{"operator scheduler set-config -pause-eval-broker=perhaps", ExitUsage, []string{"perhaps"}, ""},
		{"explain web", ExitOK, []string{`group "g": 1 of 3 placed`, "1 device could take another", "memory >= 512 MiB", "pi-1: score 0.500 (binpack 0.500)"}, ""},
		{"explain web pi-2", ExitOK, []string{"pi-2 could not take another", "ask for at most 100 MiB"}, ""},
		{"explain -json web", ExitOK, []string{`"Could": 1`}, ""},
		{"explain none", ExitFailed, []string{"none"}, ""},
		{"explain", ExitUsage, nil, ""},
	} {
		r := invoke(t, environ, strings.Fields(tt.args)...)
		if r.code != tt.code {
			t.Errorf("%q: code %d, %q %q; want %d", tt.args, r.code, r.out, r.err, tt.code)
		}
		for _, want := range tt.want {
			if !strings.Contains(r.out+r.err, want) {
				t.Errorf("%q: %q is missing in %q %q", tt.args, want, r.out, r.err)
			}
		}
		if !strings.HasPrefix(asked(), tt.asked) {
			t.Errorf("%q asked %q; want %q", tt.args, asked(), tt.asked)
		}
	}
	if r := invoke(t, environ, "operator", "scheduler", "set-config", "-scheduler-algorithm=spread"); r.code != ExitOK || !strings.Contains(asked(), `"MemoryOversubscriptionEnabled":true`) {
		t.Errorf("a setting that was not given changed: %s %s", r.err, asked())
	}
}
