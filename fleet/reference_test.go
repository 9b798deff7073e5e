package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// echo answers each reference by itself, and knows not those that hold a no.
func echo(text string) (string, error) {
	if strings.Contains(text, "no") {
		return "", fmt.Errorf("${%s} is not known", text)
	}
	return "<" + text + ">", nil
}

func TestInterpolate(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"plain $x {y}":       "plain $x {y}",
		"${a}":               "<a>",
		"${ a.b }!":          "<a.b>!",
		"${a}-${b}":          "<a>-<b>",
		`${env["A"]}`:        `<env["A"]>`,
		"$${no}":             "${no}",
		"$$${no}":            "$${no}",
		"a$${b}${c}":         "a${b}<c>",
		"${a}$${b":           "<a>${b",
		"$${${a}":            "${<a>",
		"it costs $5 {a} ${": "",
		"${node.class":       "",
		"x${no}":             "",
		"${a}${no.thing}":    "",
	} {
		got, err := Interpolate(in, echo)
		if fails := want == "" && in != ""; fails != (err != nil) || got != want {
			t.Errorf("%q gave %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := Interpolate("a ${b", echo); err == nil || !strings.Contains(err.Error(), `"${b" has ${ without }`) {
		t.Error(err)
	}
}

func TestInterpolateJSON(t *testing.T) {
	raw := json.RawMessage(`{"args":["${a}",{"deep":"<&${b}"}],"${key}":1,"n":12345678901234567890,"t":null}`)
	got, err := InterpolateJSON(raw, echo)
	if want := `{"${key}":1,"args":["<a>",{"deep":"<&<b>"}],"n":12345678901234567890,"t":null}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	plain := json.RawMessage(`{"b":1, "a":2}`)
	if got, err := InterpolateJSON(plain, echo); err != nil || string(got) != string(plain) {
		t.Errorf("a document without references became %s, %v", got, err)
	}
	for raw, want := range map[string]string{
		`{"args":["x",{"deep":["${no}"]}]}`: "args[1].deep[0]: ${no} is not known",
		`{"a":"${"`:                         "it is not JSON",
	} {
		if got, err := InterpolateJSON(json.RawMessage(raw), echo); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s gave %s, %v; want %q", raw, got, err, want)
		}
	}
}

func TestParseReference(t *testing.T) {
	for in, want := range map[string]Reference{
		"node.class":         {Kind: RefNode, Key: "class"},
		"attr.cpu.arch":      {Kind: RefAttr, Key: "cpu.arch"},
		"meta.a":             {Kind: RefMeta, Key: "a"},
		"env.A":              {Kind: RefEnv, Key: "A"},
		`env["A B"]`:         {Kind: RefEnv, Key: "A B"},
		"NOMAD_DC":           {Kind: RefEnv, Key: "NOMAD_DC", Bare: true},
		"HOME":               {Kind: RefEnv, Key: "HOME", Bare: true},
		"node":               {},
		"attr.":              {},
		`env["A]`:            {},
		`env[""]`:            {},
		"device.attr.memory": {},
		"x[0]":               {},
		"":                   {},
	} {
		if got := ParseReference(in); got != want {
			t.Errorf("%q is %+v; want %+v", in, got, want)
		}
	}
}

// Whatever is escaped comes back, and whatever is put in is not looked at again.
func TestInterpolateNeverLosesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-z$ {}]{0,12}`).Draw(t, "s")
		if got, err := Interpolate(strings.ReplaceAll(s, "${", "$${"), echo); !strings.Contains(s, "$${") && (err != nil || got != s) {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
		if got, err := Interpolate("[${x}]", func(string) (string, error) { return s, nil }); err != nil || got != "["+s+"]" {
			t.Fatalf("%q was put in as %q, %v", s, got, err)
		}
	})
}

// FuzzInterpolateJSON: a document of strangers ends as a document or an error.
func FuzzInterpolateJSON(f *testing.F) {
	for _, s := range []string{`"${a}"`, `{"a":["${no}"]}`, `{"a":"$${b}"}`, `[1e400,"${"]`, `{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if out, err := InterpolateJSON(json.RawMessage(s), echo); err == nil && strings.Contains(s, "${") && !json.Valid(out) {
			t.Fatalf("%q became %q", s, out)
		}
	})
}
