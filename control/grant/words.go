package grant

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Lack is one thing that a node has not free for an ask.
type Lack struct {
	Dimension string // the key in AllocMetric.DimensionExhausted: "port 8080", "dynamic ports", "device gpu"
	Rule      string // "port", "device"
	Wants     string
	Has       string // on this node, in words
	Fix       string
	// Free orders nodes by how near they come; the greater, the nearer.
	Free int
	// Ruled: the node would lack it if nobody held anything, and its rules say so.
	Ruled bool
}

// Lacks says what keeps one allocation that asks so off the node; none: nothing.
func (n *Node) Lacks(a *Ask, who Holders) (out []Lack) {
	if a == nil {
		return nil
	}
	for _, p := range a.static {
		if n.free(p.Number) {
			continue
		}
		l := Lack{
			Dimension: fmt.Sprintf("port %d", p.Number), Rule: "port", Wants: fmt.Sprintf("port %d for %s", p.Number, p.Label),
			Fix: "stop what holds it, add a node, or leave static out to be given a port that is free",
		}
		if n.isReserved(p.Number) {
			l.Has = fmt.Sprintf("port %d is reserved on %s", p.Number, n.spec.Name)
			l.Fix = "take it out of reserved_ports there, or use another port"
		} else {
			l.Has = fmt.Sprintf("port %d is held by %s on %s", p.Number, who.Port(p.Number), n.spec.Name)
		}
		out = append(out, l)
	}
	if free := n.freeDynamic(a.static); free < len(a.dynamic) {
		out = append(out, Lack{
			Dimension: "dynamic ports", Rule: "port", Wants: fmt.Sprintf("asks %d dynamic ports", len(a.dynamic)), Free: free,
			Has: fmt.Sprintf("%s has %d free of %d to %d", n.spec.Name, free, n.dynamic.From, n.dynamic.To),
			Fix: "stop something there, or widen min_dynamic_port and max_dynamic_port of the device",
		})
	}
	return append(out, n.deviceLacks(a, who)...)
}

// Holders finds who holds something of a node, for words.
type Holders struct {
	View *state.View
	Node *state.Node
	// Plan is what the plan that asks gives on the node itself. Who is told reads it after the plan has become allocations, so they are
	// named as such. Of plans in flight nobody knows more than what they hold.
	Plan []Given
}

// Given is what a plan gives one allocation of a job's group.
type Given struct {
	Job     fleet.JobID
	Group   string
	Granted wire.Granted
}

// Port is who holds a port: an allocation's job and group, an orphan, or a plan.
func (h Holders) Port(number uint16) string {
	return h.who(func(g *wire.Grants) bool {
		for _, p := range g.Ports {
			if p.Number == number {
				return true
			}
		}
		return false
	})
}

func (h Holders) who(holds func(*wire.Grants) bool) string {
	held := func(packed wire.Granted) bool {
		g, err := packed.Unpack()
		return err == nil && holds(&g)
	}
	for key, g := range h.View.Held(h.Node.Key) {
		if a := h.View.Alloc(key); a != nil && held(g) {
			return groupWords(a.Version.Spec.ID, a.GroupName())
		}
	}
	for i := range h.Node.Orphans {
		if o := &h.Node.Orphans[i]; held(o.Granted) {
			return fmt.Sprintf("orphan %s (%s)", fleet.AllocID(o.ID.String()), o.Name())
		}
	}
	for _, o := range h.Plan {
		if held(o.Granted) {
			return groupWords(o.Job, o.Group)
		}
	}
	return "what is being placed there now"
}

func groupWords(job fleet.JobID, group string) string {
	return fmt.Sprintf("job %s's group %s", job, group)
}
