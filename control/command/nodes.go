package command

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// NodeRegistered is the result of [NodeRegister].
type NodeRegistered struct {
	Key   state.NodeKey
	New   bool
	Evals []fleet.UUID // of jobs that have, or had, work there
}

func applyNodeRegister(x *state.Txn, index uint64, c NodeRegister) (NodeRegistered, error) {
	spec, err := readNodeSpec(c)
	if err != nil {
		return NodeRegistered{}, err
	}
	n := state.Node{ID: c.ID, Spec: spec, Link: fleet.LinkOnline, LinkSince: c.At, Addr: c.Addr, CapacityAt: index, RegisteredAt: c.At}
	old := x.NodeByID(c.ID)
	if x.Identity(fleet.PeerOfNode(c.ID)).Revoked() {
		return NodeRegistered{}, fmt.Errorf("node %s: %w", c.ID, ErrRevoked)
	}
	if old != nil {
		n = *old
		n.Spec, n.Addr = spec, c.Addr
		if !old.Ready() || !reflect.DeepEqual(old.Spec, spec) {
			n.CapacityAt = index
		}
		setLink(&n, fleet.LinkOnline, "", c.At)
	}
	row := x.PutNode(n, index)
	ensurePool(x, index, spec.Pool())
	m := newMinter(x, index, c.At, c.Seed)
	if old != nil && old.Link == fleet.LinkLost {
		evaluateReturned(m, row)
	}
	if old != nil {
		evaluateAlways(m, old.Spec, row)
	}
	if old == nil || !old.Ready() || !reflect.DeepEqual(old.Spec, spec) {
		evaluatePerNode(m, row, nil)
	}
	return NodeRegistered{Key: row.Key, New: old == nil, Evals: m.ids}, nil
}

// Changes says whether the registration would change anything of the region, or why it is not valid. That of a device which was away
// for a moment, as after a restart of its server, mostly does not: 10,000 of them need no entry in the log.
func (c NodeRegister) Changes(v *state.View) (bool, error) {
	spec, err := readNodeSpec(c)
	if err != nil {
		return false, err
	}
	old := v.NodeByID(c.ID)
	same := old != nil && old.Ready() && old.Link == fleet.LinkOnline && old.Addr == c.Addr && reflect.DeepEqual(old.Spec, spec)
	return !same, nil
}

func readNodeSpec(c NodeRegister) (*fleet.Node, error) {
	if c.ID.IsZero() {
		return nil, fmt.Errorf("%w: the node has no ID", ErrInvalid)
	}
	var n fleet.Node
	if err := json.Unmarshal(c.Spec, &n); err != nil {
		return nil, fmt.Errorf("%w: node %s: %v", ErrInvalid, c.ID, err)
	}
	if id := fleet.NodeID(c.ID.String()); n.ID != "" && n.ID != id {
		return nil, fmt.Errorf("%w: node %s reports itself as %s", ErrInvalid, id, n.ID)
	}
	if len(n.Attributes) > fleet.NodeAttributesMax || len(n.Meta) > fleet.NodeAttributesMax {
		return nil, fmt.Errorf("%w: node %s reports %d attributes and %d meta values; at most %d of each", ErrInvalid, c.ID,
			len(n.Attributes), len(n.Meta), fleet.NodeAttributesMax)
	}
	if len(n.HostVolumes) > fleet.HostVolumesMax {
		return nil, fmt.Errorf("%w: node %s offers %d host volumes; at most %d", ErrInvalid, c.ID, len(n.HostVolumes), fleet.HostVolumesMax)
	}
	if err := fleet.CheckPoolOfNode(n.NodePool); err != nil {
		return nil, fmt.Errorf("%w: node %s: %v", ErrInvalid, c.ID, err)
	}
	spec := n.Spec()
	spec.ID = fleet.NodeID(c.ID.String())
	return spec, nil
}

func setLink(n *state.Node, link fleet.LinkState, reason string, at int64) {
	if n.Link != link {
		n.LinkSince = at
	}
	switch {
	case link == fleet.LinkOnline || link == fleet.LinkLate:
		n.AwaySince = 0
	case n.AwaySince == 0:
		n.AwaySince = at
	}
	n.Link, n.LinkReason = link, reason
}

// evaluateReturned lets every job look again at a node that was given up and is
// back: what ran there may have been replaced, or may still run.
func evaluateReturned(m *minter, n *state.Node) {
	for _, key := range jobsOn(m.x, n.Key, func(*state.Alloc) bool { return true }) {
		m.evaluate(key, fleet.TriggerNodeUpdate, n.ID)
	}
}

// jobsOn lists the jobs of a node's allocations that pass, in order of the first.
func jobsOn(x *state.Txn, node state.NodeKey, pass func(*state.Alloc) bool) (keys []state.JobKey) {
	seen := map[state.JobKey]bool{}
	for a := range x.AllocsByNode(node) {
		if key := a.Version.Job; !seen[key] && pass(a) {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// LinksChanged is the result of [NodeLinks].
type LinksChanged struct {
	Changed int
	Evals   []fleet.UUID
}

var knownLinks = map[fleet.LinkState]bool{
	fleet.LinkOnline: true, fleet.LinkLate: true, fleet.LinkUnreachable: true, fleet.LinkLost: true,
}

func applyNodeLinks(x *state.Txn, index uint64, c NodeLinks) (LinksChanged, error) {
	for _, l := range c.Changes {
		if x.NodeByID(l.Node) == nil {
			return LinksChanged{}, fmt.Errorf("node %s: %w", l.Node, ErrNoSuchNode)
		}
		if !knownLinks[l.Link] {
			return LinksChanged{}, fmt.Errorf("%w: node %s: unknown link state %q", ErrInvalid, l.Node, l.Link)
		}
	}
	m, out := newMinter(x, index, c.At, c.Seed), LinksChanged{}
	for _, l := range c.Changes {
		old := x.NodeByID(l.Node)
		if old.Link == l.Link && old.LinkReason == l.Reason || old.Identity.Revoked() {
			continue // a revoked node is lost, whatever its last beats say
		}
		out.Changed++
		changeLink(m, old, l)
	}
	out.Evals = m.ids
	return out, nil
}

func changeLink(m *minter, old *state.Node, l LinkChange) {
	n := *old
	setLink(&n, l.Link, l.Reason, m.at)
	if !old.Ready() && n.Ready() {
		n.CapacityAt = m.index
	}
	row := m.x.PutNode(n, m.index)
	switch {
	case row.Link == fleet.LinkLost && old.Link != fleet.LinkLost:
		for _, key := range jobsOn(m.x, row.Key, (*state.Alloc).Holds) {
			m.evaluate(key, fleet.TriggerNodeUpdate, row.ID)
		}
	case row.Link != fleet.LinkLost && old.Link == fleet.LinkLost:
		evaluateReturned(m, row)
	}
	if !old.Ready() {
		evaluatePerNode(m, row, nil)
	}
}
