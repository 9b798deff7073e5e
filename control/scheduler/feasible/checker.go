package feasible

import (
	"github.com/dunlin-edge/dunlin/fleet"
)

// rule is one demand on a node.
type rule interface {
	// appendKey appends what the rule looks at on the node, self-delimiting.
	appendKey(b []byte, n *fleet.Node) []byte
	holds(n *fleet.Node) bool
	// has is the node's side of a refusal, one or two words.
	has(n *fleet.Node) string
	// name is the key in AllocMetric.ConstraintFiltered.
	name() string
	refusal(fails []fail) fleet.Refusal
}

// fail is one way in which nodes break a rule.
type fail struct {
	has     string
	nodes   int
	example *fleet.Node
}

// Checker judges nodes by the rules of one group.
type Checker struct {
	rules   []rule
	hosts   Hosts
	props   []Property
	byKey   map[string]int32
	classes []class
	buf     []byte
	// computed finds a class by that of the whole node, which is a look where byKey puts a key together. Unless a rule looks at what is a
	// node's own, nodes of one computed class are of one class here. last is the newest of them: a fleet's nodes come in runs.
	computed map[fleet.ComputedClass]int32 // nil: a rule looks at what is a node's own, or nobody cares
	last     fleet.ComputedClass
	lastAt   int32
}

// computedMax bounds the computed classes that a Checker remembers. Where each node is of a class of its own, as with a meta key that
// numbers shops, remembering them finds nothing.
const computedMax = 256

type class struct {
	ok      bool
	nodes   int // that were judged to be of the class
	example *fleet.Node
}

// Hosts says how far allocations must keep from each other.
type Hosts struct{ OnePerJob, OnePerGroup bool }

// New compiles the rules for placing a group of a canonical job.
func New(job *fleet.Job, g *fleet.TaskGroup) *Checker {
	c := staying(job, g)
	for _, d := range driversOf(g) {
		c.rules = append(c.rules, driverRule{driver: d})
	}
	// Nor are devices: one that was unplugged since is held by the task that has it.
	c.rules = append(c.rules, deviceRules(g)...)
	return c.shared()
}

// Staying compiles the rules that a running allocation must still meet when its
// job is updated in place. Drivers are left out: one that is unhealthy now may
// well run the task that it started.
func Staying(job *fleet.Job, g *fleet.TaskGroup) *Checker { return staying(job, g).shared() }

// InPool compiles the rule of the job's node pool alone, for a region where no
// node meets it.
func InPool(job *fleet.Job) *Checker {
	return &Checker{byKey: map[string]int32{}, rules: []rule{poolRule{job.NodePool}}}
}

// Always compiles the constraints that must hold as long as an allocation lives;
// nil if the group has none.
func Always(job *fleet.Job, g *fleet.TaskGroup) *Checker {
	c := &Checker{}
	all := [][]fleet.Constraint{job.Constraints, g.Constraints}
	for i := range g.Tasks {
		all = append(all, g.Tasks[i].Constraints)
	}
	for _, ks := range all {
		for _, k := range ks {
			if k.Always() && k.Op() != fleet.OpDistinctHosts {
				c.rules = append(c.rules, newConstraintRule(k))
			}
		}
	}
	if len(c.rules) == 0 {
		return nil
	}
	return c
}

// Broken is the first rule that the node breaks and what it has instead, in
// words; ok says that it breaks one.
func (c *Checker) Broken(n *fleet.Node) (wants, has string, ok bool) {
	for _, r := range c.rules {
		if !r.holds(n) {
			return r.name(), r.has(n), true
		}
	}
	return "", "", false
}

func staying(job *fleet.Job, g *fleet.TaskGroup) *Checker {
	c := &Checker{byKey: map[string]int32{}}
	if job.NodePool != "" && job.NodePool != fleet.NodePoolAll {
		c.rules = append(c.rules, poolRule{job.NodePool})
	}
	if dcs := newDatacenterRule(job.Datacenters); !dcs.all() {
		c.rules = append(c.rules, dcs)
	}
	c.rules = append(c.rules, volumeRules(g)...)
	c.add(job.Constraints, &c.hosts.OnePerJob, true)
	c.add(g.Constraints, &c.hosts.OnePerGroup, false)
	for i := range g.Tasks {
		c.add(g.Tasks[i].Constraints, &c.hosts.OnePerGroup, false)
	}
	return c
}

