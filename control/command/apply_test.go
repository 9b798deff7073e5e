package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

func TestJobVersions(t *testing.T) {
	w := newWorld(t)
	first := w.job("web", "service", 1)
	if !first.Changed || first.Version != 0 || first.JobIndex != w.index {
		t.Errorf("first registration: %+v", first)
	}
	same := w.job("web", "service", 2)
	if same.Changed || same.Version != 0 || same.JobIndex != first.JobIndex {
		t.Errorf("equal bytes: %+v", same)
	}
	if e := w.store.View().Eval(uid(2)); e == nil || e.Status != fleet.EvalPending || e.Trigger != fleet.TriggerJobRegister ||
		e.Type != "service" || e.Priority != fleet.DefaultPriority || e.JobIndex != first.JobIndex {
		t.Errorf("equal bytes still need an evaluation; got %+v", e)
	}
	w.refuse(JobRegister{Spec: jobSpec("web", "service", 9, 1), EvalID: uid(3), CheckIndex: true, JobIndex: 0}, ErrCheckIndex)
	w.refuse(JobRegister{Spec: jobSpec("new", "service", 9, 1), EvalID: uid(3), CheckIndex: true, JobIndex: 7}, ErrCheckIndex)
	w.refuse(JobRegister{Spec: jobSpec("web", "service", 9, 1), EvalID: uid(2)}, ErrExists)
	w.refuse(JobRegister{Spec: []byte(`{"ID":"x"}`), EvalID: uid(3)}, ErrInvalid)
	w.refuse(JobRegister{Spec: []byte(`[]`), EvalID: uid(3)}, ErrInvalid)
	second := do[JobRegistered](w, JobRegister{Spec: jobSpec("web", "service", 9, 1), EvalID: uid(3), CheckIndex: true, JobIndex: first.JobIndex})
	if second.Version != 1 || !second.Changed {
		t.Errorf("changed bytes: %+v", second)
	}
	do[JobDeregistered](w, JobDeregister{Namespace: "default", ID: "web", EvalID: uid(4)})
	if !w.store.View().JobByID("default", "web").Stop {
		t.Error("the job is not stopped")
	}
	again := do[JobRegistered](w, JobRegister{Spec: jobSpec("web", "service", 9, 1), EvalID: uid(5)})
	if again.Version != 2 || w.store.View().JobByID("default", "web").Stop {
		t.Errorf("registering a stopped job: %+v", again)
	}
}

func TestPurgeStopsWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	w.job("web", "service", 1)
	node := w.node(100)
	w.place("web", node, 200, 201)
	w.refuse(JobDeregister{Namespace: "default", ID: "other", EvalID: uid(9)}, ErrNoSuchJob)
	got := do[JobDeregistered](w, JobDeregister{Namespace: "default", ID: "web", Purge: true, EvalID: uid(9)})
	if got.Stopped != 2 || w.store.View().JobByID("default", "web") != nil {
		t.Errorf("purge: %+v", got)
	}
	a := w.alloc(200)
	if a.Desired != state.DesiredStop || a.DesiredIndex != w.index || a.Detail.DesiredReason != "job purged" {
		t.Errorf("allocation after a purge: %+v", a)
	}
	if u := w.usage(node); u != (state.Usage{}) {
		t.Errorf("usage after a purge: %+v", u)
	}
	if e := w.store.View().Eval(uid(9)); e == nil || e.Trigger != fleet.TriggerJobDeregister {
		t.Errorf("evaluation of a purge: %+v", e)
	}
	if r := w.job("web", "service", 10); r.Version != 0 {
		t.Errorf("a purged job begins anew; got version %d", r.Version)
	}
}

