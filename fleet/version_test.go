package fleet

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSemverMatches(t *testing.T) {
	for _, tc := range []struct {
		v, constraint string
		want          bool
	}{
		{"1.2.3", ">= 1.2.3, < 2.0.0", true},
		{"1.3.0-beta1", ">= 0.6.1", true},
		{"1.3.0-beta.2", "> 1.3.0-beta.10", false}, // numbers by value
		{"1.3.0-beta.2", "< 1.3.0", true},
		{"1.2.3+b1", "1.2.3+b2", true}, // build metadata orders nothing
		{"1.2.3.4", "> 1.0.0", false},
		{"1.2.3", "~> 1.2", false},
		{"new", "> 1.0.0", false},
	} {
		if got := SemverMatches(tc.v, tc.constraint); got != tc.want {
			t.Errorf("%q against %q: %v", tc.v, tc.constraint, got)
		}
	}
}

func TestVersionMatches(t *testing.T) {
	for _, tc := range []struct {
		v, constraint string
		want          bool
	}{
		{"1.2.3", "1.2.3", true},
		{"1.2", "= 1.2.0", true},
		{"v1.2.3", "=1.2.3", true},
		{"1.2.3+build.5", "1.2.3", true},
		{"1.2.4", "!= 1.2.3", true},
		{"1.10", "> 1.9", true},
		{"5.10.0-21-amd64", ">= 5.10", false}, // a pre-release of 5.10.0, as semver has it
		{"5.10.0-21-amd64", "> 5.9", true},
		{"1.5", ">= 1.2, < 2.0", true},
		{"2.0", ">= 1.2, < 2.0", false},
		{"1.4.9", "~> 1.4", true},
		{"1.9", "~> 1.4", true},
		{"2.0", "~> 1.4", false},
		{"1.4.9", "~> 1.4.2", true},
		{"1.5.0", "~> 1.4.2", false},
		{"1.3", "~> 1.4", false},
		{"x", ">= 1", false},
		{"", ">= 0", false},
		{"1.0", "nonsense", false},
		{"1.0", "", false},
		{"1.0", ">= 1,", false},
		{"1.0", "=> 1", false},
		{"1.2.3.4.5.6.7.8", "> 1", true},
		{"1.2.3.4.5.6.7.8.9", "> 1", false},
	} {
		if got := VersionMatches(tc.v, tc.constraint); got != tc.want {
			t.Errorf("%q against %q: %v", tc.v, tc.constraint, got)
		}
	}
}

// The order that semver 2.0 gives as its example, and some more.
func TestVersionOrder(t *testing.T) {
	order := []string{
		"0.9", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
		"1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10", "2",
	}
	for i, a := range order {
		for k, b := range order {
			if got := VersionMatches(a, "< "+b); got != (i < k) {
				t.Errorf("%s < %s is %v", a, b, got)
			}
			if got := VersionMatches(a, "= "+b); got != (i == k) {
				t.Errorf("%s = %s is %v", a, b, got)
			}
		}
	}
}

// Operators agree with each other about any two versions.
func TestVersionOperatorsAgree(t *testing.T) {
	gen := rapid.StringMatching(`[0-3](\.[0-3]){0,2}(-(a|b|1|2)(\.(a|1))?)?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		lt, eq, gt := VersionMatches(a, "<"+b), VersionMatches(a, "="+b), VersionMatches(a, ">"+b)
		if n := btoi(lt) + btoi(eq) + btoi(gt); n != 1 {
			t.Fatalf("%s and %s: < %v, = %v, > %v", a, b, lt, eq, gt)
		}
		if VersionMatches(a, "<="+b) != (lt || eq) || VersionMatches(a, ">="+b) != (gt || eq) || VersionMatches(a, "!="+b) == eq {
			t.Fatalf("%s and %s: operators disagree", a, b)
		}
		if VersionMatches(b, ">"+a) != lt {
			t.Fatalf("%s and %s: not the same from the other side", a, b)
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func FuzzVersion(f *testing.F) {
	f.Add("1.2.3", ">= 1.2, < 2.0")
	f.Add("v1-a.1+x", "~> 1.4.0-beta")
	f.Add("", ",")
	f.Fuzz(func(t *testing.T, v, c string) {
		if VersionMatches(v, c) && CheckVersionConstraint(c) != nil {
			t.Fatalf("%q matches %q, which is no constraint", v, c)
		}
	})
}
