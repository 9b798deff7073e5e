package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// region is a state under test, changed as the log would change it.
type region struct {
	t     testing.TB
	store *state.Store
	index uint64
	ids   uint64
	now   time.Time
}

func newRegion(t testing.TB) *region {
	return &region{t: t, store: state.New(), now: time.Unix(1_700_000_000, 0)}
}

func (r *region) id() fleet.UUID {
	r.ids++
	var b [16]byte
	b[0] = 0xff
	for i := range 8 {
		b[8+i] = byte(r.ids >> (56 - 8*i))
	}
	return fleet.MintUUID(b)
}

func (r *region) do(f func(x *state.Txn, index uint64)) {
	r.index++
	x := r.store.Begin()
	f(x, r.index)
	x.Commit(r.index)
}

// node adds a device with 4000 MHz, 4096 MiB and the wasm driver, edited by f.
func (r *region) node(name string, f func(n *fleet.Node)) *state.Node {
	id := r.id()
	n := &fleet.Node{
		ID: fleet.NodeID(id.String()), Name: name, Datacenter: "dc1",
		Attributes: map[string]string{"cpu.arch": "amd64", "kernel.version": "6.1.0", "cores": "4"},
		Meta:       map[string]string{}, Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}},
	}
	n.NodeResources.CPU.CPUShares, n.NodeResources.Memory.MemoryMB = 4000, 4096
	if f != nil {
		f(n)
	}
	var row *state.Node
	r.do(func(x *state.Txn, index uint64) {
		row = x.PutNode(state.Node{ID: id, Spec: n, Link: fleet.LinkOnline}, index)
	})
	return row
}

func (r *region) link(name string, link fleet.LinkState) {
	r.do(func(x *state.Txn, index uint64) {
		for n := range r.store.View().Nodes() {
			if n.Spec.Name == name {
				c := *n
				c.Link = link
				x.PutNode(c, index)
			}
		}
	})
}

// job registers a job of one wasm group "web" with count 3, 500 MHz and 256 MiB,
// edited by f, as its next version.
func (r *region) job(f func(j *fleet.Job)) {
	j := &fleet.Job{ID: "app", TaskGroups: []fleet.TaskGroup{{
		Name: "web", Count: fleet.Ptr(3),
		Tasks: []fleet.Task{{Name: "main", Driver: "wasm", Resources: &fleet.Resources{CPU: fleet.Ptr(500), MemoryMB: fleet.Ptr(256)}}},
	}}}
	if f != nil {
		f(j)
	}
	fleet.Canonicalize(j)
	r.do(func(x *state.Txn, index uint64) {
		row := state.Job{Namespace: j.Namespace, ID: j.ID, Key: x.NextJobKey()}
		if old := x.JobByID(j.Namespace, j.ID); old != nil {
			row = *old
		}
		row.Stop, row.JobModifyIndex = false, index
		version := uint64(len(row.Versions))
		if version > 0 {
			version = row.Versions[0].Version + 1
		}
		row.Versions = append([]*state.JobVersion{
			state.NewJobVersion(row.Key, version, j, fleet.CanonicalBytes(j), 0, index)}, row.Versions...)
		x.PutJob(row, index)
	})
}

func (r *region) stopJob(purge bool) {
	r.do(func(x *state.Txn, index uint64) {
		row := *x.JobByID("default", "app")
		if purge {
			x.DeleteJob(&row)
			return
		}
		row.Stop = true
		x.PutJob(row, index)
	})
}

// eval adds an evaluation of the job.
func (r *region) eval(trigger string) *state.Eval {
	var e *state.Eval
	r.do(func(x *state.Txn, index uint64) {
		e = x.PutEval(state.Eval{
			ID: r.id(), Namespace: "default", Job: "app", Type: "service", Trigger: trigger, Priority: 50, Status: fleet.EvalPending,
		}, index)
	})
	return e
}

func (r *region) input(e *state.Eval) Input {
	return Input{View: r.store.View(), Eval: e, Now: r.now, Seed: [32]byte{byte(r.index), byte(r.index >> 8)}}
}

// run schedules a fresh evaluation and applies its plan.
func (r *region) run(trigger string) Output {
	out := Schedule(r.input(r.eval(trigger)))
	r.apply(&out.Plan)
	return out
}

