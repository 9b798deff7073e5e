package scheduler

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"pgregory.net/rapid"
)

// rolled is a region whose test plays the one who watches over a deployment.
type rolled struct {
	*region
	rt *rapid.T
	id fleet.UUID // of the deployment; zero before there is one
}

// command applies one as the log would; a refusal ends the test.
func (r *rolled) command(c command.Command) {
	r.rt.Helper()
	r.do(func(x *state.Txn, index uint64) {
		if _, err := command.Apply(x, index, command.Encode(c)); err != nil {
			r.rt.Fatalf("%T: %v", c, err)
		}
	})
}

func (r *rolled) register(version string, count, step int, healthy time.Duration) {
	r.job(func(j *fleet.Job) {
		g := &j.TaskGroups[0]
		g.Count, g.Tasks[0].Env = &count, map[string]string{"V": version}
		g.Update = &fleet.UpdateStrategy{MaxParallel: &step, MinHealthyTime: fleet.Ptr(fleet.Duration(healthy))}
		g.ReschedulePolicy = &fleet.ReschedulePolicy{
			Delay: fleet.Ptr(fleet.Duration(time.Second)), DelayFunction: fleet.Ptr(fleet.DelayConstant), Unlimited: fleet.Ptr(true),
		}
	})
}

func (r *rolled) deploy(canaries int) {
	r.id = r.region.id()
	j := r.current()
	d := &fleet.Deployment{
		ID: fleet.DeploymentID(r.id.String()), Namespace: j.Namespace, JobID: j.ID, JobVersion: j.Current().Version, Status: fleet.DeploymentRunning,
		TaskGroups: map[string]*fleet.DeploymentState{"web": {DesiredCanaries: canaries, DesiredTotal: *j.Current().Spec.TaskGroups[0].Count}},
	}
	raw, err := json.Marshal(d)
	if err != nil {
		r.rt.Fatal(err)
	}
	r.command(command.DeploymentPut{Deployment: raw, EvalID: r.region.id(), At: r.now.UnixNano()})
}

func (r *rolled) say(status string, promote ...string) {
	r.command(command.DeploymentStatus{ID: r.id, Status: status, Promote: promote, EvalID: r.region.id(), At: r.now.UnixNano()})
}

func (r *rolled) current() *state.Job { return r.store.View().JobByID("default", "app") }

func (r *rolled) deployment() *fleet.Deployment { return r.store.View().Deployment(r.id).Spec }

func (r *rolled) report(a *state.Alloc, status string) {
	r.command(command.Statuses{At: r.now.UnixNano(), Seed: [32]byte{byte(r.index)}, Nodes: []command.NodeStatuses{{
		Node: r.store.View().Node(a.Node).ID, Allocs: []wire.AllocStatus{{ID: a.ID, Status: status}},
	}}})
}

func (r *rolled) holding() (out []*state.Alloc) {
	for a := range r.store.View().Allocs() {
		if a.Holds() {
			out = append(out, a)
		}
	}
	return out
}

func (r *rolled) allRun() {
	for _, a := range r.holding() {
		if a.Observed == state.ObservedPending {
			r.report(a, fleet.ClientRunning)
		}
	}
}

// evaluate schedules, looks at the plan with the naive reader's eyes, applies it, and
// schedules again, which must do nothing.
func (r *rolled) evaluate() {
	r.rt.Helper()
	for n := range 2 {
		before := r.store.View()
		out := Schedule(r.input(r.eval(fleet.TriggerDeployment)))
		r.judge(before, &out.Plan)
		r.command(&out.Plan)
		if p, s, u, m := counts(&out.Plan); n > 0 && p+s+u+m > 0 {
			r.rt.Fatalf("scheduled again it places %d, stops %d, updates %d and marks %d", p, s, u, m)
		}
		r.names()
	}
}

