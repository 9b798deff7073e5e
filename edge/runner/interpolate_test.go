package runner

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/fleet"
)

func known() lookup {
	node := &fleet.Node{
		ID: "n1", Name: "shop-7", Datacenter: "berlin", NodeClass: "pi",
		Attributes: map[string]string{"cpu.arch": "arm64"}, Meta: map[string]string{"floor": "2"},
	}
	return references(node, "eu", map[string]string{"NOMAD_JOB_ID": "web", "GREETING": "hi"})
}

func TestInterpolate(t *testing.T) {
	for in, want := range map[string]string{
		"":                               "",
		"plain $x {y}":                   "plain $x {y}",
		"${node.datacenter}":             "berlin",
		"${ node.class }!":               "pi!",
		"${node.unique.name}":            "shop-7",
		"${node.region}":                 "eu",
		"${attr.cpu.arch}-${meta.floor}": "arm64-2",
		"${NOMAD_JOB_ID}":                "web",
		`${env["GREETING"]}`:             "hi",
		"${env.GREETING}":                "hi",
		"$${node.class}":                 "${node.class}",
		"a$${b}${meta.floor}":            "a${b}2",
	} {
		if got, err := interpolate(in, known()); err != nil || got != want {
			t.Errorf("%q gave %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"x${attr.gpu}": "${attr.gpu} is not known",
		"${}":          "${} is not known",
		"${node.class": "without }",
		"${HOME}":      "${HOME} is not known",
	} {
		if got, err := interpolate(in, known()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %q, %v; want an error with %q", in, got, err, want)
		}
	}
}

func TestInterpolateJSON(t *testing.T) {
	raw := json.RawMessage(`{"args":["<${meta.floor}>",{"deep":"${node.class}"}],"${key}":1,"n":12345678901234567890}`)
	got, err := interpolateJSON(raw, known())
	if want := `{"${key}":1,"args":["<2>",{"deep":"pi"}],"n":12345678901234567890}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	plain := json.RawMessage(`{"b":1, "a":2}`)
	if got, err := interpolateJSON(plain, known()); err != nil || string(got) != string(plain) {
		t.Errorf("a document without references became %s, %v", got, err)
	}
}

func TestInterpolateNeverLosesText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a-z$ {}]{0,12}`).Draw(t, "s")
		if got, err := interpolate(strings.ReplaceAll(s, "${", "$${"), known()); !strings.Contains(s, "$${") && (err != nil || got != s) {
			t.Fatalf("%q came back as %q, %v", s, got, err)
		}
	})
}
