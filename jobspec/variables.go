package jobspec

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// VarFile is a file of values: `name = value` lines.
type VarFile struct {
	Name string
	Src  []byte
}

// EnvPrefix starts environment variables that give values to job files.
const EnvPrefix = "DUNLIN_VAR_"

// EnvVars picks the values for job files out of an environment ("KEY=value").
func EnvVars(environ []string) map[string]string {
	out := map[string]string{}
	for _, kv := range environ {
		if rest, ok := strings.CutPrefix(kv, EnvPrefix); ok {
			if name, value, ok := strings.Cut(rest, "="); ok {
				out[name] = value
			}
		}
	}
	return out
}

// variable is one declared variable.
type variable struct {
	block *hclsyntax.Block
	typ   cty.Type // cty.DynamicPseudoType = not declared
	value cty.Value
	// refused: a value was given and is wrong, so that none is no news.
	refused bool
}

// variables evaluates the variable blocks. The value on the command line wins
// over files, those over the environment, and that over the default.
func (s *scope) variables(blocks []*hclsyntax.Block, opts Options) {
	declared := map[string]*variable{}
	for _, b := range blocks {
		if v := s.declare(b); v != nil {
			name := b.Labels[0]
			if one := declared[name]; one != nil {
				s.report.at(b.DefRange(), fmt.Sprintf("a second variable %q; the first is on line %d", name, one.block.TypeRange.Start.Line), "give each its own name")
				continue
			}
			declared[name] = v
		}
	}
	for _, name := range keys(opts.Env) {
		if v := declared[name]; v != nil {
			s.give(v, EnvPrefix+name, opts.Env[name])
		}
	}
	unread := false
	for _, f := range opts.VarFiles {
		unread = !s.varFile(f, declared) || unread
	}
	for _, name := range keys(opts.Vars) {
		if v := declared[name]; v != nil {
			s.give(v, "-var "+name, opts.Vars[name])
			continue
		}
		s.report.at(hcl.Range{Filename: "-var " + name}, "the job file declares no such variable", didYouMean(name, keys(declared)))
	}
	for _, b := range blocks {
		if len(b.Labels) != 1 || declared[b.Labels[0]] == nil || declared[b.Labels[0]].block != b {
			continue
		}
		name := b.Labels[0]
		v := declared[name]
		if v.value == cty.NilVal {
			if v.refused || unread {
				continue
			}
			s.report.at(b.DefRange(), fmt.Sprintf("variable %q has no value", name), fmt.Sprintf("pass -var %s=…, set %s%s, or give it a default", name, EnvPrefix, name))
			continue
		}
		s.vars[name] = v.value
	}
	s.ctx.Variables["var"] = cty.ObjectVal(s.vars)
}

// declare reads one variable block, or reports why it cannot be one.
func (s *scope) declare(b *hclsyntax.Block) *variable {
	if len(b.Labels) != 1 || !hclsyntax.ValidIdentifier(b.Labels[0]) {
		s.report.at(b.DefRange(), "a variable has one name of letters, digits, - and _", `write variable "NAME" { … }`)
		return nil
	}
	known := []string{"type", "default", "description"}
	v := &variable{block: b, typ: cty.DynamicPseudoType}
	for _, inner := range b.Body.Blocks {
		s.report.at(inner.DefRange(), fmt.Sprintf("unknown block %q in variable", inner.Type), "known here: "+strings.Join(known, ", "))
	}
	var def *hclsyntax.Attribute
	for _, a := range sortedAttributes(b.Body) {
		switch a.Name {
		case "type":
			t, diags := typeexpr.TypeConstraint(a.Expr)
			if diags.HasErrors() {
				s.report.hcl(diags)
				return nil
			}
			v.typ = t
		case "default":
			def = a
		case "description":
			if d, ok := s.value(a.Expr); ok && d.Type() != cty.String {
				s.report.at(a.Expr.Range(), "description: "+mismatch("text", d, "").Error(), "")
			}
		default:
			s.report.at(a.NameRange, fmt.Sprintf("unknown attribute %q in variable", a.Name), unknownHint(a.Name, known))
		}
	}
	if def != nil {
		s.hold(def.Expr)
		if value, ok := s.value(def.Expr); ok {
			s.assign(v, value, def.Expr.Range(), "the default")
		}
	}
	return v
}

// assign converts a value to the variable's type and stores it.
func (s *scope) assign(v *variable, value cty.Value, at hcl.Range, what string) {
	got, err := convert.Convert(value, v.typ)
	if err != nil || !got.IsWhollyKnown() {
		v.refused = true
		s.report.at(at, fmt.Sprintf("%s of variable %q: want %s, got %s", what, v.block.Labels[0], v.typ.FriendlyName(), describe(value)), "")
		return
	}
	v.value = got
}

// give sets a variable from text. Lists and objects are written as in a job
// file; without a declared type the text is a string.
func (s *scope) give(v *variable, from, src string) {
	at := hcl.Range{Filename: from}
	if len(src) > FileBytesMax {
		s.report.at(at, fmt.Sprintf("the value has %d bytes", len(src)), fmt.Sprintf("at most %d", FileBytesMax))
		return
	}
	if v.typ.IsPrimitiveType() || v.typ == cty.DynamicPseudoType {
		s.assign(v, cty.StringVal(src), at, "the value")
		return
	}
	if !checkLimits(from, []byte(src), s.report) {
		return
	}
	e, diags := hclsyntax.ParseExpression([]byte(src), from, hcl.InitialPos)
	if diags.HasErrors() {
		s.report.hcl(diags)
		return
	}
	if value, ok := s.value(e); ok {
		s.assign(v, value, at, "the value")
	}
}

// varFile sets variables from a file; false if it could not be read at all.
func (s *scope) varFile(f VarFile, declared map[string]*variable) bool {
	s.report.sources[f.Name] = f.Src
	if !checkLimits(f.Name, f.Src, s.report) {
		return false
	}
	file, diags := hclsyntax.ParseConfig(f.Src, f.Name, hcl.InitialPos)
	if diags.HasErrors() {
		s.report.hcl(diags)
		return false
	}
	body := file.Body.(*hclsyntax.Body)
	for _, b := range body.Blocks {
		s.report.at(b.DefRange(), fmt.Sprintf("block %q in a file of values", b.Type), "write NAME = value, one a line")
	}
	for _, a := range sortedAttributes(body) {
		v := declared[a.Name]
		if v == nil {
			s.report.at(a.NameRange, fmt.Sprintf("the job file declares no variable %q", a.Name), didYouMean(a.Name, keys(declared)))
			continue
		}
		if value, ok := s.value(a.Expr); ok {
			s.assign(v, value, a.Expr.Range(), "the value")
		}
	}
	return true
}
