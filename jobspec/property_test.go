package jobspec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/fleet"
)

// writer writes a struct with random values as HCL, from the tags alone, and
// sets the same values in the struct.
type writer struct {
	t    *rapid.T
	out  strings.Builder
	seen map[string]bool // fields written, as noun.name
	all  bool            // write every field
}

func (w *writer) wants(label string) bool {
	return w.all || rapid.Bool().Draw(w.t, label)
}

func (w *writer) body(noun string, v reflect.Value) {
	s := schemas[noun]
	for _, name := range s.names() {
		f := s.fields[name]
		if f == nil || !w.wants(noun+"."+name) {
			continue // nil: a shorthand of constraint, which sets fields that have names of their own
		}
		w.seen[noun+"."+name] = true
		dst := v.FieldByIndex(f.index)
		switch f.kind {
		case kindAttr:
			fmt.Fprintf(&w.out, "%s = %s\n", name, w.value(dst))
		case kindMap:
			m := rapid.MapOfN(rapid.StringMatching(`[A-Z][A-Z_a-z0-9]{0,5}`), anyText(0), 1, 3).Draw(w.t, name)
			dst.Set(reflect.ValueOf(m))
			open := []string{name + " {\n", name + " = {\n"}[rapid.IntRange(0, 1).Draw(w.t, "form")]
			w.out.WriteString(open)
			for k, e := range m {
				fmt.Fprintf(&w.out, "%s = %s\n", k, quote(e))
			}
			w.out.WriteString("}\n")
		case kindJSON:
			n := rapid.IntRange(1, 99).Draw(w.t, name)
			fmt.Fprintf(&w.out, "%s = { a = [%d, null], b = \"${NOMAD_X}\" }\n", name, n)
			dst.Set(reflect.ValueOf(json.RawMessage(fmt.Sprintf(`{"a":[%d,null],"b":"${NOMAD_X}"}`, n))))
		case kindBlock:
			w.blocks(f, dst)
		}
	}
}

func (w *writer) blocks(f *field, dst reflect.Value) {
	n := 1
	if dst.Kind() == reflect.Slice {
		n = rapid.IntRange(1, 2).Draw(w.t, f.name)
	}
	for range n {
		elem := reflect.New(f.typ.Elem()).Elem()
		w.out.WriteString(f.name)
		if l := schemas[f.name].label; l != nil {
			label := rapid.StringMatching(`[a-z][a-z-]{0,5}`).Draw(w.t, "label")
			elem.FieldByIndex(l.index).SetString(label)
			fmt.Fprintf(&w.out, " %q", label)
		}
		w.out.WriteString(" {\n")
		w.body(f.name, elem)
		w.out.WriteString("}\n")
		if dst.Kind() == reflect.Slice {
			dst.Set(reflect.Append(dst, elem))
		} else {
			dst.Set(elem.Addr())
		}
	}
}

// value sets a scalar or list to something random and returns it as HCL.
func (w *writer) value(dst reflect.Value) string {
	if dst.Kind() == reflect.Pointer {
		dst.Set(reflect.New(dst.Type().Elem()))
		return w.value(dst.Elem())
	}
	if dst.Type() == reflect.TypeFor[fleet.Duration]() {
		d := time.Duration(rapid.Int64().Draw(w.t, "duration"))
		dst.SetInt(int64(d))
		return quote(d.String())
	}
	switch dst.Kind() {
	case reflect.String:
		s := anyText(1).Draw(w.t, "string")
		dst.SetString(s)
		return quote(s)
	case reflect.Int:
		n := rapid.Int().Draw(w.t, "int")
		dst.SetInt(int64(n))
		return fmt.Sprint(n)
	case reflect.Bool:
		b := rapid.Bool().Draw(w.t, "bool")
		dst.SetBool(b)
		return fmt.Sprint(b)
	default:
		list := rapid.SliceOfN(anyText(0), 1, 3).Draw(w.t, "list")
		dst.Set(reflect.ValueOf(list))
		var parts []string
		for _, s := range list {
			parts = append(parts, quote(s))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
}

// quote writes any text as an HCL string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '$' || c == '%':
			fmt.Fprintf(&b, `\u%04x`, c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\U%08x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Every tagged field can be set from a job file, and is what was written.
func TestEveryFieldCanBeWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := &fleet.Job{}
		w := &writer{t: t, seen: map[string]bool{}, all: rapid.IntRange(0, 4).Draw(t, "all") == 0}
		w.body("job", reflect.ValueOf(want).Elem())
		if want.ID == "" {
			want.ID = "label"
		}
		if want.Name == "" {
			want.Name = "label"
		}
		for _, g := range want.TaskGroups {
			for i := range g.Networks {
				g.Networks[i].SortPorts()
			}
		}
		src := "job \"label\" {\n" + w.out.String() + "}\n"
		res, diags := Parse("x.hcl", []byte(src), Options{})
		if diags.HasErrors() {
			t.Fatalf("%s\n%s", diags, src)
		}
		if diff := cmp.Diff(normal(t, want), normal(t, res.Job)); diff != "" {
			t.Fatalf("%s\n%s", diff, src)
		}
		if !w.all {
			return
		}
		pool := &fleet.NodePool{Name: "pool"}
		w.out.Reset()
		w.body("node_pool", reflect.ValueOf(pool).Elem())
		got, diags := ParseNodePool("x.hcl", []byte("node_pool \"pool\" {\n"+w.out.String()+"}\n"))
		if diags.HasErrors() {
			t.Fatalf("%s\n%s", diags, w.out.String())
		}
		if diff := cmp.Diff(normal(t, pool), normal(t, got)); diff != "" {
			t.Fatal(diff)
		}
		for noun, s := range schemas {
			for name := range s.fields {
				if !w.seen[noun+"."+name] {
					t.Fatalf("%s.%s was not written", noun, name)
				}
			}
		}
	})
}

// normal is a noun's JSON.
func normal(t *rapid.T, j any) string {
	b, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// anyText is any text of at least so many characters, in the form NFC, to which HCL normalises what it reads. What is compared is no place
// to do that: JSON writes > as an escape, which a character that belongs to it does not join.
func anyText(least int) *rapid.Generator[string] {
	return rapid.Map(rapid.StringN(least, 8, -1), norm.NFC.String)
}

// TestTextIsNormalised: both ways to write one text are one text.
func TestTextIsNormalised(t *testing.T) {
	for written, want := range map[string]string{"e\u0301": "\u00e9", ">\u0338": "\u226f", "\u212b": "\u00c5", "\u1100\u1161": "\uac00"} {
		res, diags := Parse("x.hcl", fmt.Appendf(nil, "job \"label\" {\n  meta {\n    a = %s\n  }\n}\n", quote(written)), Options{})
		if diags.HasErrors() || res.Job.Meta["a"] != want {
			t.Errorf("%q is read as %q, want %q: %s", written, res.Job.Meta["a"], want, diags)
		}
	}
}
