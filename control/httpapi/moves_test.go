package httpapi

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// TestPlanSaysWhatMoves: devices with the last version, with another job's copy of the module, and with nothing.
func TestPlanSaysWhatMoves(t *testing.T) {
	g := newRegion(t)
	c, ctx := g.client(api.Config{}), t.Context()
	with := func(id string, module []byte) *fleet.Job {
		j := job(id)
		j.TaskGroups[0].Tasks[0].Config = json.RawMessage(`{"module":"` + digestText(module) + `"}`)
		return j
	}
	old, next := hello, []byte("\x00asm\x01\x00\x00\x00hello, again")
	for _, m := range [][]byte{old, next} {
		if _, err := c.PushModule(ctx, digestText(m), "m.wasm", strings.NewReader(string(m)), int64(len(m))); err != nil {
			t.Fatal(err)
		}
	}
	for _, j := range []*fleet.Job{with("web", old), with("other", next)} {
		if _, err := c.Register(ctx, &api.JobRegisterRequest{Job: j}); err != nil {
			t.Fatal(err)
		}
	}
	var nodes []*state.Node
	for n := byte(1); n <= 4; n++ {
		nodes = append(nodes, g.node(n, "n", fleet.LinkOnline))
	}
	g.alloc(11, "web", nodes[0], nil)
	g.alloc(12, "web", nodes[1], nil)
	g.alloc(13, "other", nodes[2], nil)
	keys := []state.NodeKey{nodes[0].Key, nodes[1].Key, nodes[2].Key, nodes[3].Key, nodes[3].Key, 9999}
	g.plan = &PlanResult{Placed: map[string][]state.NodeKey{"g": keys}}
	out, err := c.Plan(ctx, &api.JobPlanRequest{Job: with("web", next)})
	if err != nil {
		t.Fatal(err)
	}
	byBase := func(a, b api.PlanDevices) int { return strings.Compare(a.Base, b.Base) }
	for i := range out.Modules {
		slices.SortFunc(out.Modules[i].Devices, byBase)
	}
	devices := []api.PlanDevices{{Count: 1}, {Base: digestText(old), Count: 2}, {Base: digestText(next), Count: 1}}
	slices.SortFunc(devices, byBase)
	want := []api.PlanModule{{TaskGroup: "g", Task: "main", Digest: digestText(next), Devices: devices}}
	if d := cmp.Diff(want, out.Modules); d != "" {
		t.Errorf("what moves (-want +got):\n%s", d)
	}
	g.plan = &PlanResult{}
	if out, err := c.Plan(ctx, &api.JobPlanRequest{Job: with("web", next)}); err != nil || len(out.Modules) != 0 {
		t.Errorf("a plan that places nothing moves %+v: %v", out.Modules, err)
	}

	body, size, err := c.ModuleContent(ctx, digestText(next))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err != nil || body.Close() != nil || string(b) != string(next) || size != int64(len(next)) {
		t.Errorf("content %q of %d bytes: %v", b, size, err)
	}
	if _, _, err := c.ModuleContent(ctx, digestText([]byte("no"))); !api.IsNotFound(err) {
		t.Errorf("a module that is not there: %v", err)
	}
}
