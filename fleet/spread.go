package fleet

import (
	"fmt"
	"slices"
)

// Limits of spreads.
const (
	SpreadWeightMax  = 100
	SpreadsMax       = 8  // that count for one group; each is looked at for each placement
	SpreadTargetsMax = 64 // of one spread
	SpreadPercentAll = 100
	// SpreadRest is the target that stands for all values that no other names.
	SpreadRest = "*"
)

// Spread distributes a group's allocations over the values of an attribute: by
// the percentages of its targets, or evenly if it has none.
type Spread struct {
	Attribute    string         `hcl:"attribute" change:"inplace"`
	Weight       *int           `hcl:"weight" change:"inplace"` // 0 to 100: against the group's other spreads
	SpreadTarget []SpreadTarget `hcl:"target,block" change:"inplace"`
}

// SpreadTarget is the share that the nodes of one value should have.
type SpreadTarget struct {
	Value   string `hcl:",label" change:"inplace"`
	Percent int    `hcl:"percent" change:"inplace"`
}

// AllSpreads are all that count for a group: its own, then the job's. A spread of
// the group's replaces one of the job's over the same attribute.
func (g *TaskGroup) AllSpreads(j *Job) []Spread {
	out := slices.Clone(g.Spreads)
	for _, s := range j.Spreads {
		if !slices.ContainsFunc(g.Spreads, func(own Spread) bool { return own.Attribute == s.Attribute }) {
			out = append(out, s)
		}
	}
	return out
}

func canonicalSpreads(ss []Spread) []Spread {
	for i := range ss {
		setDefaultPtr(&ss[i].Weight, DefaultWeight)
		ss[i].SpreadTarget = emptyNil(ss[i].SpreadTarget)
	}
	return emptyNil(ss)
}

func (c *checker) spreads(path string, ss []Spread, jobType string) {
	if len(ss) > 0 && PerNode(jobType) {
		c.refuse(path, fmt.Sprintf("a job of type %s runs on every node that may take it and cannot be spread", jobType), "remove the spread")
		return
	}
	if len(ss) > SpreadsMax {
		c.refuse(path, fmt.Sprintf("%d spreads", len(ss)), fmt.Sprintf("at most %d", SpreadsMax))
	}
	seen := map[string]bool{}
	for i, s := range ss {
		p := fmt.Sprintf("%s[%d]", path, i)
		if s.Attribute == "" {
			c.refuse(p+".Attribute", "the spread names no attribute", "write attribute = \"${node.datacenter}\"")
		} else if seen[s.Attribute] {
			c.refuse(p+".Attribute", fmt.Sprintf("two spreads are over %s", s.Attribute), "join their targets in one")
		}
		seen[s.Attribute] = true
		if w := *s.Weight; w < 0 || w > SpreadWeightMax {
			c.refuse(p+".Weight", fmt.Sprintf("%d is out of range", w), fmt.Sprintf("use 0 to %d", SpreadWeightMax))
		}
		c.spreadTargets(p+".SpreadTarget", s.SpreadTarget)
	}
}

func (c *checker) spreadTargets(path string, ts []SpreadTarget) {
	if len(ts) > SpreadTargetsMax {
		c.refuse(path, fmt.Sprintf("%d targets", len(ts)), fmt.Sprintf("at most %d", SpreadTargetsMax))
	}
	sum, seen := 0, map[string]bool{}
	for i, t := range ts {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case t.Value == "":
			c.refuse(p+".Value", "the target names no value", `write target "VALUE" { percent = … }`)
		case seen[t.Value]:
			c.refuse(p+".Value", fmt.Sprintf("two targets are for %q", t.Value), "join them")
		}
		seen[t.Value] = true
		if t.Percent < 0 || t.Percent > SpreadPercentAll {
			c.refuse(p+".Percent", fmt.Sprintf("%d is out of range", t.Percent), "use 0 to 100")
			continue
		}
		sum += t.Percent
	}
	if sum > SpreadPercentAll {
		c.refuse(path, fmt.Sprintf("the percentages add up to %d", sum), "at most 100; what is left goes to the values that no target names")
	}
}