func TestNodeLostAndBack(t *testing.T) {
	w := newWorld(t)
	w.job("web", "service", 1)
	node := w.node(100)
	w.place("web", node, 200, 201)
	w.refuse(NodeLinks{Changes: []LinkChange{{uid(100), "asleep", ""}}}, ErrInvalid)
	w.refuse(NodeLinks{Changes: []LinkChange{{uid(100), fleet.LinkLost, ""}, {uid(101), fleet.LinkLost, ""}}}, ErrNoSuchNode)
	un := do[LinksChanged](w, NodeLinks{At: 50, Changes: []LinkChange{{uid(100), fleet.LinkUnreachable, "silent"}}})
	if len(un.Evals) != 0 || un.Changed != 1 {
		t.Errorf("unreachable is not lost: %+v", un)
	}
	lost := do[LinksChanged](w, NodeLinks{At: 60, Seed: [32]byte{1}, Changes: []LinkChange{{uid(100), fleet.LinkLost, "too long"}}})
	if len(lost.Evals) != 1 {
		t.Fatalf("one job has work there: %+v", lost)
	}
	if e := w.store.View().Eval(lost.Evals[0]); e.Trigger != fleet.TriggerNodeUpdate || e.Node != uid(100) || e.Job != "web" {
		t.Errorf("evaluation: %+v", e)
	}
	do[Planned](w, Plan{Stops: []Stop{{Alloc: uid(200), Desired: state.DesiredStop, Lost: true, Reason: "node lost"}}})
	if a := w.alloc(200); a.Observed != state.ObservedLost || a.Desired != state.DesiredStop {
		t.Errorf("lost allocation: %+v", a)
	}
	back := do[NodeRegistered](w, NodeRegister{ID: uid(100), Spec: nodeSpec("n", 4000), At: 70, Seed: [32]byte{1}})
	if back.New || len(back.Evals) != 1 || back.Evals[0] == lost.Evals[0] {
		t.Errorf("return of a node: %+v", back)
	}
	if n := w.store.View().Node(node); n.Link != fleet.LinkOnline || n.CapacityAt != w.index || n.LinkSince != 70 {
		t.Errorf("node: %+v", n)
	}
	again := do[NodeRegistered](w, NodeRegister{ID: uid(100), Spec: nodeSpec("n", 4000), At: 80})
	if n := w.store.View().Node(node); len(again.Evals) != 0 || n.CapacityAt == w.index || n.LinkSince != 70 {
		t.Errorf("a repeated registration changes no capacity: %+v", n)
	}
	w.refuse(NodeRegister{ID: uid(100), Spec: []byte(`{"ID":"other"}`)}, ErrInvalid)
	w.refuse(NodeRegister{ID: uid(100), Spec: []byte(`{`)}, ErrInvalid)
}

func TestEligibility(t *testing.T) {
	w := newWorld(t)
	node := w.node(100)
	w.refuse(NodeEligibility{Node: uid(7)}, ErrNoSuchNode)
	if !do[EligibilitySet](w, NodeEligibility{Node: uid(100)}).Changed || w.store.View().Node(node).Ready() {
		t.Error("the node still takes work")
	}
	if !do[EligibilitySet](w, NodeEligibility{Node: uid(100), Eligible: true}).Changed || w.store.View().Node(node).CapacityAt != w.index {
		t.Error("the node has no new capacity")
	}
}

