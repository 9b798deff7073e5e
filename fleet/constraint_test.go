package fleet

import (
	"strings"
	"testing"
)

func TestConstraintMode(t *testing.T) {
	for mode, want := range map[string]struct{ canonical, refusal string }{
		"": {}, "place": {}, "always": {canonical: "always"}, "ever": {"ever", "unknown mode \"ever\""},
	} {
		j := &Job{ID: "a", Constraints: []Constraint{{LTarget: "${attr.power.source}", RTarget: "mains", Mode: mode}},
			TaskGroups: []TaskGroup{{Name: "g", Tasks: []Task{{Name: "t", Driver: "wasm"}}}}}
		Canonicalize(j)
		if got := j.Constraints[0].Mode; got != want.canonical {
			t.Errorf("%q became %q", mode, got)
		}
		text := ""
		if err := Validate(j, nil).Err(); err != nil {
			text = err.Error()
		}
		if (want.refusal != "") != strings.Contains(text, "Constraints[0].Mode") || !strings.Contains(text, want.refusal) {
			t.Errorf("%q: %s", mode, text)
		}
	}
}

func TestAlwaysConstraints(t *testing.T) {
	at := func(l string) []Constraint {
		return []Constraint{{LTarget: l, Mode: ConstraintAlways}, {LTarget: "placed"}}
	}
	j := &Job{Constraints: at("job"), TaskGroups: []TaskGroup{
		{Constraints: at("group"), Tasks: []Task{{}, {Constraints: at("task")}}}, {Constraints: at("last")},
	}}
	var all []string
	for c := range j.AlwaysConstraints() {
		all = append(all, c.LTarget)
	}
	if got := strings.Join(all, " "); got != "job group task last" {
		t.Errorf("got %s", got)
	}
	for n := 1; n < len(all); n++ { // a loop may end anywhere
		seen := 0
		for range j.AlwaysConstraints() {
			if seen++; seen == n {
				break
			}
		}
		if seen != n {
			t.Errorf("saw %d of %d", seen, n)
		}
	}
}

func TestMentions(t *testing.T) {
	is := func(want string) func(string) bool { return func(s string) bool { return s == want } }
	for _, tc := range []struct {
		left, right, kind, name string
		want                    bool
	}{
		{"${attr.power.source}", "mains", "attr", "power.source", true},
		{"5", "${attr.power.source}", "attr", "power.source", true},
		{"${attr.power.source}", "mains", "attr", "power", false},
		{"${meta.power.source}", "mains", "attr", "power.source", false},
		{"${meta.shop}", "7", "meta", "shop", true},
		{"${attr.power.source", "mains", "attr", "power.source", false},
	} {
		if got := (Constraint{LTarget: tc.left, RTarget: tc.right}).Mentions(tc.kind, is(tc.name)); got != tc.want {
			t.Errorf("%+v: got %t", tc, got)
		}
	}
}
