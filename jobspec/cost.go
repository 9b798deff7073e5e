package jobspec

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// evalBytesMax bounds what all expressions of a job file may produce, counting
// every step. A few lines of locals that double each other, nested for
// expressions, or 1e999999999 as text would otherwise fill the memory of a
// server that parses job files for others. Evaluation cannot be stopped half
// way, so an upper bound is computed first.
const evalBytesMax = 16 << 20

// nodeBytes is what one evaluation of one part of an expression costs beside the
// text it makes. It bounds time too: a million evaluations take about a second.
const nodeBytes = 64

// numberBits is the precision of hcl's numbers.
const numberBits = 512

// costing walks an expression and subtracts an upper bound of the bytes that
// its evaluation makes. It stops when nothing is left.
type costing struct {
	ctx  *hcl.EvalContext
	left int64
}

func (c *costing) spend(n int64) int64 {
	if n < 0 || n > c.left {
		c.left = -1
		return 0
	}
	c.left -= n
	return n
}

// times multiplies two bounds, or uses everything up.
func (c *costing) times(a, b int64) int64 {
	if a != 0 && b > evalBytesMax/a {
		c.left = -1
		return 0
	}
	return a * b
}

// expr returns the bound for e. bound has the sizes of names that for
// expressions around e bind.
func (c *costing) expr(e hclsyntax.Expression, bound map[string]int64) int64 {
	if c.left < 0 {
		return 0
	}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return c.spend(c.size(e.Val))
	case *hclsyntax.ScopeTraversalExpr:
		if n, ok := bound[e.Traversal.RootName()]; ok {
			return c.spend(nodeBytes + n)
		}
		v, diags := e.Traversal.TraverseAbs(c.ctx)
		if diags.HasErrors() {
			return c.spend(nodeBytes) // evaluation will say what is wrong
		}
		return c.spend(nodeBytes + c.size(v))
	case *hclsyntax.ForExpr:
		return c.forExpr(e, bound)
	case *hclsyntax.FunctionCallExpr:
		return c.call(e, bound)
	case *hclsyntax.SplatExpr:
		return c.spend(2 * c.expr(e.Source, bound))
	case *hclsyntax.ObjectConsExpr:
		n := int64(nodeBytes)
		for _, item := range e.Items {
			n += c.expr(item.KeyExpr, bound) + c.expr(item.ValueExpr, bound)
		}
		return c.spend(n)
	case *hclsyntax.ObjectConsKeyExpr:
		return c.expr(e.Wrapped, bound)
	}
	return c.spend(nodeBytes + c.children(e, bound))
}

// children sums over the parts of an expression that makes no more than they
// hold together: templates, operators, lists, conditions, indexes.
func (c *costing) children(e hclsyntax.Expression, bound map[string]int64) int64 {
	var n int64
	switch e := e.(type) {
	case *hclsyntax.TemplateExpr:
		for _, part := range e.Parts {
			n += c.expr(part, bound)
		}
	case *hclsyntax.TemplateWrapExpr:
		n = c.expr(e.Wrapped, bound)
	case *hclsyntax.TemplateJoinExpr:
		n = c.expr(e.Tuple, bound)
	case *hclsyntax.ParenthesesExpr:
		n = c.expr(e.Expression, bound)
	case *hclsyntax.RelativeTraversalExpr:
		n = c.expr(e.Source, bound)
	case *hclsyntax.ConditionalExpr:
		n = c.expr(e.Condition, bound) + c.expr(e.TrueResult, bound) + c.expr(e.FalseResult, bound)
	case *hclsyntax.BinaryOpExpr:
		n = c.expr(e.LHS, bound) + c.expr(e.RHS, bound)
	case *hclsyntax.UnaryOpExpr:
		n = c.expr(e.Val, bound)
	case *hclsyntax.IndexExpr:
		n = c.expr(e.Collection, bound) + c.expr(e.Key, bound)
	case *hclsyntax.TupleConsExpr:
		for _, elem := range e.Exprs {
			n += c.expr(elem, bound)
		}
	}
	return n
}

// forExpr bounds a loop: its body once for each element. The number of elements
// is known when the collection does not depend on a loop around it.
func (c *costing) forExpr(e *hclsyntax.ForExpr, bound map[string]int64) int64 {
	coll := c.expr(e.CollExpr, bound)
	if c.left < 0 {
		return 0
	}
	rounds, each := coll, coll
	if v, diags := e.CollExpr.Value(c.ctx); !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.CanIterateElements() {
		rounds, each = int64(v.LengthInt()), 0
		for it := v.ElementIterator(); it.Next(); {
			k, elem := it.Element()
			each = max(each, c.size(k), c.size(elem))
		}
	}
	inner := maps.Clone(bound)
	if inner == nil {
		inner = map[string]int64{}
	}
	inner[e.KeyVar], inner[e.ValVar] = each, each
	round := costing{ctx: c.ctx, left: c.left}
	n := int64(nodeBytes)
	for _, part := range []hclsyntax.Expression{e.KeyExpr, e.ValExpr, e.CondExpr} {
		if part != nil {
			n += round.expr(part, inner)
		}
	}
	if round.left < 0 {
		c.left = -1
		return 0
	}
	return c.spend(c.times(rounds+1, max(n, c.left-round.left)))
}

// call bounds a function's result by its arguments.
func (c *costing) call(e *hclsyntax.FunctionCallExpr, bound map[string]int64) int64 {
	first, sum := int64(0), int64(nodeBytes)
	for i, arg := range e.Args {
		n := c.expr(arg, bound)
		sum += n
		if i == 0 {
			first = max(1, n-nodeBytes)
		}
	}
	switch e.Name {
	case "join", "replace", "format", "regex": // the first may repeat the others for each of its bytes, or they it
		return c.spend(c.times(first, sum))
	case "distinct": // compares each with each
		return c.spend(c.times(sum/nodeBytes, sum/nodeBytes))
	case "file":
		return c.spend(FileBytesMax)
	case "jsonencode", "base64encode", "urlencode", "upper", "lower", "title":
		return c.spend(c.times(6, sum)) // each byte may become \u0000
	}
	return c.spend(2 * sum)
}

// size returns the bytes of v as text, near enough; it gives up when more than
// what is left.
func (c *costing) size(v cty.Value) int64 {
	switch t := v.Type(); {
	case !v.IsKnown() || v.IsNull():
		return 4
	case t == cty.String:
		return int64(len(v.AsString())) + 1
	case t == cty.Number:
		f := v.AsBigFloat()
		if f.IsInf() {
			return evalBytesMax + 1 // a literal beyond all digits
		}
		bits := int64(f.MantExp(nil))
		return max(bits, -bits)/3 + numberBits/3
	case !v.CanIterateElements():
		return 8
	}
	n := int64(8)
	for it := v.ElementIterator(); it.Next() && n <= c.left; {
		k, elem := it.Element()
		n += 8 + c.size(elem)
		if k.Type() == cty.String {
			n += int64(len(k.AsString()))
		}
	}
	return n
}
