package command

import (
	"encoding/json"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Limits of what commands carry, besides those of fleet, state and wire. They
// are not above what a checkpoint record may hold.
const (
	wordMax        = state.WordBytesMax
	reasonMax      = state.EvalDescMax
	LinkChangesMax = 10_000
	EvalsMax       = 10_000
	NodesMax       = 10_000 // in one Statuses
	PlacementsMax  = fleet.GroupCountMax
)

func appendUUID(b []byte, u fleet.UUID) []byte { return append(b, u[:]...) }

func readSeed(r *codec.Reader) (s [32]byte) {
	copy(s[:], r.Raw(32))
	return s
}

func (RegionFound) code() byte { return codeRegionFound }

func (c RegionFound) append(b []byte) []byte {
	b = codec.AppendString(appendUUID(b, c.ID), c.Name)
	return codec.AppendInt(codec.AppendUint(b, c.Epoch), c.At)
}

func readRegionFound(r *codec.Reader) RegionFound {
	return RegionFound{ID: r.UUID(), Name: r.String("a region's name", wordMax), Epoch: r.Uint(), At: r.Int()}
}

func (JobRegister) code() byte { return codeJobRegister }

func (c JobRegister) append(b []byte) []byte {
	b = appendUUID(codec.AppendBytes(b, c.Spec), c.EvalID)
	return codec.AppendUint(codec.AppendBool(codec.AppendInt(b, c.At), c.CheckIndex), c.JobIndex)
}

func readJobRegister(r *codec.Reader) JobRegister {
	return JobRegister{
		Spec: r.Bytes("a job's specification", fleet.JobSpecBytesMax), EvalID: r.UUID(), At: r.Int(),
		CheckIndex: r.Bool(), JobIndex: r.Uint(),
	}
}

func (JobDeregister) code() byte { return codeJobDeregister }

func (c JobDeregister) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(b, c.Namespace), c.ID)
	return codec.AppendInt(appendUUID(codec.AppendBool(b, c.Purge), c.EvalID), c.At)
}

func readJobDeregister(r *codec.Reader) JobDeregister {
	return JobDeregister{
		Namespace: r.String("a namespace", wordMax), ID: fleet.JobID(r.String("a job", wordMax)),
		Purge: r.Bool(), EvalID: r.UUID(), At: r.Int(),
	}
}

func (JobEvaluate) code() byte { return codeJobEvaluate }

func (c JobEvaluate) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(b, c.Namespace), c.ID)
	return codec.AppendInt(appendUUID(b, c.EvalID), c.At)
}

func readJobEvaluate(r *codec.Reader) JobEvaluate {
	return JobEvaluate{
		Namespace: r.String("a namespace", wordMax), ID: fleet.JobID(r.String("a job", wordMax)), EvalID: r.UUID(), At: r.Int(),
	}
}

func (NodeRegister) code() byte { return codeNodeRegister }

func (c NodeRegister) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendBytes(appendUUID(b, c.ID), c.Spec), c.Addr)
	return append(codec.AppendInt(b, c.At), c.Seed[:]...)
}

func readNodeRegister(r *codec.Reader) NodeRegister {
	return NodeRegister{
		ID: r.UUID(), Spec: r.Bytes("a node", fleet.NodeSpecBytesMax), Addr: r.String("an address", wordMax),
		At: r.Int(), Seed: readSeed(r),
	}
}

func (NodeLinks) code() byte { return codeNodeLinks }

func (c NodeLinks) append(b []byte) []byte {
	b = codec.AppendUint(b, uint64(len(c.Changes)))
	for _, l := range c.Changes {
		b = codec.AppendString(codec.AppendString(appendUUID(b, l.Node), l.Link), l.Reason)
	}
	return append(codec.AppendInt(b, c.At), c.Seed[:]...)
}

func readNodeLinks(r *codec.Reader) NodeLinks {
	var c NodeLinks
	for range r.Count("link changes", LinkChangesMax, 18) {
		c.Changes = append(c.Changes, LinkChange{
			Node: r.UUID(), Link: fleet.LinkState(r.String("a link state", wordMax)), Reason: r.String("a reason", reasonMax),
		})
	}
	c.At, c.Seed = r.Int(), readSeed(r)
	return c
}

func (NodeFacts) code() byte { return codeNodeFacts }

