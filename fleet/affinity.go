package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of a preference.
const (
	AffinityWeightMax = 100 // of either sign
	DefaultWeight     = 50  // of an affinity or a spread that says none
	AffinitiesMax     = 64  // at one place of a job
)

// Affinity is a preference for nodes: a rule that attracts placements by its
// weight, or repels them when the weight is negative.
type Affinity struct {
	LTarget string `hcl:"attribute" change:"inplace"`
	RTarget string `hcl:"value" change:"inplace"`
	Operand string `hcl:"operator" change:"inplace"`
	Weight  *int   `hcl:"weight" change:"inplace"` // -100 to 100, not 0
}

// Rule is the affinity's rule as a constraint.
func (a Affinity) Rule() Constraint {
	return Constraint{LTarget: a.LTarget, RTarget: a.RTarget, Operand: a.Operand}
}

// String formats a as one reads it: "${attr.cpu.arch} = arm64 (weight 50)".
func (a Affinity) String() string {
	return a.Rule().String() + " (weight " + strconv.Itoa(Or(a.Weight, DefaultWeight)) + ")"
}

// Affinities are all that count for a group: the job's, its own and its tasks'.
func (g *TaskGroup) AllAffinities(j *Job) []Affinity {
	out := slices.Concat(j.Affinities, g.Affinities)
	for i := range g.Tasks {
		out = append(out, g.Tasks[i].Affinities...)
	}
	return out
}

func canonicalAffinities(as []Affinity) []Affinity {
	for i := range as {
		as[i].Operand = as[i].Rule().Op()
		setDefaultPtr(&as[i].Weight, DefaultWeight)
	}
	return emptyNil(as)
}

func (c *checker) affinities(path string, as []Affinity, jobType string) {
	if len(as) > 0 && PerNode(jobType) {
		c.refuse(path, fmt.Sprintf("a job of type %s runs on every node that may take it and prefers none", jobType), "remove the affinity, or write a constraint")
		return
	}
	if len(as) > AffinitiesMax {
		c.refuse(path, fmt.Sprintf("%d affinities", len(as)), fmt.Sprintf("at most %d", AffinitiesMax))
	}
	for i, a := range as {
		p := fmt.Sprintf("%s[%d]", path, i)
		c.weight(p, *a.Weight)
		switch op := a.Rule().Op(); op {
		case OpDistinctHosts, OpDistinctProperty:
			c.refuse(p+".Operand", op+" is a rule and no preference", "write it as a constraint, or use a spread")
		default:
			c.rule(p, a.Rule())
		}
	}
}

func (c *checker) weight(p string, w int) {
	switch {
	case w == 0:
		c.refuse(p+".Weight", "a weight of 0 prefers nothing", "use -100 to 100, and remove the affinity for 0")
	case w < -AffinityWeightMax || w > AffinityWeightMax:
		c.refuse(p+".Weight", fmt.Sprintf("%d is out of range", w), fmt.Sprintf("use -%d to %d", AffinityWeightMax, AffinityWeightMax))
	}
}

// rule checks what constraints and affinities have in common.
func (c *checker) rule(p string, k Constraint) {
	switch op := k.Op(); {
	case !slices.Contains(Operators, op):
		c.refuse(p+".Operand", fmt.Sprintf("unknown operator %q", k.Operand), "use one of "+strings.Join(Operators, " "))
	case op == OpDistinctHosts:
		if k.RTarget != "" && k.RTarget != "true" && k.RTarget != "false" {
			c.refuse(p+".RTarget", fmt.Sprintf("distinct_hosts takes true or false, not %q", k.RTarget), "")
		}
	case k.LTarget == "":
		c.refuse(p+".LTarget", "the rule names no attribute", "write attribute = \"${attr.…}\"")
	case op == OpDistinctProperty:
		if _, ok := k.PropertyMax(); !ok {
			c.refuse(p+".RTarget", fmt.Sprintf("distinct_property takes how many may have one value, not %q", k.RTarget), "write a number of at least 1, or leave it out for 1")
		}
	case op == OpRegexp:
		if _, err := regexp.Compile(k.RTarget); err != nil {
			c.refuse(p+".RTarget", fmt.Sprintf("%q is not a regular expression: %v", k.RTarget, err), "")
		}
	case op == OpVersion:
		if err := CheckVersionConstraint(k.RTarget); err != nil {
			c.refuse(p+".RTarget", err.Error(), "write for example \">= 1.2, < 2.0\"")
		}
	case op == OpSemver:
		if err := CheckSemverConstraint(k.RTarget); err != nil {
			c.refuse(p+".RTarget", err.Error(), "write for example \">= 1.2.0, < 2.0.0\"")
		}
	}
}