// TestStatusRules is the table of what a report may do to what is known.
func TestStatusRules(t *testing.T) {
	const keep = ""
	for _, c := range []struct {
		kind             string
		before, report   string
		stopped          bool
		after            string
		evals            int
		releases, regain bool
	}{
		{kind: "service", before: "", report: "running", after: "running"},
		{kind: "service", before: "running", report: "failed", after: "failed", evals: 1, releases: true},
		{kind: "service", before: "running", report: "complete", after: "complete", evals: 1, releases: true},
		{kind: "batch", before: "running", report: "complete", after: "complete", releases: true},
		{kind: "batch", before: "running", report: "failed", after: "failed", evals: 1, releases: true},
		{kind: "service", before: "running", report: "failed", stopped: true, after: "failed", releases: true},
		{kind: "service", before: "failed", report: "running", after: "failed", releases: true},
		{kind: "batch", before: "complete", report: "failed", after: "complete", releases: true},
		{kind: "service", before: "lost", report: "running", stopped: true, after: "lost", releases: true},
		{kind: "service", before: "lost", report: "complete", stopped: true, after: "complete", releases: true},
		{kind: "service", before: "unknown", report: "running", after: "running", evals: 1},
		{kind: "service", before: "unknown", report: "failed", after: "failed", evals: 1, releases: true},
		{kind: "service", before: "running", report: "lost", after: "running"},
		{kind: "service", before: "running", report: "unknown", after: "running"},
	} {
		t.Run(fmt.Sprintf("%s_%s_%s_%t", c.kind, c.before, c.report, c.stopped), func(t *testing.T) {
			w := newWorld(t)
			w.job("j", c.kind, 1)
			node := w.node(100)
			w.place("j", node, 200)
			switch c.before {
			case keep:
			case "lost", "unknown": // concluded by a plan
				do[LinksChanged](w, NodeLinks{Changes: []LinkChange{{uid(100), fleet.LinkLost, "silent"}}})
				s := Stop{Alloc: uid(200), Lost: true}
				if c.before == "lost" {
					s.Desired = state.DesiredStop
				}
				do[Planned](w, Plan{Stops: []Stop{s}})
			default:
				w.report(100, 200, c.before)
			}
			if c.stopped {
				do[Planned](w, Plan{Stops: []Stop{{Alloc: uid(200), Desired: state.DesiredStop, Reason: "asked"}}})
			}
			got := w.report(100, 200, c.report)
			if o := w.alloc(200).Observed.String(); o != c.after {
				t.Errorf("observed %s, want %s", o, c.after)
			}
			if len(got.Evals) != c.evals {
				t.Errorf("%d evaluations, want %d", len(got.Evals), c.evals)
			}
			if free := w.usage(node).Allocs == 0; free != c.releases {
				t.Errorf("the room is free: %t, want %t", free, c.releases)
			}
		})
	}
}

func TestForeignReportsAreDropped(t *testing.T) {
	w := newWorld(t)
	w.job("j", "service", 1)
	node := w.node(100)
	w.node(101)
	w.place("j", node, 200)
	for _, r := range []struct{ node, alloc int }{{101, 200}, {100, 999}, {555, 200}} {
		if got := w.report(r.node, r.alloc, "failed"); got.Dropped != 1 || got.Changed != 0 {
			t.Errorf("report of node %d about %d: %+v", r.node, r.alloc, got)
		}
	}
	if w.alloc(200).Observed != state.ObservedPending {
		t.Error("a foreign report was believed")
	}
}

func TestPlanReplacesAndUpdates(t *testing.T) {
	w := newWorld(t)
	w.job("web", "service", 1)
	node := w.node(100)
	prev := 200
	w.place("web", node, prev)
	for i := range fleet.ReschedulePastMax + 2 {
		w.report(100, prev, "failed")
		next := 201 + i
		do[Planned](w, Plan{
			Eval: uid(1), Namespace: "default", Job: "web", At: int64(i),
			Groups: []Placements{{
				Nodes: []state.NodeKey{node}, Names: []uint32{0}, IDs: []fleet.UUID{uid(next)},
				Prevs: []Replaced{{Alloc: uid(prev), Reschedule: true, Delay: 5}},
			}},
			Stops: []Stop{{Alloc: uid(prev), Desired: state.DesiredStop, Reason: "failed"}},
		})
		old, new := w.alloc(prev), w.alloc(next)
		if old.Next != uid(next) || new.Prev != uid(prev) || old.Desired != state.DesiredStop {
			t.Fatalf("chain: old %+v new %+v", old, new)
		}
		if past := new.Past(); len(past) != min(i+1, fleet.ReschedulePastMax) || past[len(past)-1].PrevAllocID != fleet.AllocID(uid(prev).String()) ||
			past[len(past)-1].PrevNodeID != fleet.NodeID(uid(100).String()) || past[len(past)-1].RescheduleTime != int64(i) {
			t.Fatalf("history of %d: %+v", i, past)
		}
		prev = next
	}
	do[JobRegistered](w, JobRegister{Spec: jobSpec("web", "service", 3, 250), EvalID: uid(3)})
	do[Planned](w, Plan{Namespace: "default", Job: "web", Version: 1, Updates: []fleet.UUID{uid(prev)},
		Evals: []state.Eval{{ID: uid(3), Namespace: "default", Job: "web", Status: fleet.EvalComplete}}})
	if a := w.alloc(prev); a.Version.Version != 1 || a.DesiredIndex != w.index || w.usage(node).CPU != 250 {
		t.Errorf("after an update in place: %+v, usage %+v", a, w.usage(node))
	}
	if e := w.store.View().Eval(uid(3)); e.Status != fleet.EvalComplete {
		t.Errorf("evaluation: %+v", e)
	}
}