func (c NodeFacts) append(b []byte) []byte {
	b = wire.AppendAttributes(appendUUID(b, c.Node), c.Set, c.Unset)
	return append(codec.AppendInt(b, c.At), c.Seed[:]...)
}

func readNodeFacts(r *codec.Reader) NodeFacts {
	c := NodeFacts{Node: r.UUID()}
	c.Set, c.Unset = wire.ReadAttributes(r)
	c.At, c.Seed = r.Int(), readSeed(r)
	return c
}

func (NodeEligibility) code() byte { return codeNodeEligibility }

func (c NodeEligibility) append(b []byte) []byte {
	return codec.AppendInt(codec.AppendBool(appendUUID(b, c.Node), c.Eligible), c.At)
}

func readNodeEligibility(r *codec.Reader) NodeEligibility {
	return NodeEligibility{Node: r.UUID(), Eligible: r.Bool(), At: r.Int()}
}

func (EvalsPut) code() byte { return codeEvalsPut }

func (c EvalsPut) append(b []byte) []byte { return codec.AppendInt(appendEvals(b, c.Evals), c.At) }

func readEvalsPut(r *codec.Reader) EvalsPut { return EvalsPut{Evals: readEvals(r), At: r.Int()} }

func appendEvals(b []byte, evals []state.Eval) []byte {
	b = codec.AppendUint(b, uint64(len(evals)))
	for i := range evals {
		b = state.AppendEval(b, &evals[i])
	}
	return b
}

func readEvals(r *codec.Reader) (evals []state.Eval) {
	for range r.Count("evaluations", EvalsMax, 90) {
		evals = append(evals, state.ReadEval(r))
	}
	return evals
}

func (Statuses) code() byte { return codeStatuses }

func (c Statuses) append(b []byte) []byte {
	b = codec.AppendUint(b, uint64(len(c.Nodes)))
	for _, n := range c.Nodes {
		b = codec.AppendUint(appendUUID(b, n.Node), uint64(len(n.Allocs)))
		for i := range n.Allocs {
			b = wire.AppendAllocStatus(b, &n.Allocs[i])
		}
	}
	return append(codec.AppendInt(b, c.At), c.Seed[:]...)
}

func readStatuses(r *codec.Reader) Statuses {
	return Statuses{Nodes: codec.List(r, "nodes", NodesMax, 17, readNodeStatuses), At: r.Int(), Seed: readSeed(r)}
}

func readNodeStatuses(r *codec.Reader) NodeStatuses {
	return NodeStatuses{Node: r.UUID(), Allocs: codec.List(r, "statuses", wire.StatusesMax, 19, wire.ReadAllocStatus)}
}

func (ModulePut) code() byte { return codeModulePut }

func (c ModulePut) append(b []byte) []byte { return appendNoun(b, c.Module) }

func readModulePut(r *codec.Reader) (c ModulePut) {
	readNoun(r, "a module", &c.Module)
	return c
}

func (InvitePut) code() byte { return codeInvitePut }

func (c InvitePut) append(b []byte) []byte { return codec.AppendInt(appendNoun(b, c.Invite), c.At) }

func readInvitePut(r *codec.Reader) (c InvitePut) {
	readNoun(r, "an invite", &c.Invite)
	c.At = r.Int()
	return c
}

func (InviteUse) code() byte { return codeInviteUse }

func (c InviteUse) append(b []byte) []byte {
	return codec.AppendInt(appendUUID(codec.AppendString(b, c.TokenHash), c.Node), c.At)
}

func readInviteUse(r *codec.Reader) InviteUse {
	return InviteUse{TokenHash: r.String("a token's hash", wordMax), Node: r.UUID(), At: r.Int()}
}

// nounBytesMax bounds a module or an invite as JSON.
const nounBytesMax = 8 << 10

func appendNoun(b []byte, noun any) []byte {
	j, err := json.Marshal(noun)
	if err != nil {
		panic("command: a plain value must encode: " + err.Error())
	}
	return codec.AppendBytes(b, j)
}

func readNoun(r *codec.Reader, what string, noun any) {
	raw := r.Bytes(what, nounBytesMax)
	if r.Err() != nil {
		return
	}
	if err := json.Unmarshal(raw, noun); err != nil {
		r.Fail(err)
	}
}
