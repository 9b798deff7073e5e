package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// scope is what expressions may name: variables, locals and functions.
type scope struct {
	report *report
	src    []byte
	ctx    *hcl.EvalContext
	vars   map[string]cty.Value
	budget int64 // what expressions may still produce, in bytes
	held   int   // references kept as text so far
}

func newScope(r *report, src []byte, readFile func(string) ([]byte, error)) *scope {
	return &scope{
		report: r, src: src, budget: evalBytesMax, vars: map[string]cty.Value{},
		ctx: &hcl.EvalContext{Functions: functions(readFile), Variables: map[string]cty.Value{}},
	}
}

// eval returns the value of an expression of the job file, or reports why it
// has none. References to nodes and allocations are text by then.
func (s *scope) eval(e hclsyntax.Expression) (cty.Value, bool) {
	s.hold(e)
	return s.value(e)
}

func (s *scope) value(e hclsyntax.Expression) (cty.Value, bool) {
	if s.budget < 0 {
		return cty.NilVal, false // said once
	}
	c := costing{ctx: s.ctx, left: s.budget}
	c.expr(e, nil)
	if s.budget = c.left; s.budget < 0 {
		s.report.at(e.Range(), "the expressions of this file produce too much", fmt.Sprintf("at most %d MiB in all", evalBytesMax>>20))
		return cty.NilVal, false
	}
	v, diags := e.Value(s.ctx)
	if diags.HasErrors() {
		s.report.hcl(diags)
		return cty.NilVal, false
	}
	if !v.IsWhollyKnown() {
		s.report.at(e.Range(), "the value is not known", "use literals, var.NAME and local.NAME")
		return cty.NilVal, false
	}
	return v, true
}

// heldRoots start references that schedulers and devices resolve, long after
// the job file is gone.
var heldRoots = []string{"attr", "node", "meta", "env", "device"}

func isHeld(root string) bool {
	return slices.Contains(heldRoots, root) || strings.HasPrefix(root, "NOMAD_") || strings.HasPrefix(root, "DUNLIN_")
}

// hold makes held references evaluate to their own source text. It points the
// traversal at a fresh variable that holds the text: a tree of objects, built
// from the references, could not have both ${attr.cpu} and ${attr.cpu.arch}.
func (s *scope) hold(e hclsyntax.Expression) {
	_ = hclsyntax.Walk(e, &holder{scope: s})
}

type holder struct {
	scope  *scope
	shadow []map[string]struct{} // names bound by for expressions
}

func (h *holder) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch n := n.(type) {
	case hclsyntax.ChildScope:
		h.shadow = append(h.shadow, n.LocalNames)
	case *hclsyntax.ScopeTraversalExpr:
		root := n.Traversal.RootName()
		for _, names := range h.shadow {
			if _, bound := names[root]; bound {
				return nil
			}
		}
		if !isHeld(root) {
			return nil
		}
		s := h.scope
		name := fmt.Sprintf("reference %d", s.held) // not an identifier, so no file can name it
		s.held++
		s.ctx.Variables[name] = cty.StringVal("${" + string(n.SrcRange.SliceBytes(s.src)) + "}")
		n.Traversal = hcl.Traversal{hcl.TraverseRoot{Name: name, SrcRange: n.SrcRange}}
	}
	return nil
}

func (h *holder) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if _, ok := n.(hclsyntax.ChildScope); ok {
		h.shadow = h.shadow[:len(h.shadow)-1]
	}
	return nil
}

// local is one value of a locals block while they are put in order.
type local struct {
	attr  *hclsyntax.Attribute
	state int // 0 = untouched, 1 = being evaluated, 2 = done
}

// locals evaluates all locals blocks; each value may use the others.
func (s *scope) locals(blocks []*hclsyntax.Block) {
	all := map[string]*local{}
	var names []string
	for _, b := range blocks {
		for _, inner := range b.Body.Blocks {
			s.report.at(inner.DefRange(), fmt.Sprintf("block %q in locals, which holds values only", inner.Type), inner.Type+" = { … } makes an object")
		}
		for _, a := range sortedAttributes(b.Body) {
			if one := all[a.Name]; one != nil {
				s.report.at(a.NameRange, fmt.Sprintf("a second local %q; the first is on line %d", a.Name, one.attr.NameRange.Start.Line), "give each its own name")
				continue
			}
			s.hold(a.Expr)
			all[a.Name] = &local{attr: a}
			names = append(names, a.Name)
		}
	}
	values := map[string]cty.Value{}
	for _, name := range names {
		s.local(name, all, values, 0)
	}
	s.ctx.Variables["local"] = cty.ObjectVal(values)
}

// localChainMax bounds how many locals may hang on each other in a row.
const localChainMax = 200

func (s *scope) local(name string, all map[string]*local, values map[string]cty.Value, depth int) bool {
	l := all[name]
	switch {
	case l.state == 2:
		_, ok := values[name]
		return ok
	case l.state == 1 || depth > localChainMax:
		s.report.at(l.attr.NameRange, fmt.Sprintf("local %q depends on itself, or on too many others", name), "")
		return false
	}
	l.state = 1
	defer func() { l.state = 2 }()
	for _, ref := range l.attr.Expr.Variables() {
		if ref.RootName() != "local" {
			continue
		}
		if len(ref) < 2 {
			s.report.at(ref.SourceRange(), "a local is named by local.NAME", "")
			return false
		}
		step, ok := ref[1].(hcl.TraverseAttr)
		if !ok {
			s.report.at(ref.SourceRange(), "a local is named by local.NAME", "")
			return false
		}
		if all[step.Name] == nil {
			s.report.at(ref.SourceRange(), fmt.Sprintf("there is no local %q", step.Name), didYouMean(step.Name, keys(all)))
			return false
		}
		if !s.local(step.Name, all, values, depth+1) {
			return false
		}
	}
	s.ctx.Variables["local"] = cty.ObjectVal(values)
	v, ok := s.value(l.attr.Expr)
	if ok {
		values[name] = v
	}
	return ok
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