// apply does to the state what the plan command does.
func (r *region) apply(p *command.Plan) {
	r.do(func(x *state.Txn, index uint64) {
		for _, s := range p.Stops {
			old := x.AllocByID(s.Alloc)
			c, d := *old, state.AllocDetail{}
			if old.Detail != nil {
				d = *old.Detail
			}
			c.Desired, d.DesiredReason, d.Followup = s.Desired, s.Reason, s.Followup
			if s.Lost {
				c.Observed = state.ObservedLost
			}
			c.Detail = &d
			x.UpdateAlloc(old, c, index)
		}
		for _, e := range p.Evictions {
			old := x.AllocByID(e.Alloc)
			c := *old
			c.Desired = state.DesiredEvict
			x.UpdateAlloc(old, c, index)
		}
		job := x.JobByID(p.Namespace, p.Job)
		for _, id := range p.Updates {
			old := x.AllocByID(id)
			c := *old
			c.Group = uint16(job.Current().GroupIndex(old.GroupName()))
			c.Version = job.Current()
			x.UpdateAlloc(old, c, index)
		}
		for _, g := range p.Groups {
			var rows []*state.Alloc
			for i := range g.IDs {
				row := &state.Alloc{
					ID: g.IDs[i], Version: job.Current(), Eval: p.Eval, Node: g.Nodes[i], Index: g.Names[i],
					Group: g.Group, CreateTime: p.At, ModifyTime: p.At,
				}
				if len(g.Prevs) > 0 && !g.Prevs[i].Alloc.IsZero() {
					r.chain(x, row, g.Prevs[i], p.At, index)
				}
				rows = append(rows, row)
			}
			if err := x.InsertAllocs(rows, index); err != nil {
				r.t.Fatal(err)
			}
			for i := range g.Granted {
				x.Grant(rows[i], g.Granted[i])
			}
		}
		for _, e := range p.Evals {
			x.PutEval(e, index)
		}
	})
}

func (r *region) chain(x *state.Txn, row *state.Alloc, prev command.Replaced, at int64, index uint64) {
	old := x.AllocByID(prev.Alloc)
	if old == nil {
		r.t.Fatalf("the plan replaces %s, which does not exist", prev.Alloc)
	}
	c := *old
	c.Next = row.ID
	x.UpdateAlloc(old, c, index)
	row.Prev = old.ID
	past := old.Past()
	if prev.Reschedule {
		past = append(past[:len(past):len(past)], fleet.ReschedulePast{
			RescheduleTime: at, PrevAllocID: fleet.AllocID(old.ID.String()), PrevNodeID: fleet.NodeID(x.Node(old.Node).ID.String()), Delay: prev.Delay,
		})
	}
	if len(past) > 0 {
		row.Detail = &state.AllocDetail{Past: past}
	}
}

// observe reports a state of the live allocation of that index.
func (r *region) observe(index uint32, o state.Observed) *state.Alloc {
	for a := range r.store.View().Allocs() {
		if a.Index == index && a.Holds() {
			r.observeRow(a, o)
			return r.store.View().Alloc(a.Key)
		}
	}
	r.t.Fatalf("no live allocation has index %d", index)
	return nil
}

func (r *region) observeRow(a *state.Alloc, o state.Observed) {
	r.do(func(x *state.Txn, i uint64) {
		c := *a
		c.Observed, c.ModifyTime = o, r.now.UnixNano()
		x.UpdateAlloc(a, c, i)
	})
}

// live lists the live allocations as index@node, oldest first.
func (r *region) live() map[uint32]string {
	out := map[uint32]string{}
	v := r.store.View()
	for a := range v.Allocs() {
		if a.Holds() {
			if at, twice := out[a.Index]; twice {
				r.t.Fatalf("index %d lives twice, on %s too", a.Index, at)
			}
			out[a.Index] = v.Node(a.Node).Spec.Name
		}
	}
	return out
}

func (r *region) nodes(n int) {
	for i := range n {
		r.node(fmt.Sprintf("n%d", i), nil)
	}
}

func counts(p *command.Plan) (placed, stopped, updated, marked int) {
	for _, g := range p.Groups {
		placed += len(g.IDs)
	}
	for _, s := range p.Stops {
		if s.Desired == state.DesiredRun {
			marked++
		} else {
			stopped++
		}
	}
	return placed, stopped, len(p.Updates), marked
}

func wantCounts(t *testing.T, p *command.Plan, placed, stopped, updated, marked int) {
	t.Helper()
	a, b, c, d := counts(p)
	if a != placed || b != stopped || c != updated || d != marked {
		t.Fatalf("placed %d, stopped %d, updated %d, marked %d; want %d, %d, %d, %d", a, b, c, d, placed, stopped, updated, marked)
	}
}