func (c *Checker) add(ks []fleet.Constraint, one *bool, ofJob bool) {
	for _, k := range ks {
		switch k.Op() {
		case fleet.OpDistinctHosts:
			*one = *one || k.RTarget != "false"
		case fleet.OpDistinctProperty:
			// How many have the value is the business of ranking; that there is one is a
			// rule like others.
			c.props = append(c.props, newProperty(k, ofJob))
			c.rules = append(c.rules, newConstraintRule(fleet.Constraint{LTarget: k.LTarget, Operand: fleet.OpIsSet}))
		default:
			c.rules = append(c.rules, newConstraintRule(k))
		}
	}
}

func driversOf(g *fleet.TaskGroup) []string {
	var out []string
next:
	for i := range g.Tasks {
		for _, d := range out {
			if d == g.Tasks[i].Driver {
				continue next
			}
		}
		out = append(out, g.Tasks[i].Driver)
	}
	return out
}

// Hosts are the distinct_hosts rules of the group.
func (c *Checker) Hosts() Hosts { return c.hosts }

// Properties are the distinct_property rules of the group.
func (c *Checker) Properties() []Property { return c.props }

// Judge reports whether the node, which is of that computed class, may take the group, and counts it for [Checker.Explain]. Without a
// class the node itself is looked at.
func (c *Checker) Judge(n *fleet.Node, of fleet.ComputedClass) bool {
	at := c.classOf(n, of)
	c.classes[at].nodes++
	return c.classes[at].ok
}

// shared lets computed classes be used, unless a rule looks at what is a node's own.
func (c *Checker) shared() *Checker {
	for _, r := range c.rules {
		if k, is := r.(*constraintRule); is && (k.left.own() || k.right.own()) {
			return c
		}
	}
	c.computed = map[fleet.ComputedClass]int32{}
	return c
}

func (c *Checker) classOf(n *fleet.Node, of fleet.ComputedClass) int32 {
	if of == (fleet.ComputedClass{}) || c.computed == nil {
		return c.find(n)
	}
	if of == c.last {
		return c.lastAt
	}
	at, known := c.computed[of]
	if !known {
		at = c.find(n)
		if len(c.computed) < computedMax {
			c.computed[of] = at
		}
	}
	c.last, c.lastAt = of, at
	return at
}

// find looks at what the rules look at.
func (c *Checker) find(n *fleet.Node) int32 {
	c.buf = c.buf[:0]
	for _, r := range c.rules {
		c.buf = r.appendKey(c.buf, n)
	}
	i, known := c.byKey[string(c.buf)]
	if !known {
		i = int32(len(c.classes))
		c.byKey[string(c.buf)] = i
		c.classes = append(c.classes, class{ok: c.holds(n), example: n})
	}
	return i
}

func (c *Checker) holds(n *fleet.Node) bool {
	for _, r := range c.rules {
		if !r.holds(n) {
			return false
		}
	}
	return true
}

// Explain counts the judged nodes that broke a rule into the metric and adds a
// refusal for each rule that was broken, in the order of the rules.
func (c *Checker) Explain(m *fleet.AllocMetric) {
	for _, k := range c.classes {
		if !k.ok {
			m.NodesFiltered += k.nodes
		}
	}
	for _, r := range c.rules {
		if fails := c.fails(r); len(fails) > 0 {
			refusal := r.refusal(fails)
			Count(m, r.name(), refusal)
		}
	}
}

// Count adds a refusal for breaking a rule to the metric.
func Count(m *fleet.AllocMetric, rule string, r fleet.Refusal) {
	if m.ConstraintFiltered == nil {
		m.ConstraintFiltered = map[string]int{}
	}
	m.ConstraintFiltered[rule] += r.Nodes
	m.Refusals = append(m.Refusals, r)
}

// fails collects how the classes break a rule, each way once, in the order in
// which the classes were met.
func (c *Checker) fails(r rule) []fail {
	var out []fail
	at := map[string]int{}
	for _, k := range c.classes {
		if k.ok || r.holds(k.example) {
			continue
		}
		has := r.has(k.example)
		i, known := at[has]
		if !known {
			i, at[has] = len(out), len(out)
			out = append(out, fail{has: has, example: k.example})
		}
		out[i].nodes += k.nodes
	}
	return out
}