// A plan stops what it found running, so that its successor follows; when that has ended meanwhile, its report raised no evaluation.
func TestStopOfWhatEndedMeanwhile(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		w := newWorld(t)
		spec := fleet.Job{}
		if err := json.Unmarshal(jobSpec("work", "batch", 3, 100), &spec); err != nil {
			t.Fatal(err)
		}
		spec.TaskGroups[0].Disconnect = &fleet.Disconnect{Replace: &replaced}
		do[JobRegistered](w, JobRegister{Spec: fleet.CanonicalBytes(&spec), EvalID: uid(1), At: 1000})
		w.place("work", w.node(100), 200)
		snapshot := w.index
		w.report(100, 200, fleet.ClientComplete)
		before := slices.Collect(w.store.View().Evals())
		do[Planned](w, Plan{Namespace: "default", Job: "work", Snapshot: snapshot, Eval: uid(1),
			Stops: []Stop{{Alloc: uid(200), Desired: state.DesiredStop, Reason: "replaced by version 1 of the job"}}})
		if n := len(slices.Collect(w.store.View().Evals())) - len(before); (n == 1) == replaced || n > 1 {
			t.Errorf("replaced at once: %t; %d evaluations more", replaced, n)
		}
	}
}

func TestPlanRefusals(t *testing.T) {
	w := newWorld(t)
	w.job("web", "service", 1)
	w.job("db", "service", 2)
	node := w.node(100)
	w.place("web", node, 200)
	w.place("db", node, 300)
	good := Placements{Nodes: []state.NodeKey{node}, Names: []uint32{1}, IDs: []fleet.UUID{uid(201)}}
	plan := func(change func(*Plan, *Placements)) Plan {
		g := good
		p := Plan{Namespace: "default", Job: "web", Stops: []Stop{{Alloc: uid(200), Desired: state.DesiredStop}}}
		change(&p, &g)
		p.Groups = append(p.Groups, g)
		return p
	}
	for want, changes := range map[error][]func(*Plan, *Placements){
		ErrNoSuchJob:     {func(p *Plan, _ *Placements) { p.Job = "gone" }},
		ErrNoSuchVersion: {func(p *Plan, _ *Placements) { p.Version = 7 }},
		ErrNoSuchNode:    {func(_ *Plan, g *Placements) { g.Nodes = []state.NodeKey{99} }},
		ErrNoSuchAlloc: {
			func(p *Plan, _ *Placements) { p.Stops[0].Alloc = uid(9) },
			func(p *Plan, _ *Placements) { p.Updates = []fleet.UUID{uid(9)} },
			func(_ *Plan, g *Placements) { g.Prevs = []Replaced{{Alloc: uid(9)}} },
		},
		ErrExists: {
			func(_ *Plan, g *Placements) { g.IDs = []fleet.UUID{uid(200)} },
			func(p *Plan, _ *Placements) { p.Groups = []Placements{good} },
			func(p *Plan, _ *Placements) {
				p.Evals = []state.Eval{{ID: uid(1), Namespace: "default", Job: "db", Status: fleet.EvalComplete}}
			},
		},
		ErrInvalid: {
			func(_ *Plan, g *Placements) { g.Group = 1 },
			func(_ *Plan, g *Placements) { g.Names = nil },
			func(_ *Plan, g *Placements) { g.Prevs = make([]Replaced, 2) },
			func(p *Plan, _ *Placements) { p.Stops[0].Desired = state.DesiredRun },
			func(p *Plan, _ *Placements) { p.Updates = []fleet.UUID{uid(300)} },
			func(p *Plan, _ *Placements) {
				p.Evals = []state.Eval{{ID: uid(50), Namespace: "default", Job: "web", Status: "?"}}
			},
		},
	} {
		for _, change := range changes {
			w.refuse(plan(change), want)
		}
	}
	do[Planned](w, plan(func(*Plan, *Placements) {})) // what was changed above was the reason
}

