package command

import (
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// A plan that places older versions is a family of its own, and so is one that evicts: a server from before
// them stops at it, where it would refuse the other as malformed and go on without.
func (p Plan) code() byte {
	if len(p.Evictions) > 0 {
		return codePlanEvict
	}
	for i := range p.Groups {
		if p.Groups[i].Back > 0 {
			return codePlanBack
		}
	}
	return codePlan
}

// groupsOfVersion is by how much the number of a group rises for each version that
// it is older than its plan.
const groupsOfVersion = fleet.GroupsMax + 1

func (p Plan) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(appendUUID(b, p.Eval), p.Namespace), p.Job)
	b = codec.AppendUint(codec.AppendInt(codec.AppendUint(b, p.Version), int64(p.Priority)), p.Snapshot)
	b = codec.AppendUint(codec.AppendInt(b, p.At), uint64(len(p.Groups)))
	for i := range p.Groups {
		b = p.Groups[i].append(b)
	}
	b = codec.AppendUint(b, uint64(len(p.Stops)))
	for i := range p.Stops {
		s := &p.Stops[i]
		b = codec.AppendBool(append(appendUUID(b, s.Alloc), byte(s.Desired)), s.Lost)
		b = appendUUID(codec.AppendString(b, s.Reason), s.Followup)
	}
	b = codec.AppendUint(b, uint64(len(p.Updates)))
	for _, u := range p.Updates {
		b = appendUUID(b, u)
	}
	b = appendEvals(b, p.Evals)
	if len(p.Evictions) == 0 {
		return b
	}
	b = codec.AppendUint(b, uint64(len(p.Evictions)))
	for _, e := range p.Evictions {
		b = appendUUID(appendUUID(b, e.Alloc), e.By)
	}
	return b
}

// append writes each column with its own length: a plan whose columns disagree
// is refused by Apply with words instead of crashing its proposer here.
func (g *Placements) append(b []byte) []byte {
	b = codec.AppendUint(b, uint64(g.Group)+groupsOfVersion*uint64(g.Back))
	b = codec.AppendUint(b, uint64(len(g.Nodes)))
	for _, n := range g.Nodes {
		b = codec.AppendUint(b, uint64(n))
	}
	b = codec.AppendUint(b, uint64(len(g.Names)))
	for _, n := range g.Names {
		b = codec.AppendUint(b, uint64(n))
	}
	b = codec.AppendUint(b, uint64(len(g.IDs)))
	for _, id := range g.IDs {
		b = appendUUID(b, id)
	}
	b = codec.AppendUint(b, uint64(len(g.Prevs)))
	for i := range g.Prevs {
		p := &g.Prevs[i]
		b = codec.AppendInt(codec.AppendBool(appendUUID(b, p.Alloc), p.Reschedule), int64(p.Delay))
	}
	return b
}

func readPlan(r *codec.Reader) Plan {
	p := Plan{
		Eval: r.UUID(), Namespace: r.String("a namespace", wordMax), Job: fleet.JobID(r.String("a job", wordMax)),
		Version: r.Uint(), Priority: int(r.Int()), Snapshot: r.Uint(), At: r.Int(),
	}
	for range r.Count("groups", fleet.GroupsMax, 5) {
		p.Groups = append(p.Groups, readPlacements(r))
	}
	if n := r.Count("stops", PlacementsMax, 35); n > 0 {
		p.Stops = make([]Stop, 0, n)
		for range n {
			p.Stops = append(p.Stops, readStop(r))
		}
	}
	if n := r.Count("updates", PlacementsMax, 16); n > 0 {
		p.Updates = make([]fleet.UUID, n)
		for i := range p.Updates {
			p.Updates[i] = r.UUID()
		}
	}
	p.Evals = readEvals(r)
	return p
}

func readPlanEvict(r *codec.Reader) Plan {
	p := readPlan(r)
	n := r.Count("evictions", PlacementsMax, 32)
	if n == 0 {
		r.Fail(errors.New("a plan that evicts has no evictions"))
		return p
	}
	p.Evictions = make([]Eviction, n)
	for i := range p.Evictions {
		p.Evictions[i] = Eviction{Alloc: r.UUID(), By: r.UUID()}
	}
	return p
}

func readStop(r *codec.Reader) Stop {
	s := Stop{Alloc: r.UUID(), Desired: state.Desired(r.Byte()), Lost: r.Bool(), Reason: r.String("a reason", reasonMax), Followup: r.UUID()}
	if s.Desired > state.DesiredEvict {
		r.Fail(fmt.Errorf("unknown desired state %d", s.Desired))
	}
	return s
}

func readPlacements(r *codec.Reader) Placements {
	n := r.UintMax("a group", groupsOfVersion*state.JobVersionsMax-1)
	g := Placements{Group: uint16(n % groupsOfVersion), Back: uint8(n / groupsOfVersion)}
	const keyMax = 1<<32 - 1
	if n := r.Count("nodes", PlacementsMax, 1); n > 0 {
		g.Nodes = make([]state.NodeKey, n)
		for i := range g.Nodes {
			g.Nodes[i] = state.NodeKey(r.UintMax("a node key", keyMax))
		}
	}
	if n := r.Count("names", PlacementsMax, 1); n > 0 {
		g.Names = make([]uint32, n)
		for i := range g.Names {
			g.Names[i] = uint32(r.UintMax("a name's index", keyMax))
		}
	}
	if n := r.Count("allocations", PlacementsMax, 16); n > 0 {
		g.IDs = make([]fleet.UUID, n)
		for i := range g.IDs {
			g.IDs[i] = r.UUID()
		}
	}
	if n := r.Count("replaced allocations", PlacementsMax, 18); n > 0 {
		g.Prevs = make([]Replaced, n)
		for i := range g.Prevs {
			g.Prevs[i] = Replaced{Alloc: r.UUID(), Reschedule: r.Bool(), Delay: fleet.Duration(r.Int())}
		}
	}
	return g
}
