package fleet

import (
	"fmt"
	"time"
)

// What becomes of an allocation and its replacement when its device is back.
const (
	ReconcileBestScore       = "best_score"
	ReconcileLongestRunning  = "longest_running"
	ReconcileKeepOriginal    = "keep_original"
	ReconcileKeepReplacement = "keep_replacement"
)

// StopOnClientAfterMin is the shortest time after which a device may stop work for
// want of contact: below, every pause of a link would.
const StopOnClientAfterMin = 10 * time.Second

// Disconnect says how a group fares while its device has no link.
type Disconnect struct {
	// LostAfter is how long a device may be away before the group's allocations on
	// it are replaced; nil or shorter than the region's own limit: that limit.
	LostAfter *Duration `json:",omitempty" hcl:"lost_after" change:"inplace"`
	// StopOnClientAfter is how long a device without contact lets them run; nil: for
	// ever.
	StopOnClientAfter *Duration `json:",omitempty" hcl:"stop_on_client_after" change:"inplace"`
	// Replace is whether there are replacements at all. Without them an allocation
	// never runs beside its successor: that one waits until the end is known.
	Replace   *bool   `hcl:"replace" change:"inplace"`
	Reconcile *string `hcl:"reconcile" change:"inplace"`
}

func canonicalDisconnect(d *Disconnect) {
	if d == nil {
		return
	}
	setDefaultPtr(&d.Replace, true)
	setDefaultPtr(&d.Reconcile, ReconcileBestScore)
	setDefault(d.Reconcile, ReconcileBestScore) // clients send "" for what was not written
}

// Replaced reports whether allocations of the group are replaced while their
// device is away. Canonicalize must have run.
func (g *TaskGroup) Replaced() bool { return g.Disconnect == nil || *g.Disconnect.Replace }

// LostAfter is how long the group lets a device be away; 0: as the region does.
func (g *TaskGroup) LostAfter() time.Duration {
	if g.Disconnect == nil {
		return 0
	}
	return Or(g.Disconnect.LostAfter, 0).Std()
}

// StopAfter is how long the group runs on a device without contact; 0: for ever.
func (g *TaskGroup) StopAfter() time.Duration {
	if g.Disconnect == nil {
		return 0
	}
	return Or(g.Disconnect.StopOnClientAfter, 0).Std()
}

func (c *checker) disconnect(path string, g *TaskGroup) {
	d := g.Disconnect
	if d == nil {
		return
	}
	c.duration(path+".LostAfter", Or(d.LostAfter, 0))
	if d.StopOnClientAfter != nil {
		c.duration(path+".StopOnClientAfter", *d.StopOnClientAfter)
		if n := d.StopOnClientAfter.Std(); n >= 0 && n < StopOnClientAfterMin {
			c.refuse(path+".StopOnClientAfter", fmt.Sprintf("%s is shorter than many a pause of a link", n),
				fmt.Sprintf("use at least %s, or leave it out", StopOnClientAfterMin))
		}
		if l := g.LostAfter(); g.Replaced() && l > 0 && d.StopOnClientAfter.Std() > l {
			c.warn(path+".StopOnClientAfter", fmt.Sprintf("a device stops its work %s after it lost contact, and the replacement starts after %s: both run in between",
				d.StopOnClientAfter, l))
		}
	}
	if d.LostAfter != nil && !*d.Replace {
		c.warn(path+".LostAfter", "it has no meaning with replace = false: nothing is replaced")
	}
	switch *d.Reconcile {
	case ReconcileBestScore, ReconcileLongestRunning, ReconcileKeepOriginal, ReconcileKeepReplacement:
	default:
		c.refuse(path+".Reconcile", fmt.Sprintf("unknown word %q", *d.Reconcile),
			"use best_score, longest_running, keep_original or keep_replacement")
	}
}
