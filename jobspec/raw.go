package jobspec

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// rawBlocks stores the blocks of each raw JSON field. Blocks of a field whose
// public name is a plural become a list, others an object.
func (d *decoder) rawBlocks(b *hclsyntax.Body, targets []target) {
	groups := map[string][]*hclsyntax.Block{}
	var names []string
	for _, inner := range b.Blocks {
		if _, f := find(targets, inner.Type); f != nil && f.kind == kindJSON && b.Attributes[inner.Type] == nil {
			if groups[inner.Type] == nil {
				names = append(names, inner.Type)
			}
			groups[inner.Type] = append(groups[inner.Type], inner)
		}
	}
	for _, name := range names {
		t, f := find(targets, name)
		var raw json.RawMessage
		if f.goName == "Config" {
			if n := len(groups[name][0].Labels); n > 0 {
				d.report.at(groups[name][0].LabelRanges[0], "config takes no name", "write config { … }")
			}
			raw = d.configObject(groups[name][0].Body)
		} else {
			raw = d.uncarried(groups[name], f)
		}
		t.v.FieldByIndex(f.index).SetBytes(raw)
	}
}

// configObject converts a body whose keys belong to a driver: they stay as they
// are, and nested blocks are lists, by label if they have one.
func (d *decoder) configObject(b *hclsyntax.Body) json.RawMessage {
	out := map[string]any{}
	d.rawAttributes(b, out, func(s string) string { return s })
	for _, inner := range b.Blocks {
		if b.Attributes[inner.Type] != nil {
			d.report.at(inner.DefRange(), inner.Type+" is both an attribute and a block", "join the two")
			continue
		}
		var v any = d.configObject(inner.Body)
		for _, label := range slices.Backward(inner.Labels) {
			v = map[string]any{label: v}
		}
		list, _ := out[inner.Type].([]any)
		out[inner.Type] = append(list, v)
	}
	return encode(out)
}

// uncarried converts blocks of the public API that are not carried out, so that
// the API shows them by their public names.
func (d *decoder) uncarried(blocks []*hclsyntax.Block, f *field) json.RawMessage {
	var objects []json.RawMessage
	for _, b := range blocks {
		objects = append(objects, d.uncarriedObject(b))
	}
	if len(objects) == 1 && (f.goName == camel(f.name) || f.goName == "Parameterized") {
		return objects[0]
	}
	return encode(objects)
}

func (d *decoder) uncarriedObject(b *hclsyntax.Block) json.RawMessage {
	out := map[string]any{}
	for i, label := range b.Labels {
		key := "Name"
		if i > 0 {
			key = fmt.Sprintf("Name%d", i+1)
		}
		out[key] = label
	}
	d.rawAttributes(b.Body, out, camel)
	inner := map[string][]any{}
	for _, n := range b.Body.Blocks {
		inner[camel(n.Type)] = append(inner[camel(n.Type)], d.uncarriedObject(n))
	}
	for key, list := range inner {
		if out[key] = list; len(list) == 1 {
			out[key] = list[0]
		}
	}
	return encode(out)
}

func (d *decoder) rawAttributes(b *hclsyntax.Body, out map[string]any, name func(string) string) {
	for _, a := range sortedAttributes(b) {
		v, ok := d.scope.eval(a.Expr)
		if !ok {
			continue
		}
		raw, err := toJSON(v)
		if err != nil {
			d.report.at(a.Expr.Range(), a.Name+": "+err.Error(), "")
			continue
		}
		out[name(a.Name)] = json.RawMessage(raw)
	}
}

func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("jobspec: maps and lists of encoded JSON must encode: " + err.Error())
	}
	return b
}
