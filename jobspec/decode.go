package jobspec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dunlin-edge/dunlin/fleet"
)

// decoder fills structs of package fleet from blocks.
type decoder struct {
	report    *report
	scope     *scope
	positions map[string]hcl.Range
}

// target is a struct that a block fills. A body may have several (the one-task
// shorthand); the first whose schema knows a name takes it.
type target struct {
	v    reflect.Value
	path string
	s    *schema
}

func (t target) join(name string) string { return strings.TrimPrefix(t.path+"."+name, ".") }

func find(targets []target, name string) (target, *field) {
	for _, t := range targets {
		if f := t.s.fields[name]; f != nil {
			return t, f
		}
	}
	return targets[0], nil
}

func known(targets []target) []string {
	var out []string
	for _, t := range targets {
		out = append(out, t.s.names()...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedAttributes(b *hclsyntax.Body) []*hclsyntax.Attribute {
	out := make([]*hclsyntax.Attribute, 0, len(b.Attributes))
	for _, a := range b.Attributes {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return out
}

// body fills the targets from the attributes and blocks of b.
func (d *decoder) body(b *hclsyntax.Body, where string, targets ...target) {
	for _, a := range sortedAttributes(b) {
		d.attribute(a, where, targets)
	}
	first := map[string]*hclsyntax.Block{}
	for _, inner := range b.Blocks {
		t, f := find(targets, inner.Type)
		if f == nil {
			d.report.at(inner.TypeRange, fmt.Sprintf("unknown block %q in %s", inner.Type, where), unknownHint(inner.Type, known(targets)))
			continue
		}
		if one := first[inner.Type]; one != nil && !f.repeats() {
			d.report.at(inner.DefRange(), fmt.Sprintf("a second %s in %s; the first is on line %d", inner.Type, where, one.TypeRange.Start.Line), "join the two")
			continue
		}
		if a := b.Attributes[inner.Type]; a != nil {
			d.report.at(inner.DefRange(), fmt.Sprintf("%s is also set on line %d", inner.Type, a.NameRange.Start.Line), "join the two")
			continue
		}
		first[inner.Type] = inner
		d.block(inner, t, f)
	}
	d.rawBlocks(b, targets)
}

func (d *decoder) attribute(a *hclsyntax.Attribute, where string, targets []target) {
	t, f := find(targets, a.Name)
	if f == nil {
		if slices.Contains(t.s.shorthands(), a.Name) {
			d.shorthand(a, t)
			return
		}
		d.report.at(a.NameRange, fmt.Sprintf("unknown attribute %q in %s", a.Name, where), unknownHint(a.Name, known(targets)))
		return
	}
	if f.kind == kindBlock {
		d.report.at(a.NameRange, a.Name+" is a block, not an attribute", fmt.Sprintf(`write %s { … } without "="`, a.Name))
		return
	}
	path := t.join(f.goName)
	if !d.take(path, a) {
		return
	}
	v, ok := d.scope.eval(a.Expr)
	if !ok || v.IsNull() {
		return
	}
	dst := t.v.FieldByIndex(f.index)
	var wrong error
	switch f.kind {
	case kindMap:
		wrong = setMap(dst, v)
		d.mapPositions(a.Expr, path)
	case kindJSON:
		var raw []byte
		if raw, wrong = toJSON(v); wrong == nil {
			dst.SetBytes(raw)
		}
	default:
		wrong = setValue(dst, v, t.s.compares())
	}
	if wrong != nil {
		d.report.at(a.Expr.Range(), a.Name+": "+wrong.Error(), hintOf(wrong))
	}
}

// take notes where a field is set. Only shorthands can set one twice: hcl itself
// refuses a repeated attribute.
func (d *decoder) take(path string, a *hclsyntax.Attribute) bool {
	if prior, seen := d.positions[path]; seen {
		d.report.at(a.NameRange, fmt.Sprintf("%s says again what line %d says", a.Name, prior.Start.Line), "write one of them")
		return false
	}
	d.positions[path] = a.SrcRange
	return true
}

// mapPositions notes where each key of x = { … } stands.
func (d *decoder) mapPositions(e hclsyntax.Expression, path string) {
	obj, ok := e.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return
	}
	for _, item := range obj.Items {
		if k, diags := item.KeyExpr.Value(d.scope.ctx); !diags.HasErrors() && k.Type() == cty.String && k.IsKnown() && !k.IsNull() {
			d.positions[path+"."+k.AsString()] = item.KeyExpr.Range()
		}
	}
}

// shorthand reads `regexp = "…"` for operator and value in one. That of
// distinct_property is the attribute; its value is how many.
func (d *decoder) shorthand(a *hclsyntax.Attribute, t target) {
	side := "RTarget"
	if a.Name == fleet.OpDistinctProperty {
		side = "LTarget"
	}
	v, ok := d.scope.eval(a.Expr)
	if !ok || v.IsNull() {
		return
	}
	if !d.take(t.join("Operand"), a) || !d.take(t.join(side), a) {
		return
	}
	if a.Name == fleet.OpDistinctHosts && v.Type() != cty.Bool {
		d.report.at(a.Expr.Range(), "distinct_hosts: want true or false, got "+describe(v), "")
		return
	}
	t.v.FieldByName("Operand").SetString(a.Name)
	if err := setValue(t.v.FieldByName(side), v, true); err != nil {
		d.report.at(a.Expr.Range(), a.Name+": "+err.Error(), hintOf(err))
	}
}

// block fills one field from one block. Raw JSON waits for rawBlocks, which
// needs all blocks of a name together.
func (d *decoder) block(b *hclsyntax.Block, t target, f *field) {
	dst, path := t.v.FieldByIndex(f.index), t.join(f.goName)
	switch f.kind {
	case kindAttr:
		d.report.at(b.DefRange(), b.Type+" is an attribute, not a block", fmt.Sprintf("write %s = …", b.Type))
	case kindMap:
		d.positions[path] = b.DefRange()
		d.mapBlock(b, dst, path)
	case kindJSON:
		if _, seen := d.positions[path]; !seen {
			d.positions[path] = b.DefRange()
		}
	case kindBlock:
		var elem reflect.Value
		if dst.Kind() == reflect.Slice {
			path = fmt.Sprintf("%s[%d]", path, dst.Len())
			dst.Set(reflect.Append(dst, reflect.Zero(dst.Type().Elem())))
			elem = dst.Index(dst.Len() - 1)
		} else {
			dst.Set(reflect.New(dst.Type().Elem()))
			elem = dst.Elem()
		}
		d.positions[path] = b.DefRange()
		inner := target{elem, path, schemas[b.Type]}
		if d.label(b, inner) {
			d.body(b.Body, b.Type, inner)
		}
	}
}

// label reads the name of a block, if its noun has one.
func (d *decoder) label(b *hclsyntax.Block, t target) bool {
	if t.s.label == nil {
		if len(b.Labels) > 0 {
			d.report.at(b.LabelRanges[0], b.Type+" takes no name", fmt.Sprintf("write %s { … }", b.Type))
			return false
		}
		return true
	}
	if len(b.Labels) != 1 {
		d.report.at(b.DefRange(), b.Type+" has "+names(len(b.Labels)), fmt.Sprintf(`write %s "NAME" { … }`, b.Type))
		return false
	}
	t.v.FieldByIndex(t.s.label.index).SetString(b.Labels[0])
	d.positions[t.join(t.s.label.goName)] = b.LabelRanges[0]
	return true
}

func names(n int) string {
	if n == 0 {
		return "no name"
	}
	return fmt.Sprintf("%d names", n)
}

// mapBlock reads x { k = v } into a map of text.
func (d *decoder) mapBlock(b *hclsyntax.Block, dst reflect.Value, path string) {
	for i := range b.Labels {
		d.report.at(b.LabelRanges[i], b.Type+" takes no name", "")
		return
	}
	for _, inner := range b.Body.Blocks {
		d.report.at(inner.DefRange(), fmt.Sprintf("block %q in %s, which holds text values only", inner.Type, b.Type), fmt.Sprintf(`write %s = "…"`, inner.Type))
	}
	out := reflect.MakeMap(dst.Type())
	for _, a := range sortedAttributes(b.Body) {
		d.positions[path+"."+a.Name] = a.SrcRange
		v, ok := d.scope.eval(a.Expr)
		if !ok || v.IsNull() {
			continue
		}
		s, err := text(v)
		if err != nil {
			d.report.at(a.Expr.Range(), fmt.Sprintf("%s.%s: %v", b.Type, a.Name, err), hintOf(err))
			continue
		}
		out.SetMapIndex(reflect.ValueOf(a.Name), reflect.ValueOf(s))
	}
	dst.Set(out)
}
