package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/control/grant"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// NodeOrphans is everything that a device has and the region does not know.
type NodeOrphans struct {
	Node    fleet.UUID
	Orphans []wire.Orphan
	At      int64
}

// AllocStop ends an allocation, or an orphan, because an operator says so. The
// job is evaluated, and places another if it wants one.
type AllocStop struct {
	Alloc  fleet.UUID
	Gone   bool // its device will not come back: it counts as lost
	EvalID fleet.UUID
	At     int64
}

// AllocAdopt makes an orphan an allocation of the region again. What the region
// has placed under its name meanwhile is stopped.
type AllocAdopt struct {
	Alloc  fleet.UUID
	EvalID fleet.UUID
	At     int64
}

// Orphans that hold something are a family of their own: a server from before ports
// stops at it, where it would read the other and forget what they hold.
func (c NodeOrphans) code() byte {
	for i := range c.Orphans {
		if c.Orphans[i].Granted != "" {
			return codeNodeOrphansGranted
		}
	}
	return codeNodeOrphans
}

func (c NodeOrphans) append(b []byte) []byte {
	b = codec.AppendInt(wire.AppendOrphans(appendUUID(b, c.Node), c.Orphans), c.At)
	return wire.AppendGrantedOf(b, len(c.Orphans), func(i int) wire.Granted { return c.Orphans[i].Granted })
}

func readNodeOrphans(r *codec.Reader) NodeOrphans {
	return NodeOrphans{Node: r.UUID(), Orphans: wire.ReadOrphans(r), At: r.Int()}
}

func readNodeOrphansGranted(r *codec.Reader) NodeOrphans {
	c := readNodeOrphans(r)
	if r.Err() == nil && r.Left() == 0 {
		r.Fail(errors.New("what the orphans hold is cut off"))
	}
	wire.ReadGrantedOf(r, len(c.Orphans), func(i int, g wire.Granted) { c.Orphans[i].Granted = g })
	return c
}

func (AllocStop) code() byte { return codeAllocStop }

func (c AllocStop) append(b []byte) []byte {
	return codec.AppendInt(appendUUID(codec.AppendBool(appendUUID(b, c.Alloc), c.Gone), c.EvalID), c.At)
}

func readAllocStop(r *codec.Reader) AllocStop {
	return AllocStop{Alloc: r.UUID(), Gone: r.Bool(), EvalID: r.UUID(), At: r.Int()}
}

func (AllocAdopt) code() byte { return codeAllocAdopt }

func (c AllocAdopt) append(b []byte) []byte {
	return codec.AppendInt(appendUUID(appendUUID(b, c.Alloc), c.EvalID), c.At)
}

func readAllocAdopt(r *codec.Reader) AllocAdopt {
	return AllocAdopt{Alloc: r.UUID(), EvalID: r.UUID(), At: r.Int()}
}

// OrphansSet is the result of [NodeOrphans].
type OrphansSet struct {
	Changed bool
	Count   int
}

func applyNodeOrphans(x *state.Txn, index uint64, c NodeOrphans) (OrphansSet, error) {
	n := x.NodeByID(c.Node)
	if n == nil {
		return OrphansSet{}, fmt.Errorf("node %s: %w", c.Node, ErrNoSuchNode)
	}
	var list []state.Orphan
	for _, o := range c.Orphans {
		if fleet.ClientTerminal(o.Status) || x.AllocByID(o.ID) != nil {
			continue // it has ended, or was adopted while this was on its way
		}
		next := state.Orphan{Orphan: o}
		for i := range n.Orphans {
			if old := &n.Orphans[i]; old.ID == o.ID {
				next.StopReason, next.Changed = old.StopReason, old.Changed
			}
		}
		list = append(list, next)
	}
	if slices.Equal(list, n.Orphans) {
		return OrphansSet{Count: len(list)}, nil
	}
	x.SetOrphans(n, list, index)
	return OrphansSet{true, len(list)}, nil
}

// stopAsked is why an allocation was stopped that somebody stopped by hand.
const (
	stopAsked = "an operator stopped it"
	stopGone  = "an operator says that its device is gone for good"
)

