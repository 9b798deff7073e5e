package command

import (
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// evaluatePerNode lets the jobs that run on every node look at a node that takes
// new work, or takes it again. With old, only what the node says of itself has
// changed since, and only jobs whose rules speak of that are asked: facts change
// all the time, on every device.
func evaluatePerNode(m *minter, n *state.Node, old *fleet.Node) {
	if !n.Ready() {
		return
	}
	for j := range m.x.PerNodeJobs() {
		if old == nil || speaksOf(j.Current().Spec, old, n.Spec) {
			m.evaluate(j.Key, fleet.TriggerNodeUpdate, n.ID)
		}
	}
}

// speaksOf reports whether a constraint of the job mentions an attribute that
// differs.
func speaksOf(job *fleet.Job, old, new *fleet.Node) bool {
	attr, meta := differs(old.Attributes, new.Attributes), differs(old.Meta, new.Meta)
	for c := range job.AllConstraints() {
		if c.Mentions("attr", attr) || c.Mentions("meta", meta) {
			return true
		}
	}
	return false
}
