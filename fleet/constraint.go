package fleet

import (
	"iter"
	"strconv"
	"strings"
)

// Constraint operators. An empty operand means OpEqual.
const (
	OpEqual            = "="
	OpNotEqual         = "!="
	OpLess             = "<"
	OpLessEqual        = "<="
	OpGreater          = ">"
	OpGreaterEqual     = ">="
	OpRegexp           = "regexp"
	OpVersion          = "version"
	OpSemver           = "semver"
	OpSetContains      = "set_contains" // every element that the other side names
	OpSetContainsAny   = "set_contains_any"
	OpIsSet            = "is_set"
	OpIsNotSet         = "is_not_set"
	OpDistinctHosts    = "distinct_hosts"
	OpDistinctProperty = "distinct_property" // at most so many allocations on nodes of one value
)

// Modes of a constraint: when it must hold.
const (
	// ConstraintPlace is the default, and empty in canonical jobs: it is asked
	// when a place is looked for. What runs stays.
	ConstraintPlace = "place"
	// ConstraintAlways: an allocation on a node for which it no longer holds is
	// moved.
	ConstraintAlways = "always"
)

// Operators lists every constraint operator, for messages and suggestions.
var Operators = []string{
	OpEqual, OpNotEqual, OpLess, OpLessEqual, OpGreater, OpGreaterEqual,
	OpRegexp, OpVersion, OpSemver, OpSetContains, OpSetContainsAny, OpIsSet, OpIsNotSet, OpDistinctHosts, OpDistinctProperty,
}

// Constraint is a rule a node must satisfy. LTarget is usually a reference such
// as ${attr.cpu.arch}; RTarget is a literal or a reference.
type Constraint struct {
	LTarget string `hcl:"attribute" change:"inplace"`
	RTarget string `hcl:"value" change:"inplace"`
	Operand string `hcl:"operator" change:"inplace"`
	Mode    string `json:",omitempty" hcl:"mode" change:"inplace"`
}

// Op returns the operator, with the aliases of the field resolved.
func (c Constraint) Op() string {
	switch c.Operand {
	case "", "==", "is":
		return OpEqual
	case "not":
		return OpNotEqual
	case "set_contains_all":
		return OpSetContains
	}
	return c.Operand
}

// PropertyMax is how many allocations distinct_property lets nodes of one value
// have; not ok: the constraint says no number.
func (c Constraint) PropertyMax() (n int, ok bool) {
	if c.RTarget == "" {
		return 1, true
	}
	n, err := strconv.Atoi(c.RTarget)
	return n, err == nil && n >= 1 && n <= GroupCountMax
}

// Always reports whether the constraint must hold as long as the allocation
// lives.
func (c Constraint) Always() bool { return c.Mode == ConstraintAlways }

// Mentions reports whether one side refers to a value of that kind ("attr",
// "meta") for whose name the function is true.
func (c Constraint) Mentions(kind string, name func(string) bool) bool {
	for _, side := range []string{c.LTarget, c.RTarget} {
		ref, ok := strings.CutPrefix(side, "${"+kind+".")
		if key, whole := strings.CutSuffix(ref, "}"); ok && whole && name(key) {
			return true
		}
	}
	return false
}

// AlwaysConstraints yields the constraints of a job, its groups and tasks that
// must hold as long as an allocation lives.
func (j *Job) AlwaysConstraints() iter.Seq[Constraint] {
	return func(yield func(Constraint) bool) {
		for c := range j.AllConstraints() {
			if c.Always() && !yield(c) {
				return
			}
		}
	}
}

// Apart reports whether the job limits how many of it may be on one node (distinct_hosts) or on nodes of one value
// (distinct_property).
func (j *Job) Apart() bool {
	for c := range j.AllConstraints() {
		if op := c.Op(); op == OpDistinctProperty || op == OpDistinctHosts && c.RTarget != "false" {
			return true
		}
	}
	return false
}

// AllConstraints yields the constraints of a job, its groups and tasks.
func (j *Job) AllConstraints() iter.Seq[Constraint] {
	return func(yield func(Constraint) bool) {
		each := func(cs []Constraint) bool {
			for _, c := range cs {
				if !yield(c) {
					return false
				}
			}
			return true
		}
		if !each(j.Constraints) {
			return
		}
		for i := range j.TaskGroups {
			g := &j.TaskGroups[i]
			if !each(g.Constraints) {
				return
			}
			for k := range g.Tasks {
				if !each(g.Tasks[k].Constraints) {
					return
				}
			}
		}
	}
}

// String formats c as one reads it: "${attr.cpu.arch} = arm64".
func (c Constraint) String() string {
	switch op := c.Op(); op {
	case OpDistinctHosts:
		return op
	case OpIsSet, OpIsNotSet:
		return c.LTarget + " " + op
	case OpDistinctProperty:
		n, _ := c.PropertyMax()
		return op + " " + c.LTarget + " (at most " + strconv.Itoa(n) + " of a value)"
	default:
		return c.LTarget + " " + op + " " + c.RTarget
	}
}
