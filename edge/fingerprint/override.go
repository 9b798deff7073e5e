package fingerprint

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Overrides are facts that the configuration knows better than the probe, in the
// form that [CheckOverride] returns. An empty value says that the device does not
// have the attribute.
type Overrides map[string]string

// byteUnits are the endings that a number of bytes may have in a configuration.
var byteUnits = []struct {
	suffix string
	factor int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}}

// CheckOverride refuses a name that is no fact and a value that the fact cannot
// have, and returns the value as it is shown: numbers of bytes without their
// unit. The empty value is allowed for what scheduling can do without.
func CheckOverride(name, value string) (string, error) {
	f := factNamed(name)
	switch {
	case f == nil && strings.HasPrefix(name, "attr."):
		return "", fmt.Errorf("leave out the \"attr.\" of %q", name)
	case f == nil:
		return "", fmt.Errorf("there is no fact %q%s; values of your own belong in client { meta }", name, nearestFact(name))
	case f.fixed:
		return "", fmt.Errorf("%s cannot be overridden: it speaks about the agent itself", name)
	case len(value) > fleet.NodeAttributeBytesMax:
		return "", fmt.Errorf("%s has %d bytes; at most %d are allowed", name, len(value), fleet.NodeAttributeBytesMax)
	case value == "" && scheduledBy(name):
		return "", fmt.Errorf("%s is empty, and the region cannot place work without it; write the true value, or leave the line out to use the probe", name)
	case value == "":
		return "", nil
	}
	return f.check(value)
}

// scheduledBy says whether the room of the node comes from the fact.
func scheduledBy(name string) bool {
	return slices.Contains([]string{"cpu.numcores", "cpu.frequency", "cpu.totalcompute", "memory.totalbytes"}, name)
}

func (f *Fact) check(value string) (string, error) {
	switch f.kind {
	case yesNo:
		if value != "true" && value != "false" {
			return "", fmt.Errorf("%s = %q: write \"true\" or \"false\"", f.Name, value)
		}
	case word:
		if !slices.Contains(f.words, value) {
			return "", fmt.Errorf("%s = %q: use one of %s", f.Name, value, strings.Join(f.words, ", "))
		}
	case number, byteCount:
		return f.checkNumber(value)
	}
	if value != clean(value) {
		return "", fmt.Errorf("%s = %q: use printable text without spaces around it", f.Name, value)
	}
	return value, nil
}

func (f *Fact) checkNumber(value string) (string, error) {
	digits, factor, hint := value, int64(1), ""
	if f.kind == byteCount {
		hint = " (bytes, or with KiB, MiB, GiB or TiB)"
		for _, u := range byteUnits {
			if rest, ok := strings.CutSuffix(value, u.suffix); ok {
				digits, factor = strings.TrimSpace(rest), u.factor
			}
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%s = %q is not a whole number%s", f.Name, value, hint)
	}
	if n > math.MaxInt64/factor || n*factor < f.min || n*factor > f.max {
		return "", fmt.Errorf("%s = %q is out of range; use %d to %d%s", f.Name, value, f.min, f.max, hint)
	}
	return strconv.FormatInt(n*factor, 10), nil
}

// nearestFact suggests a name that differs from the wanted one in its ending or
// in a letter or two.
func nearestFact(name string) string {
	best, least := "", 4
	for _, f := range Facts {
		if f.fixed {
			continue
		}
		if d := distance(name, f.Name); d < least {
			best, least = f.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of letters to insert, drop or change (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			corner, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, corner+cost)
		}
	}
	return row[len(b)]
}
