package cli

import (
	"fmt"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// writtenPairs says what a device has written to its disk, as lines of a status.
func writtenPairs(w *fleet.DiskWrites) []any {
	if w == nil {
		return nil
	}
	if w.Since.IsZero() {
		return []any{"Written to disk", "nothing yet"}
	}
	out := []any{"Written today", classes(w.Today)}
	if n := len(w.Days); n > 1 {
		var sum fleet.WriteClasses
		for _, d := range w.Days[1:] { // today is not over
			sum.Sum(d.WriteClasses)
		}
		out = append(out, "Written per day", fmt.Sprintf("%s on average of the %d days before", size(sum.All()/int64(n-1)), n-1))
	}
	return append(out, "Written in all", fmt.Sprintf("%s since %s", classes(w.Total), w.Since.Format("2006-01-02")))
}

// classes is a sum and what it is made of.
func classes(c fleet.WriteClasses) string {
	parts := []string{"state " + size(c.State), "logs " + size(c.Logs), "modules " + size(c.Modules)}
	if c.Other != nil {
		parts = append(parts, "other "+size(*c.Other))
	} else {
		parts = append(parts, "other unknown")
	}
	return fmt.Sprintf("%s (%s)", size(c.All()), strings.Join(parts, ", "))
}
