package feasible

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// constraintRule is a compiled constraint.
type constraintRule struct {
	text  fleet.Constraint
	op    string
	left  target
	right target
	re    *regexp.Regexp // of a literal pattern
}

func newConstraintRule(k fleet.Constraint) *constraintRule {
	r := &constraintRule{text: k, op: k.Op(), left: parseTarget(k.LTarget), right: parseTarget(k.RTarget)}
	if r.op == fleet.OpRegexp && r.right.kind == literal {
		// Validation refuses bad patterns; one that slips through matches nothing.
		r.re, _ = regexp.Compile(k.RTarget)
	}
	return r
}

func (r *constraintRule) appendKey(b []byte, n *fleet.Node) []byte {
	return r.right.appendKey(r.left.appendKey(b, n), n)
}

func (r *constraintRule) name() string { return r.text.String() }

func (r *constraintRule) holds(n *fleet.Node) bool {
	left, leftSet := r.left.of(n)
	right, rightSet := r.right.of(n)
	switch r.op {
	case fleet.OpIsSet:
		return leftSet
	case fleet.OpIsNotSet:
		return !leftSet
	case fleet.OpNotEqual: // a value that is not set differs from every value
		return leftSet != rightSet || left != right
	}
	if !leftSet || !rightSet {
		return false
	}
	switch r.op {
	case fleet.OpEqual:
		return left == right
	case fleet.OpLess, fleet.OpLessEqual, fleet.OpGreater, fleet.OpGreaterEqual:
		return r.ordered(left, right)
	case fleet.OpVersion:
		return fleet.VersionMatches(left, right)
	case fleet.OpSemver:
		return fleet.SemverMatches(left, right)
	case fleet.OpSetContains:
		return contains(left, right)
	case fleet.OpSetContainsAny:
		return containsAny(left, right)
	case fleet.OpRegexp:
		return r.matches(left, right)
	}
	return false // an operator that this version does not know admits nothing
}

func (r *constraintRule) matches(left, pattern string) bool {
	re := r.re
	if r.right.kind != literal {
		re, _ = regexp.Compile(pattern)
	}
	return re != nil && re.MatchString(left)
}

func (r *constraintRule) ordered(left, right string) bool {
	order, ok := compare(left, right, r.left.unit(), r.right.unit())
	if !ok {
		return false
	}
	switch r.op {
	case fleet.OpLess:
		return order < 0
	case fleet.OpLessEqual:
		return order <= 0
	case fleet.OpGreater:
		return order > 0
	}
	return order >= 0
}

func elements(set string) map[string]bool {
	have := map[string]bool{}
	for e := range strings.SplitSeq(set, ",") {
		have[strings.TrimSpace(e)] = true
	}
	return have
}

// containsAny reports whether the comma-separated set has one of the wanted
// elements.
func containsAny(set, wanted string) bool {
	have := elements(set)
	for e := range strings.SplitSeq(wanted, ",") {
		if have[strings.TrimSpace(e)] {
			return true
		}
	}
	return false
}

// contains reports whether the comma-separated set has every wanted element.
func contains(set, wanted string) bool {
	have := elements(set)
	for e := range strings.SplitSeq(wanted, ",") {
		if !have[strings.TrimSpace(e)] {
			return false
		}
	}
	return true
}

// unset is what a refusal calls a value that a node does not have.
const unset = "no value"

func (r *constraintRule) has(n *fleet.Node) string {
	v, ok := r.left.of(n)
	if !ok {
		v = unset
	}
	// With references on both sides one value alone explains nothing.
	if r.right.kind != literal && r.op != fleet.OpIsSet && r.op != fleet.OpIsNotSet {
		right, ok := r.right.of(n)
		if !ok {
			right = unset
		}
		return v + " against " + right
	}
	return v
}

func (r *constraintRule) refusal(fails []fail) fleet.Refusal {
	out := fleet.Refusal{Rule: "constraint", Wants: r.text.String(), Has: haveList(fails), Fix: r.fix(fails)}
	return counted(out, fails)
}

// fix names the smallest change: the nearest value for an order, the most common
// value for the rest.
func (r *constraintRule) fix(fails []fail) string {
	switch {
	case r.left.kind == unknown:
		return fmt.Sprintf("%s refers to nothing; use ${attr.…}, ${meta.…} or ${node.…}", r.text.LTarget)
	case r.right.kind == unknown:
		return fmt.Sprintf("%s refers to nothing; use ${attr.…}, ${meta.…}, ${node.…} or a plain value", r.text.RTarget)
	case r.op == fleet.OpIsNotSet:
		return "drop the constraint or add a node without " + r.text.LTarget
	case r.right.kind != literal:
		return "drop the constraint or add a node for which it holds"
	}
	best := r.nearest(fails)
	if best.has == unset {
		return r.set()
	}
	if _, ok := compare(best.has, r.text.RTarget, r.left.unit(), ""); !ok {
		return fmt.Sprintf("%s has no order with %s: write the value in the unit that nodes report", r.text.RTarget, best.has)
	}
	switch r.op {
	case fleet.OpLess, fleet.OpLessEqual:
		return fmt.Sprintf("the nearest is %s on %s: use %s <= %s", best.has, best.example.Name, r.text.LTarget, best.has)
	case fleet.OpGreater, fleet.OpGreaterEqual:
		return fmt.Sprintf("the nearest is %s on %s: use %s >= %s", best.has, best.example.Name, r.text.LTarget, best.has)
	case fleet.OpNotEqual:
		return fmt.Sprintf("drop the constraint or add a node where %s is not %s", r.text.LTarget, r.text.RTarget)
	}
	return fmt.Sprintf("accept %s or add a node with %s", best.has, r.text)
}

func (r *constraintRule) set() string {
	switch r.left.kind {
	case meta:
		return fmt.Sprintf("set meta %q on a node or drop the constraint", r.left.text)
	case attribute:
		return fmt.Sprintf("no node reports attribute %q: check its spelling or add a node that has it", r.left.text)
	}
	return fmt.Sprintf("give a node a value for %s or drop the constraint", r.text.LTarget)
}

func (r *constraintRule) nearest(fails []fail) fail {
	best := fails[0]
	for _, f := range fails[1:] {
		var better bool
		switch {
		case f.has == unset || best.has == unset:
			better = best.has == unset && f.has != unset
		case r.op == fleet.OpLess || r.op == fleet.OpLessEqual:
			order, ok := compare(f.has, best.has, "", "")
			better = ok && order < 0
		case r.op == fleet.OpGreater || r.op == fleet.OpGreaterEqual:
			order, ok := compare(f.has, best.has, "", "")
			better = ok && order > 0
		default:
			better = f.nodes > best.nodes
		}
		if better {
			best = f
		}
	}
	return best
}
