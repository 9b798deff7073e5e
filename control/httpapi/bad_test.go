package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

// TestBadInput: every refusal names what was wrong, and nothing is proposed.
func TestBadInput(t *testing.T) {
	whole := func(change func(*fleet.Job)) string {
		j := job("web")
		change(j)
		b, _ := json.Marshal(map[string]any{"Job": j})
		return string(b)
	}
	config := func(c string) string {
		return whole(func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Config = json.RawMessage(c) })
	}
	for _, c := range []struct {
		name, method, target, body string
		status                     int
		words                      []string
	}{
		{"empty", "PUT", "/v1/jobs", "", 400, []string{"empty"}},
		{"syntax", "PUT", "/v1/jobs", "{\n\"Job\": {]", 400, []string{"not JSON", "line 2"}},
		{"array", "PUT", "/v1/jobs", "[]", 400, []string{"want a job object"}},
		{"wrong type", "PUT", "/v1/jobs", `{"Job":{"ID":"web","TaskGroups":[{"Count":"three"}]}}`, 400, []string{"Job.TaskGroups[0].Count", "whole number"}},
		{"wrong type beside the job", "PUT", "/v1/jobs", strings.Replace(config(`{"module":"https://x/y#`+digestText(hello)+`"}`), `{"Job"`, `{"EnforceIndex":"yes","Job"`, 1), 400, []string{"EnforceIndex", "bool"}},
		{"all problems at once", "PUT", "/v1/jobs", whole(func(j *fleet.Job) {
			j.Type = "daemon"
			j.Priority = fleet.Ptr(0)
			j.TaskGroups[0].Count = fleet.Ptr(-1)
		}), 400, []string{"daemon", "Priority", "TaskGroups[0].Count"}},
		{"no group", "PUT", "/v1/jobs", `{"Job":{"ID":"web"}}`, 400, []string{"TaskGroups", "no group"}},
		{"no id", "PUT", "/v1/jobs", `{"Job":{}}`, 400, []string{"ID"}},
		{"unknown driver", "PUT", "/v1/jobs", whole(func(j *fleet.Job) { j.TaskGroups[0].Tasks[0].Driver = "wasn" }), 400, []string{"wasn", "did you mean"}},
		{"unknown config key", "PUT", "/v1/jobs", config(`{"modul":"x"}`), 400, []string{"Config", "modul"}},
		{"local module", "PUT", "/v1/jobs", config(`{"module":"./hello.wasm"}`), 400, []string{"./hello.wasm", "is a path", "push"}},
		{"missing module", "PUT", "/v1/jobs", config(`{"module":"` + digestText([]byte("other")) + `"}`), 400, []string{digestText([]byte("other")), "does not hold"}},
		{"plain http module", "PUT", "/v1/jobs", config(`{"module":"http://x/y#` + digestText(hello) + `"}`), 400, []string{"https"}},
		{"other region in the job", "PUT", "/v1/jobs", whole(func(j *fleet.Job) { j.Region = "us" }), 400, []string{`"us"`, `"eu"`}},
		{"other region in the query", "GET", "/v1/jobs?region=us", "", 400, []string{`"us"`, `"eu"`}},
		{"refused field", "PUT", "/v1/jobs", `{"Job":{"ID":"web","Periodic":{"Spec":"* * * * *"},"TaskGroups":[]}}`, 400, []string{"Periodic"}},
		{"too large", "PUT", "/v1/jobs", `{"Job":{"ID":"` + strings.Repeat("x", BodyBytesMax) + `"}}`, 413, []string{"bytes"}},
		{"job too large", "PUT", "/v1/jobs", `{"Job":{"ID":"` + strings.Repeat("x", fleet.JobSpecBytesMax) + `"}}`, 400, []string{"at most"}},
		{"path and body differ", "POST", "/v1/job/other", whole(func(*fleet.Job) {}), 400, []string{`"web"`, `"other"`}},
		{"plan path and body differ", "PUT", "/v1/job/other/plan", whole(func(*fleet.Job) {}), 400, []string{`"web"`, `"other"`}},
		{"plan of a bad job", "PUT", "/v1/job/web/plan", `{"Job":{"ID":"web"}}`, 400, []string{"no group"}},
		{"validate no job", "PUT", "/v1/validate/job", `7`, 400, []string{"want a job object"}},
		{"parse error", "PUT", "/v1/jobs/parse", `{"JobHCL":"job \"x\" {"}`, 400, []string{"job.hcl:1"}},
		{"parse wrong type", "PUT", "/v1/jobs/parse", `{"JobHCL":7}`, 400, []string{"JobHCL"}},
		{"stop nothing", "DELETE", "/v1/job/web", "", 404, []string{`"web"`}},
		{"bad purge", "DELETE", "/v1/job/web?purge=perhaps", "", 400, []string{"perhaps"}},
		{"evaluate nothing", "PUT", "/v1/job/web/evaluate", "", 404, []string{`"web"`}},
		{"force reschedule", "PUT", "/v1/job/web/evaluate", `{"EvalOptions":{"ForceReschedule":true}}`, 400, []string{"ForceReschedule"}},
		{"eligibility word", "PUT", "/v1/node/n/eligibility", `{"Eligibility":"maybe"}`, 400, []string{"maybe"}},
		{"eligibility of nothing", "PUT", "/v1/node/n/eligibility", `{"Eligibility":"eligible"}`, 404, []string{`"n"`}},
		{"bad index", "GET", "/v1/jobs?index=-1", "", 400, []string{"index", "-1"}},
		{"bad wait", "GET", "/v1/jobs?index=1&wait=soon", "", 400, []string{"soon"}},
		{"namespace", "GET", "/v1/jobs?namespace=x", "", 400, []string{`"x"`}},
		{"filter", "GET", "/v1/jobs?filter=x", "", 400, []string{"filter"}},
		{"unknown UUID", "GET", "/v1/allocation/" + id(7).String(), "", 404, []string{id(7).String()}},
		{"push: not a digest", "PUT", "/v1/module/hello.wasm", "x", 400, []string{"not a digest"}},
		{"push: short digest", "PUT", "/v1/module/sha256:12", "x", 400, []string{"64"}},
		{"push: empty", "PUT", "/v1/module/" + digestText(hello), "", 400, []string{"empty"}},
		{"push: other bytes", "PUT", "/v1/module/" + digestText(hello), "other", 400, []string{digestText([]byte("other"))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRegion(t)
			w := do(g.api(Access{Loopback: true}), c.method, c.target, c.body)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			for _, word := range c.words {
				if !strings.Contains(w.Body.String(), word) {
					t.Errorf("%q does not name %q", w.Body, word)
				}
			}
			if g.proposals != 0 || g.store.View().JobCount() != 0 || len(g.modules) != 0 {
				t.Error("something was stored")
			}
		})
	}
}

