package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// Version comparison for the "version" operator: dotted numbers with an
// optional pre-release, compared number by number, as operators of the field
// know it. Own code because this package imports the standard library alone.

// CheckVersionConstraint says whether s is a comma-separated list of version
// bounds such as ">= 1.2, < 2.0" or "~> 1.4".
func CheckVersionConstraint(s string) error {
	_, err := parseBounds(s)
	return err
}

// VersionMatches reports whether version v satisfies the constraint. A value
// that is not a version satisfies nothing.
func VersionMatches(v, constraint string) bool {
	bounds, err := parseBounds(constraint)
	if err != nil {
		return false
	}
	have, err := parseVersion(v)
	if err != nil {
		return false
	}
	for _, b := range bounds {
		if !b.holds(have) {
			return false
		}
	}
	return true
}

// CheckSemverConstraint says whether s is a list of bounds as semantic versions
// have them: up to three numbers each, and no "~>".
func CheckSemverConstraint(s string) error {
	_, err := parseSemverBounds(s)
	return err
}

// SemverMatches reports whether v is a semantic version that satisfies the
// constraint. Pre-releases are ordered by semver 2.0, build metadata is ignored.
func SemverMatches(v, constraint string) bool {
	bounds, err := parseSemverBounds(constraint)
	if err != nil {
		return false
	}
	have, err := parseVersion(v)
	if err != nil || len(have.numbers) > semverNumbers {
		return false
	}
	for _, b := range bounds {
		if !b.holds(have) {
			return false
		}
	}
	return true
}

const semverNumbers = 3

func parseSemverBounds(s string) ([]bound, error) {
	bounds, err := parseBounds(s)
	if err != nil {
		return nil, err
	}
	for _, b := range bounds {
		switch {
		case b.op == "~>":
			return nil, fmt.Errorf("%q: semver knows no ~>, which the operator version does", s)
		case len(b.want.numbers) > semverNumbers:
			return nil, fmt.Errorf("%q: a semantic version has three numbers", s)
		}
	}
	return bounds, nil
}

type version struct {
	numbers []uint64
	pre     string
}

type bound struct {
	op   string
	want version
}

func parseBounds(s string) ([]bound, error) {
	var out []bound
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		op := strings.TrimRight(part[:len(part)-len(strings.TrimLeft(part, "<>=!~"))], " ")
		switch op {
		case "":
			op = "="
			if part == "" {
				return nil, fmt.Errorf("%q has an empty version bound", s)
			}
		case "=", "!=", "<", "<=", ">", ">=", "~>":
			part = part[len(op):]
		default:
			return nil, fmt.Errorf("%q is not a version operator", op)
		}
		v, err := parseVersion(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, bound{op, v})
	}
	return out, nil
}

func parseVersion(s string) (version, error) {
	core, _, _ := strings.Cut(strings.TrimPrefix(s, "v"), "+")
	core, pre, _ := strings.Cut(core, "-")
	var v version
	v.pre = pre
	for part := range strings.SplitSeq(core, ".") {
		n, err := strconv.ParseUint(part, 10, 63)
		if err != nil || len(v.numbers) == 8 {
			return version{}, fmt.Errorf("%q is not a version (want for example 1.2.3)", s)
		}
		v.numbers = append(v.numbers, n)
	}
	return v, nil
}

func (v version) at(i int) uint64 {
	if i < len(v.numbers) {
		return v.numbers[i]
	}
	return 0
}

func (v version) compare(w version) int {
	for i := range max(len(v.numbers), len(w.numbers)) {
		if a, b := v.at(i), w.at(i); a != b {
			if a < b {
				return -1
			}
			return 1
		}
	}
	switch { // a release is newer than its pre-releases
	case v.pre == w.pre:
		return 0
	case v.pre == "":
		return 1
	case w.pre == "":
		return -1
	}
	return comparePre(v.pre, w.pre)
}

// comparePre orders dotted pre-release identifiers: numbers by value and below
// words, words by bytes, and fewer identifiers first (semver 2.0, item 11).
func comparePre(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.ParseUint(as[i], 10, 63)
		y, errY := strconv.ParseUint(bs[i], 10, 63)
		switch {
		case errX == nil && errY == nil && x != y:
			if x < y {
				return -1
			}
			return 1
		case errX == nil && errY != nil:
			return -1
		case errX != nil && errY == nil:
			return 1
		case errX != nil && as[i] != bs[i]:
			return strings.Compare(as[i], bs[i])
		}
	}
	return len(as) - len(bs)
}

func (b bound) holds(have version) bool {
	c := have.compare(b.want)
	switch b.op {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	// "~> 1.4" allows the last given number to grow, and nothing before it.
	if c < 0 {
		return false
	}
	for i := range len(b.want.numbers) - 1 {
		if have.at(i) != b.want.at(i) {
			return false
		}
	}
	return true
}