// AllocStopped is the result of [AllocStop].
type AllocStopped struct {
	Orphan bool
	EvalID fleet.UUID // zero: its job wants nothing more
}

func applyAllocStop(x *state.Txn, index uint64, c AllocStop) (AllocStopped, error) {
	a := x.AllocByID(c.Alloc)
	if a == nil {
		return AllocStopped{Orphan: true}, stopOrphan(x, index, c)
	}
	n := x.Node(a.Node)
	ready := n != nil && (n.Link == fleet.LinkOnline || n.Link == fleet.LinkLate)
	switch {
	case a.Observed.Terminal():
		return AllocStopped{}, fmt.Errorf("allocation %s is %s: %w", c.Alloc, a.Observed, ErrEnded)
	case c.Gone && ready:
		return AllocStopped{}, fmt.Errorf("allocation %s: its device %s is linked; stop it without saying that it is gone: %w", c.Alloc, n.Spec.Name, ErrInvalid)
	case !c.Gone && a.Desired != state.DesiredRun:
		return AllocStopped{}, fmt.Errorf("allocation %s is being stopped already; %w until its device says so", c.Alloc, ErrEnded)
	}
	if err := newEvalID(x, c.EvalID); err != nil {
		return AllocStopped{}, err
	}
	row := *a
	if a.Desired == state.DesiredRun {
		row = stopRow(a, state.DesiredStop, stopAsked, index, c.At)
	}
	if c.Gone {
		d := detail(&row)
		d.DesiredReason = stopGone
		row.Detail, row.Observed, row.ModifyTime = &d, state.ObservedLost, c.At
	}
	x.UpdateAlloc(a, row, index)
	return AllocStopped{EvalID: evaluateFor(x, index, a.Version.Job, c.EvalID, c.At)}, nil
}

// evaluateFor gives a job that runs an evaluation of that ID.
func evaluateFor(x *state.Txn, index uint64, key state.JobKey, id fleet.UUID, at int64) fleet.UUID {
	j := x.Job(key)
	if j == nil || j.Stop {
		return fleet.UUID{}
	}
	x.PutEval(pendingEval(j, id, fleet.TriggerAllocStop, at), index)
	return id
}

func stopOrphan(x *state.Txn, index uint64, c AllocStop) error {
	n, o := x.Orphan(c.Alloc)
	if o == nil {
		return fmt.Errorf("allocation %s: %w", c.Alloc, ErrNoSuchAlloc)
	}
	var list []state.Orphan
	for _, other := range n.Orphans {
		switch {
		case other.ID != c.Alloc:
			list = append(list, other)
		case !c.Gone:
			other.StopReason, other.Changed = "an operator stopped the orphan", index
			list = append(list, other)
		}
	}
	x.SetOrphans(n, list, index)
	return nil
}

// AllocAdopted is the result of [AllocAdopt].
type AllocAdopted struct {
	Name    string
	Stopped fleet.UUID // what had its name; zero: nothing
}

func applyAllocAdopt(x *state.Txn, index uint64, c AllocAdopt) (AllocAdopted, error) {
	n, o := x.Orphan(c.Alloc)
	if o == nil {
		return AllocAdopted{}, fmt.Errorf("no device tells of an orphan %s: %w", c.Alloc, ErrNoSuchAlloc)
	}
	row, err := adoptable(x, n, o)
	if err != nil {
		return AllocAdopted{}, err
	}
	if err := newEvalID(x, c.EvalID); err != nil {
		return AllocAdopted{}, err
	}
	out := AllocAdopted{Name: o.Name()}
	old := holderOf(x, row)
	free := n.Room.Minus(x.Usage(n.Key).Ask())
	if old != nil && old.Node == n.Key {
		free = free.Plus(old.Ask())
	}
	if ask := row.Ask(); !ask.Within(free) {
		return AllocAdopted{}, fmt.Errorf("%w: the region has given its room on %s away; %s", ErrNotAdoptable, n.Spec.Name, lacks(ask, free))
	}
	if why := grantClash(x, n, o, old); why != "" {
		return AllocAdopted{}, fmt.Errorf("%w: %s; stop what holds it first", ErrNotAdoptable, why)
	}
	held := o.Granted
	row.Eval, row.ModifyTime = c.EvalID, c.At
	if err := x.InsertAllocs([]*state.Alloc{row}, index); err != nil {
		return AllocAdopted{}, fmt.Errorf("%w: %v", ErrExists, err)
	}
	x.Grant(row, held)
	if old != nil {
		next := stopRow(old, state.DesiredStop, fmt.Sprintf("orphan %s was adopted in its place", c.Alloc), index, c.At)
		x.UpdateAlloc(old, next, index)
		out.Stopped = old.ID
	}
	x.SetOrphans(n, slices.DeleteFunc(slices.Clone(n.Orphans), func(o state.Orphan) bool { return o.ID == c.Alloc }), index)
	evaluateFor(x, index, row.Version.Job, c.EvalID, c.At)
	return out, nil
}