// TestLogErrors: what the log says reaches the client with a status that tells
// whether to try again.
func TestLogErrors(t *testing.T) {
	for _, c := range []struct {
		err      error
		noLeader bool
		status   int
		words    string
	}{
		{context.DeadlineExceeded, false, 504, "may still"},
		{errors.New("not the leader"), true, 503, "no leader"},
		{errors.New("disk full"), false, 500, "disk full"},
		{fmt.Errorf("job web: %w", command.ErrCheckIndex), false, 409, "was changed"},
	} {
		g := newRegion(t)
		g.modules[digestText(hello)] = hello
		g.refuse, g.noLeader = c.err, c.noLeader
		b, _ := json.Marshal(map[string]any{"Job": job("web")})
		w := do(g.api(Access{Open: true}), "PUT", "/v1/jobs", string(b))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.words) {
			t.Errorf("%v: %d %q, want %d with %q", c.err, w.Code, w.Body, c.status, c.words)
		}
	}
}

func TestAmbiguous(t *testing.T) {
	g := newRegion(t)
	g.node(0xaa, "pi", fleet.LinkOnline)
	g.node(0xab, "pi", fleet.LinkOnline)
	g.node(0xac, "a", fleet.LinkOnline)
	a := g.api(Access{Open: true})
	for target, want := range map[string]string{"/v1/node/pi": "more than one", "/v1/node/aA0": `"Name":"pi"`, "/v1/node/a": `"Name":"a"`} {
		if w := do(a, "GET", target, ""); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
}

func TestUnknownFieldsAndOptions(t *testing.T) {
	g := newRegion(t)
	g.modules[digestText(hello)] = hello
	j, _ := json.Marshal(job("web"))
	body := fmt.Sprintf(`{"Job":%s,"PreserveCounts":true,"Submission":{"Source":"x"},"FromTheFuture":[1]}`,
		bytes.Replace(j, []byte(`"Region":""`), []byte(`"Region":"global","Tomorrow":{}`), 1))
	w := do(g.api(Access{Open: true}), "PUT", "/v1/jobs", body)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "PreserveCounts is not carried out") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// FuzzRegister: no body makes the API panic, fail, or register what it refuses.
func FuzzRegister(f *testing.F) {
	whole, _ := json.Marshal(map[string]any{"Job": job("web"), "EnforceIndex": true})
	for _, seed := range []string{string(whole), `{}`, `null`, `{"Job":null}`, `{"job":{"id":"x"}}`, `{"Job":{"ID":"a","TaskGroups":[null]}}`, `{"Job":{"ID":"a","Constraints":[{"Operand":"regexp","RTarget":"("}]}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		g := newRegion(t)
		g.modules[digestText(hello)] = hello
		w := do(g.api(Access{Open: true}), "PUT", "/v1/jobs", body)
		if w.Code >= 500 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if w.Code != 200 && g.store.View().JobCount() != 0 {
			t.Fatalf("refused with %d and stored", w.Code)
		}
	})
}