func TestInvites(t *testing.T) {
	w := newWorld(t)
	do[InviteStored](w, InvitePut{Invite: fleet.Invite{TokenHash: "aa", ExpiresAt: 100}, At: 1})
	w.refuse(InvitePut{Invite: fleet.Invite{TokenHash: "aa", ExpiresAt: 900}, At: 1}, ErrExists)
	w.refuse(InviteUse{TokenHash: "bb", Node: uid(1), At: 2}, ErrNoSuchInvite)
	w.refuse(InviteUse{TokenHash: "aa", Node: uid(1), At: 100}, ErrInviteExpired)
	if i := do[fleet.Invite](w, InviteUse{TokenHash: "aa", Node: uid(1), At: 99}); i.UsedAt != 99 {
		t.Errorf("used invite: %+v", i)
	}
	do[fleet.Invite](w, InviteUse{TokenHash: "aa", Node: uid(1), At: 150}) // the same device, whose answer was lost
	w.refuse(InviteUse{TokenHash: "aa", Node: uid(2), At: 99}, ErrInviteUsed)
	if got := do[InviteStored](w, InvitePut{Invite: fleet.Invite{TokenHash: "cc", ExpiresAt: 900}, At: 100}); got.Expired != 1 {
		t.Errorf("expired invites stay: %+v", got)
	}
}

func TestRegionAndModules(t *testing.T) {
	w := newWorld(t)
	do[state.Region](w, RegionFound{ID: uid(1), Name: "r", Epoch: 1, At: 5})
	w.refuse(RegionFound{ID: uid(2), Name: "other", Epoch: 9}, ErrFounded)
	w.refuse(RegionFound{ID: uid(1), Name: "r", Epoch: 1}, ErrFounded)
	if r := do[state.Region](w, RegionFound{ID: uid(1), Name: "r", Epoch: 2, At: 9}); r.CreatedAt != 5 || r.Epoch != 2 {
		t.Errorf("raised epoch: %+v", r)
	}
	digest := "sha256:" + strings.Repeat("ab", 32)
	m := do[fleet.Module](w, ModulePut{fleet.Module{Digest: digest, SizeBytes: 4, Name: "a.wasm"}})
	if m.CreateIndex != w.index {
		t.Errorf("module: %+v", m)
	}
	if again := do[fleet.Module](w, ModulePut{fleet.Module{Digest: digest, SizeBytes: 4, Name: "b.wasm"}}); again != m {
		t.Errorf("a module that is known: %+v", again)
	}
	w.refuse(ModulePut{fleet.Module{Digest: "sha256:abc"}}, ErrInvalid)
	w.refuse(ModulePut{fleet.Module{Digest: digest, SizeBytes: fleet.ModuleBytesMax + 1}}, ErrInvalid)
}

func TestUnknownIsNamed(t *testing.T) {
	txn := state.New().Begin()
	for entry, word := range map[string]string{"\xfe\x01": "family 254", "\x0a\x63": `"plan" command of version 99`} {
		_, err := Apply(txn, 1, []byte(entry))
		if _, ok := errors.AsType[*UnknownError](err); !ok || !strings.Contains(err.Error(), word) {
			t.Errorf("entry %q: %v", entry, err)
		}
	}
	for _, entry := range [][]byte{nil, {1}, {codePlan, 1, 2}, make([]byte, EntryBytesMax+1)} {
		if _, err := Apply(txn, 1, entry); !errors.Is(err, ErrMalformed) {
			t.Errorf("an entry of %d bytes: %v", len(entry), err)
		}
	}
}