// judge knows nothing of how the plan came to be.
func (r *rolled) judge(before *state.View, p *command.Plan) {
	j := r.current()
	cur, g := j.Current(), &j.Current().Spec.TaskGroups[0]
	d := before.DeploymentOf(j)
	holds := d != nil && d.Spec.Holds()
	canarying := d != nil && d.Spec.Status != fleet.DeploymentSuccessful && d.Spec.TaskGroups["web"].Canarying()
	placed, news := map[fleet.UUID]bool{}, 0
	for _, cols := range p.Groups {
		for i := range cols.IDs {
			if len(cols.Prevs) > 0 {
				placed[cols.Prevs[i].Alloc] = true
			}
			if cols.Back == 0 {
				news++
			}
		}
	}
	if holds && news > 0 {
		r.rt.Fatalf("the deployment is %s, and %d of its version are placed", d.Spec.Status, news)
	}
	way, replaced := 0, 0
	stopped := map[fleet.UUID]bool{}
	for _, s := range p.Stops {
		a := before.AllocByID(s.Alloc)
		lost := before.Node(a.Node).Link == fleet.LinkLost
		stopped[a.ID] = true
		if s.Desired == state.DesiredRun || !a.Holds() || lost || a.Version == cur {
			continue
		}
		if holds || canarying {
			r.rt.Fatalf("%s of version %d is stopped though nobody promoted: %s", a.Name(), a.Version.Version, s.Reason)
		}
		if a.Observed == state.ObservedRunning && placed[a.ID] {
			replaced++
		}
	}
	for _, a := range r.holding() {
		well := a.Observed == state.ObservedRunning && r.now.Sub(time.Unix(0, a.ModifyTime)) >= g.MinHealthy()
		if a.Version == cur && !stopped[a.ID] && !well {
			way++
		}
	}
	if replaced > 0 && replaced+way > g.Step() {
		r.rt.Fatalf("%d that run are replaced while %d of the new version are not healthy; max_parallel is %d", replaced, way, g.Step())
	}
}

// names: of each version's kind no two have one; and there are no more canaries than
// are wanted.
func (r *rolled) names() {
	j := r.current()
	canarying := !r.id.IsZero() && r.deployment().TaskGroups["web"].Canarying() && r.deployment().JobVersion == j.Current().Version
	names, canaries := map[string]*state.Alloc{}, 0
	for _, a := range r.holding() {
		kind := ""
		if a.Version == j.Current() && canarying {
			canaries++
			kind = " (canary)"
			if !r.deployment().TaskGroups["web"].HasCanary(a.ID) {
				r.rt.Fatalf("%s of the new version is not among the canaries", a.Name())
			}
		}
		if heir := !r.id.IsZero() && r.deployment().TaskGroups["web"].HasCanary(a.ID); heir && !canarying {
			kind = " (heir)"
		}
		if names[a.Name()+kind] != nil {
			r.rt.Fatalf("%s%s lives twice", a.Name(), kind)
		}
		names[a.Name()+kind] = a
	}
	if canarying && canaries > r.deployment().TaskGroups["web"].DesiredCanaries {
		r.rt.Fatalf("%d canaries live", canaries)
	}
}

func (r *rolled) event() {
	r.now = r.now.Add(time.Duration(rapid.IntRange(0, 12).Draw(r.rt, "seconds")) * time.Second)
	some := r.holding()
	switch op := rapid.IntRange(0, 9).Draw(r.rt, "event"); {
	case op < 3:
		r.allRun()
	case op < 5 && len(some) > 0:
		r.report(rapid.SampledFrom(some).Draw(r.rt, "alloc"), rapid.SampledFrom([]string{fleet.ClientRunning, fleet.ClientFailed, fleet.ClientComplete}).Draw(r.rt, "status"))
	case op == 5:
		r.link(fmt.Sprintf("n%d", rapid.IntRange(0, 3).Draw(r.rt, "node")), rapid.SampledFrom([]fleet.LinkState{fleet.LinkOnline, fleet.LinkOnline, fleet.LinkLost}).Draw(r.rt, "link"))
	case op == 6 && !r.deployment().Over():
		r.say(fleet.DeploymentRunning, "web")
	case op == 7 && !r.deployment().Over():
		r.say(rapid.SampledFrom([]string{fleet.DeploymentPaused, fleet.DeploymentRunning, fleet.DeploymentFailed}).Draw(r.rt, "status"))
	}
}

