package command

import (
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// A plan that grants something is a family of its own: a server from before ports
// stops at it, where it would read the other and give them out twice. So is one that
// evicts, and one that places older versions: a server from before them would refuse
// the other as malformed and go on without. Whoever knows one knows those below it.
func (p Plan) code() byte {
	code := byte(codePlan)
	if len(p.Evictions) > 0 {
		code = codePlanEvict
	}
	for i := range p.Groups {
		switch {
		case len(p.Groups[i].Granted) > 0:
			return codePlanGranted
		case p.Groups[i].Back > 0 && code == codePlan:
			code = codePlanBack
		}
	}
	return code
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
	granted := p.code() == codePlanGranted
	for i := range p.Groups { // a column each, as long as the group says
		if !granted {
			break
		}
		g := &p.Groups[i]
		b = codec.AppendUint(b, uint64(len(g.Granted)))
		for _, held := range g.Granted {
			b = wire.AppendGranted(b, held)
		}
	}
	if len(p.Evictions) == 0 && !granted {
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
	if p.Evictions = readEvictions(r); len(p.Evictions) == 0 {
		r.Fail(errors.New("a plan that evicts has no evictions"))
	}
	return p
}

func readEvictions(r *codec.Reader) []Eviction {
	n := r.Count("evictions", PlacementsMax, 32)
	if n == 0 {
		return nil
	}
	out := make([]Eviction, n)
	for i := range out {
		out[i] = Eviction{Alloc: r.UUID(), By: r.UUID()}
	}
	return out
}

func readPlanGranted(r *codec.Reader) Plan {
	p := readPlan(r)
	for i := range p.Groups {
		p.Groups[i].Granted = readGrantedColumn(r)
	}
	p.Evictions = readEvictions(r)
	return p
}

func readGrantedColumn(r *codec.Reader) []wire.Granted {
	n := r.Count("what placements hold", PlacementsMax, 1)
	if n == 0 {
		return nil
	}
	out := make([]wire.Granted, n)
	for i := range out {
		out[i] = wire.ReadGranted(r)
	}
	return out
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