// lacks says what is asked for beyond what is free.
func lacks(ask, free fleet.Ask) string {
	var parts []string
	for _, d := range []struct {
		unit      string
		ask, free int64
	}{{"MHz", ask.CPU, free.CPU}, {"MiB of memory", ask.MemoryMB, free.MemoryMB}, {"MiB of disk", ask.DiskMB, free.DiskMB}} {
		if d.ask > d.free {
			parts = append(parts, fmt.Sprintf("it needs %d %s, and %d are free", d.ask, d.unit, d.free))
		}
	}
	return strings.Join(parts, "; ")
}

// grantClash says what of that which an orphan holds the region has given away,
// other than to the allocation that it takes the place of.
func grantClash(x *state.Txn, n *state.Node, o *state.Orphan, old *state.Alloc) string {
	others := *n
	others.Orphans = slices.DeleteFunc(slices.Clone(n.Orphans), func(other state.Orphan) bool { return other.ID == o.ID })
	held, err := o.Granted.Unpack()
	if err != nil {
		return err.Error()
	}
	return grant.Load(&x.View, &others, "", func(k state.AllocKey) bool { return old != nil && k == old.Key }).Clash(&held)
}

// adoptable is the row that an orphan would have: of a version of the job whose
// specification is, byte by byte, what the device runs.
func adoptable(x *state.Txn, n *state.Node, o *state.Orphan) (*state.Alloc, error) {
	j := x.JobByID(o.Job.Namespace, o.Job.ID)
	if j == nil || j.Stop {
		return nil, fmt.Errorf("%w: the region has no job %s that runs; register it first, or stop the orphan", ErrNotAdoptable, o.Job.ID)
	}
	for _, v := range j.Versions {
		g := v.GroupIndex(o.Group)
		if v.Key().Sum != o.Job.Sum || g < 0 {
			continue
		}
		if count := *v.Spec.TaskGroups[g].Count; int(o.Index) >= count {
			return nil, fmt.Errorf("%w: the count of group %s is %d, so %s is not wanted; raise it, or stop the orphan", ErrNotAdoptable, o.Group, count, o.Name())
		}
		observed, err := state.ParseObserved(o.Status)
		if err != nil || o.StopReason != "" {
			return nil, fmt.Errorf("%w: it is being stopped", ErrNotAdoptable)
		}
		return &state.Alloc{
			ID: o.ID, Version: v, Node: n.Key, Index: o.Index, Group: uint16(g), Observed: observed, CreateTime: o.CreateTime,
			Exceeds: mayExceed(x, v, uint16(g)),
		}, nil
	}
	return nil, fmt.Errorf("%w: none of the %d versions of job %s that the region keeps is the one it runs; stop the orphan, or register that version again",
		ErrNotAdoptable, len(j.Versions), o.Job.ID)
}

// holderOf is the allocation that has the row's name, or nil.
func holderOf(x *state.Txn, row *state.Alloc) *state.Alloc {
	for a := range x.AllocsByJob(row.Version.Job) {
		if fleet.PerNode(row.Version.Spec.Type) && a.Node != row.Node {
			continue
		}
		if a.Holds() && a.Index == row.Index && a.GroupName() == row.GroupName() {
			return a
		}
	}
	return nil
}
