package jobspec

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// DiagnosticsMax bounds what one call reports; more are counted, not shown.
const DiagnosticsMax = 50

// sourceLineMax bounds the shown source line, in bytes.
const sourceLineMax = 160

// Diagnostic is one thing wrong, or worth a warning, at a place in a file.
type Diagnostic struct {
	File    string
	Line    int    // from 1; 0 = the file as a whole
	Column  int    // from 1, in characters
	Message string // what is wrong, with the value
	Hint    string `json:",omitempty"` // what to do
	Source  string `json:",omitempty"` // the line
	Warning bool   `json:",omitempty"` // the job may still be registered
}

// String formats d on one line: "app.hcl:12: message; hint".
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d", d.Line)
	}
	b.WriteString(": ")
	if d.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(d.Message)
	if d.Hint != "" {
		b.WriteString("; " + d.Hint)
	}
	return b.String()
}

// Diagnostics is everything there is to say about a file, in its order.
type Diagnostics []Diagnostic

// HasErrors reports whether there is more than warnings.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if !d.Warning {
			return true
		}
	}
	return false
}

// Err returns the errors as one error, or nil when there are only warnings.
func (ds Diagnostics) Err() error {
	var wrong Diagnostics
	for _, d := range ds {
		if !d.Warning {
			wrong = append(wrong, d)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.TrimSuffix(wrong.String(), "\n"))
}

// String formats all of them, each with its source line below.
func (ds Diagnostics) String() string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(d.String() + "\n")
		if d.Source != "" {
			fmt.Fprintf(&b, "%6d | %s\n", d.Line, d.Source)
		}
	}
	return b.String()
}

// report collects diagnostics against one or more sources.
type report struct {
	sources map[string][]byte
	list    Diagnostics
	dropped int
}

func (r *report) at(rng hcl.Range, message, hint string) {
	if len(r.list) == DiagnosticsMax {
		r.dropped++
		return
	}
	r.list = append(r.list, Diagnostic{
		File: rng.Filename, Line: rng.Start.Line, Column: rng.Start.Column,
		Message: message, Hint: hint, Source: line(r.sources[rng.Filename], rng.Start),
	})
}

// hcl takes over what the hcl library says, in this package's form.
func (r *report) hcl(ds hcl.Diagnostics) {
	for _, d := range ds {
		rng := hcl.Range{}
		if d.Subject != nil {
			rng = *d.Subject
		}
		detail, hint := oneLine(d.Detail), ""
		switch d.Summary {
		case "Unknown variable":
			hint = "variables are var.NAME and local.NAME; write $${…} for the text itself, $$${…} where a task reads it (meta, env, config)"
		case "Unsupported attribute":
			if e, ok := d.Expression.(*hclsyntax.ScopeTraversalExpr); ok && len(e.Traversal) > 1 && e.Traversal.RootName() == "var" {
				r.at(rng, "the file declares no such variable", `write variable "NAME" { … } beside the job`)
				continue
			}
		}
		message := lowerFirst(d.Summary)
		if detail != "" {
			message += ": " + strings.TrimSuffix(detail, ".")
		}
		r.at(rng, message, hint)
	}
}

// all returns what was reported, each file's in the order of its lines: the
// decoder visits attributes before blocks.
func (r *report) all() Diagnostics {
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		if a.File != b.File {
			return 0
		}
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	if r.dropped > 0 {
		last := r.list[len(r.list)-1]
		return append(r.list, Diagnostic{File: last.File, Message: fmt.Sprintf("%d more problems", r.dropped)})
	}
	return r.list
}

// line returns the source line at pos, without control characters, so that a
// hostile file cannot drive a terminal.
func line(src []byte, pos hcl.Pos) string {
	if pos.Line == 0 || pos.Byte > len(src) {
		return ""
	}
	start := bytes.LastIndexByte(src[:pos.Byte], '\n') + 1
	text := src[start:]
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	return printable(string(bytes.TrimRight(text, "\r")))
}

func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == '\t' {
			return ' '
		}
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
	if len(s) > sourceLineMax {
		cut := sourceLineMax
		for !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func lowerFirst(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 || len(s) > 1 && unicode.IsUpper(rune(s[1])) {
		return s
	}
	return string(unicode.ToLower(c)) + s[n:]
}
