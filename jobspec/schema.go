package jobspec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/dunlin-edge/dunlin/fleet"
)

type kind int

const (
	kindAttr kind = iota
	kindLabel
	kindBlock
	kindMap
	kindJSON
)

var kinds = map[string]kind{"": kindAttr, "label": kindLabel, "block": kindBlock, "map": kindMap, "json": kindJSON}

// field is one tagged field of a noun.
type field struct {
	name   string // in job files
	goName string // in paths
	kind   kind
	index  []int
	typ    reflect.Type
}

// repeats reports whether the block may be written more than once.
func (f *field) repeats() bool {
	return f.kind == kindJSON && f.goName != "Config" || f.kind == kindBlock && f.typ.Kind() == reflect.Slice
}

// schema is what the tags of one struct say, embedded structs included.
type schema struct {
	noun   string
	fields map[string]*field
	label  *field
}

// schemas has one entry per block of job files that is a struct, by its name.
var schemas = buildSchemas()

var rawType = reflect.TypeFor[json.RawMessage]()

func buildSchemas() map[string]*schema {
	all := map[string]*schema{}
	addSchema(all, "job", reflect.TypeFor[fleet.Job]())
	addSchema(all, "node_pool", reflect.TypeFor[fleet.NodePool]())
	return all
}

func addSchema(all map[string]*schema, noun string, t reflect.Type) {
	if all[noun] != nil {
		return
	}
	s := &schema{noun: noun, fields: map[string]*field{}}
	all[noun] = s
	for _, sf := range reflect.VisibleFields(t) {
		tag, ok := sf.Tag.Lookup("hcl")
		if !ok {
			continue
		}
		name, form, _ := strings.Cut(tag, ",")
		f := &field{name: name, goName: sf.Name, kind: kinds[form], index: sf.Index, typ: sf.Type}
		switch f.kind {
		case kindLabel:
			s.label = f
		case kindBlock:
			addSchema(all, name, f.typ.Elem())
			s.fields[name] = f
		default:
			s.fields[name] = f
		}
	}
}

// shorthands of a constraint or an affinity, besides operator and value. The
// value is the right-hand side.
var shorthands = []string{
	fleet.OpDistinctHosts, fleet.OpDistinctProperty, fleet.OpRegexp, fleet.OpVersion, fleet.OpSemver,
	fleet.OpSetContains, "set_contains_all", fleet.OpSetContainsAny,
}

// compares reports whether the block is a rule: its values are of any kind, and
// its operators may be written as attributes.
func (s *schema) compares() bool { return s.noun == "constraint" || s.noun == "affinity" }

func (s *schema) shorthands() []string {
	switch s.noun {
	case "constraint":
		return shorthands
	case "affinity": // to be distinct is no preference
		return slices.DeleteFunc(slices.Clone(shorthands), func(n string) bool { return strings.HasPrefix(n, "distinct_") })
	}
	return nil
}

// names lists what a schema knows, shorthands included.
func (s *schema) names() []string {
	var out []string
	for name := range s.fields {
		out = append(out, name)
	}
	out = append(out, s.shorthands()...)
	slices.Sort(out)
	return out
}

// elsewhere says in which blocks a name would be right: "task or group".
func elsewhere(name string) string {
	var in []string
	for noun, s := range schemas {
		if slices.Contains(s.names(), name) {
			in = append(in, noun)
		}
	}
	slices.Sort(in)
	return strings.Join(in, " or ")
}

// suggestionDistance is how many edits away a name may be to be suggested: a
// third of its length, so that short names do not suggest each other at random.
func suggestionDistance(name string) int { return (len(name) + 2) / 3 }

// didYouMean returns the hint with the nearest known name, or "".
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return `did you mean "` + best + `"?`
	}
	return ""
}

func nearest(name string, known []string) string {
	best, distance := "", suggestionDistance(name)+1
	for _, k := range known {
		if n := levenshtein.Distance(name, k, nil); n < distance {
			best, distance = k, n
		}
	}
	return best
}

// unknownHint says what to write instead of an unknown name.
func unknownHint(name string, known []string) string {
	if name == "dynamic" {
		return "dynamic blocks are not expanded; write each block out"
	}
	if name == "image" || name == "command" || name == "args" || name == "module" {
		return "settings of a driver belong in config { … }"
	}
	near := didYouMean(name, known)
	if in := elsewhere(name); in != "" {
		return cmp.Or(near, "it belongs in "+in)
	}
	var all []string
	for _, s := range schemas {
		all = append(all, s.names()...)
	}
	slices.Sort(all)
	if other := nearest(name, all); near == "" && other != "" {
		return fmt.Sprintf("did you mean %q, which belongs in %s?", other, elsewhere(other))
	}
	return cmp.Or(near, "known here: "+strings.Join(known, ", "))
}
