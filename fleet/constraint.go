package fleet

// Constraint operators. An empty operand means OpEqual.
const (
	OpEqual         = "="
	OpNotEqual      = "!="
	OpLess          = "<"
	OpLessEqual     = "<="
	OpGreater       = ">"
	OpGreaterEqual  = ">="
	OpRegexp        = "regexp"
	OpVersion       = "version"
	OpSetContains   = "set_contains"
	OpIsSet         = "is_set"
	OpIsNotSet      = "is_not_set"
	OpDistinctHosts = "distinct_hosts"
)

// Operators lists every constraint operator, for messages and suggestions.
var Operators = []string{
	OpEqual, OpNotEqual, OpLess, OpLessEqual, OpGreater, OpGreaterEqual,
	OpRegexp, OpVersion, OpSetContains, OpIsSet, OpIsNotSet, OpDistinctHosts,
}

// Constraint is a rule a node must satisfy. LTarget is usually a reference such
// as ${attr.cpu.arch}; RTarget is a literal or a reference.
type Constraint struct {
	LTarget string `hcl:"attribute" change:"inplace"`
	RTarget string `hcl:"value" change:"inplace"`
	Operand string `hcl:"operator" change:"inplace"`
}

// Op returns the operator, with the aliases of the field resolved.
func (c Constraint) Op() string {
	switch c.Operand {
	case "", "==", "is":
		return OpEqual
	case "not":
		return OpNotEqual
	}
	return c.Operand
}

// String formats c as one reads it: "${attr.cpu.arch} = arm64".
func (c Constraint) String() string {
	switch op := c.Op(); op {
	case OpDistinctHosts:
		return op
	case OpIsSet, OpIsNotSet:
		return c.LTarget + " " + op
	default:
		return c.LTarget + " " + op + " " + c.RTarget
	}
}