func TestRollouts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := &rolled{region: newRegion(t), rt: rt}
		r.nodes(4)
		count, step := rapid.IntRange(1, 5).Draw(rt, "count"), rapid.IntRange(1, 3).Draw(rt, "max parallel")
		healthy := time.Duration(rapid.IntRange(0, 15).Draw(rt, "min healthy")) * time.Second
		r.register("1", count, step, healthy)
		r.evaluate()
		r.allRun()
		r.register("2", count, step, healthy)
		r.deploy(rapid.IntRange(0, count).Draw(rt, "canaries"))
		for range rapid.IntRange(1, 25).Draw(rt, "events") {
			r.evaluate()
			r.event()
		}
		r.goesOn(count)
	})
}

// goesOn ends all trouble: a rollout that did not fail comes to its end, and one that
// did leaves the group as it can.
func (r *rolled) goesOn(count int) {
	for n := range 4 {
		r.link(fmt.Sprintf("n%d", n), fleet.LinkOnline)
	}
	if !r.deployment().Over() {
		r.say(fleet.DeploymentRunning, "web")
	}
	for range 4 * count {
		r.evaluate()
		r.allRun()
		r.now = r.now.Add(20 * time.Second)
	}
	r.evaluate()
	versions := map[uint64]int{}
	for _, a := range r.holding() {
		versions[a.Version.Version]++
	}
	switch d := r.deployment(); {
	case d.Status != fleet.DeploymentFailed && (versions[1] != count || len(versions) != 1):
		r.rt.Fatalf("at the end there are %v, by version; want %d of version 1", versions, count)
	case d.Status == fleet.DeploymentFailed && !d.TaskGroups["web"].Promoted && d.TaskGroups["web"].DesiredCanaries > 0 && !maps.Equal(versions, map[uint64]int{0: count}):
		r.rt.Fatalf("a deployment failed with its canaries, and there are %v, by version; want %d of version 0", versions, count)
	}
}

// The course of one, step by step.
func TestCanariesRunBesideWhatTheyReplace(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { // a table would have one row
		r := &rolled{region: newRegion(t), rt: rt}
		r.nodes(4)
		r.register("1", 4, 1, 10*time.Second)
		r.evaluate()
		r.allRun()
		r.register("2", 4, 1, 10*time.Second)
		r.deploy(2)
		want := func(what string, by map[uint64][]uint32) {
			got := map[uint64][]uint32{}
			for _, a := range r.holding() {
				got[a.Version.Version] = append(got[a.Version.Version], a.Index)
			}
			for _, v := range got {
				slices.Sort(v)
			}
			if !maps.EqualFunc(got, by, slices.Equal) {
				rt.Fatalf("%s: %v, want %v", what, got, by)
			}
		}
		r.evaluate()
		want("canaries", map[uint64][]uint32{0: {0, 1, 2, 3}, 1: {0, 1}})
		r.allRun()
		for _, a := range r.holding() {
			if a.Version.Version == 0 && a.Index == 2 {
				r.report(a, fleet.ClientFailed)
			}
		}
		r.now = r.now.Add(5 * time.Second)
		r.evaluate()
		want("a failed one is placed again as it was", map[uint64][]uint32{0: {0, 1, 2, 3}, 1: {0, 1}})
		r.say(fleet.DeploymentRunning, "web")
		r.evaluate()
		want("promoted, and not healthy yet", map[uint64][]uint32{0: {0, 1, 2, 3}, 1: {0, 1}})
		r.now = r.now.Add(5 * time.Second)
		r.evaluate()
		want("the canaries have their names, and the first step is taken", map[uint64][]uint32{0: {3}, 1: {0, 1, 2}})
		r.say(fleet.DeploymentPaused)
		r.allRun()
		r.now = r.now.Add(time.Minute)
		r.evaluate()
		want("paused", map[uint64][]uint32{0: {3}, 1: {0, 1, 2}})
		r.say(fleet.DeploymentRunning)
		r.evaluate()
		want("the last", map[uint64][]uint32{1: {0, 1, 2, 3}})
	})
}
