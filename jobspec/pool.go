package jobspec

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dunlin-edge/dunlin/fleet"
)

// ParseNodePool reads a file with one node pool:
//
//	node_pool "shops" { description = "…" }
//
// It has no variables: a pool is a handful of words.
func ParseNodePool(filename string, src []byte) (*fleet.NodePool, Diagnostics) {
	r := &report{sources: map[string][]byte{filename: src}}
	if !checkLimits(filename, src, r) {
		return nil, r.all()
	}
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if diags.HasErrors() {
		r.hcl(diags)
		return nil, r.all()
	}
	body := file.Body.(*hclsyntax.Body)
	for _, a := range sortedAttributes(body) {
		r.at(a.NameRange, fmt.Sprintf("attribute %q stands outside of the node pool", a.Name), `move it into node_pool "NAME" { … }`)
	}
	d := &decoder{report: r, scope: newScope(r, src, nil), positions: map[string]hcl.Range{}}
	var pool *fleet.NodePool
	for _, b := range body.Blocks {
		switch {
		case b.Type != "node_pool":
			r.at(b.TypeRange, fmt.Sprintf("unknown block %q at the top of the file", b.Type), `write node_pool "NAME" { … }`)
		case pool != nil:
			r.at(b.DefRange(), "a second node pool", "write one per file")
		default:
			pool = &fleet.NodePool{}
			t := target{v: reflect.ValueOf(pool).Elem(), s: schemas["node_pool"]}
			if d.label(b, t) {
				d.body(b.Body, b.Type, t)
			}
		}
	}
	if pool == nil && len(r.list) == 0 {
		r.at(hcl.Range{Filename: filename}, "the file has no node pool", `write node_pool "NAME" { … }`)
	}
	if len(r.list) > 0 {
		return nil, r.all()
	}
	return pool, nil
}
