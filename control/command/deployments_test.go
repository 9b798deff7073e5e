package command

import (
	"encoding/json"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func deploymentOf(id int, job fleet.JobID, version uint64, status string, canaries int) []byte {
	b, err := json.Marshal(&fleet.Deployment{
		ID: fleet.DeploymentID(uid(id).String()), Namespace: "default", JobID: job, JobVersion: version, Status: status,
		TaskGroups: map[string]*fleet.DeploymentState{"app": {DesiredCanaries: canaries}},
	})
	if err != nil {
		panic(err)
	}
	return b
}

func TestDeployments(t *testing.T) {
	w := newWorld(t)
	w.job("web", fleet.JobTypeService, 1)
	node := w.node(100)
	w.place("web", node, 200, 201)
	put := func(eval int, spec []byte) DeploymentPut {
		return DeploymentPut{Deployment: spec, EvalID: uid(eval), At: 9}
	}
	w.refuse(put(2, deploymentOf(50, "none", 0, "running", 1)), ErrNoSuchJob)
	w.refuse(put(2, deploymentOf(50, "web", 7, "running", 1)), ErrNoSuchVersion)
	w.refuse(put(2, deploymentOf(50, "web", 0, "odd", 1)), ErrInvalid)
	w.refuse(put(2, deploymentOf(50, "web", 0, "running", 4)), ErrInvalid) // the count is 3
	w.refuse(put(1, deploymentOf(50, "web", 0, "running", 1)), ErrExists)  // the evaluation
	w.refuse(DeploymentStatus{ID: uid(50), Status: "running", EvalID: uid(2)}, ErrNoSuchDeployment)
	do[DeploymentStored](w, put(2, deploymentOf(50, "web", 0, "running", 2)))
	if e := w.store.View().Eval(uid(2)); e.Trigger != fleet.TriggerDeployment || e.Status != fleet.EvalPending {
		t.Fatalf("%+v", e)
	}

	// What takes the place of what is no canary is none; what takes that of one is.
	at := func(name uint32, id, prev int) {
		do[Planned](w, Plan{Namespace: "default", Job: "web", At: 5, Groups: []Placements{{
			Nodes: []state.NodeKey{node}, Names: []uint32{name}, IDs: []fleet.UUID{uid(id)}, Prevs: []Replaced{{Alloc: uid(prev)}},
		}}})
	}
	do[Planned](w, Plan{Namespace: "default", Job: "web", At: 5, Groups: []Placements{{
		Nodes: []state.NodeKey{node}, Names: []uint32{0}, IDs: []fleet.UUID{uid(300)},
	}}})
	at(1, 301, 201)
	at(0, 302, 300)
	group := func() *fleet.DeploymentState { return w.store.View().Deployment(uid(50)).Spec.TaskGroups["app"] }
	if !group().HasCanary(uid(302)) || group().HasCanary(uid(301)) {
		t.Fatalf("%+v", group())
	}
	at(0, 303, 302)
	if group().HasCanary(uid(300)) || !group().HasCanary(uid(303)) { // what has a successor counts no more
		t.Fatalf("%+v", group())
	}

	w.refuse(DeploymentStatus{ID: uid(50), Status: "running", Promote: []string{"db"}, EvalID: uid(3)}, ErrInvalid)
	do[DeploymentStored](w, DeploymentStatus{ID: uid(50), Status: "running", Promote: []string{"app"}, EvalID: uid(3)})
	at(2, 304, 303)
	if !group().Promoted || group().HasCanary(uid(304)) {
		t.Fatalf("%+v", group())
	}
	do[DeploymentStored](w, put(4, deploymentOf(50, "web", 0, "paused", 2))) // which knows of no promotion
	if !group().Promoted || len(group().PlacedCanaries) == 0 {
		t.Fatalf("%+v", group())
	}
	do[DeploymentStored](w, DeploymentStatus{ID: uid(50), Status: "failed", EvalID: uid(5)})
	w.refuse(DeploymentStatus{ID: uid(50), Status: "running", EvalID: uid(6)}, ErrInvalid)
}

// An older version is placed as it was; one that is not kept is refused.
func TestAPlanPlacesOlderVersions(t *testing.T) {
	w := newWorld(t)
	w.job("web", fleet.JobTypeService, 1)
	do[JobRegistered](w, JobRegister{Spec: jobSpec("web", "service", 3, 700), EvalID: uid(2), At: 1000})
	node := w.node(100)
	plan := func(id int, back uint8) Plan {
		return Plan{Namespace: "default", Job: "web", Version: 1, At: 5, Groups: []Placements{
			{Nodes: []state.NodeKey{node}, Names: []uint32{0}, IDs: []fleet.UUID{uid(id)}, Back: back},
			{Nodes: []state.NodeKey{node}, Names: []uint32{1}, IDs: []fleet.UUID{uid(id + 1)}},
		}}
	}
	w.refuse(plan(300, 2), ErrInvalid)
	do[Planned](w, plan(300, 1))
	v := w.store.View()
	if old, cur := v.AllocByID(uid(300)), v.AllocByID(uid(301)); old.Version.Version != 0 || cur.Version.Version != 1 || v.Usage(node).CPU != 800 {
		t.Fatalf("%+v %+v %+v", old, cur, v.Usage(node))
	}
}

func TestEvalsDelete(t *testing.T) {
	w := newWorld(t)
	for i, job := range []fleet.JobID{"a", "b"} {
		w.job(job, fleet.JobTypeService, i+1)
	}
	eval := func(id int, job fleet.JobID, status string) {
		do[EvalsStored](w, EvalsPut{Evals: []state.Eval{{ID: uid(id), Namespace: "default", Job: job, Status: status}}, At: 7})
	}
	eval(1, "a", fleet.EvalComplete)
	eval(10, "a", fleet.EvalBlocked)
	eval(11, "a", fleet.EvalFailed)
	w.refuse(EvalsDelete{[]fleet.UUID{uid(99)}}, ErrNoSuchEval)
	w.refuse(EvalsDelete{[]fleet.UUID{uid(1), uid(2)}}, ErrEvalKept)  // which is pending
	w.refuse(EvalsDelete{[]fleet.UUID{uid(1), uid(11)}}, ErrEvalKept) // which is the newest
	if got := do[EvalsDeleted](w, EvalsDelete{[]fleet.UUID{uid(1), uid(10), uid(1)}}); got.Count != 2 {
		t.Fatalf("%+v", got)
	}
	if v := w.store.View(); v.Eval(uid(1)) != nil || v.Eval(uid(10)) != nil || v.Eval(uid(11)) == nil || v.Eval(uid(2)) == nil {
		t.Fatal("others were deleted, or not those")
	}
}
