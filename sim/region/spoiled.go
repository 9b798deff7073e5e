package region

import (
	"github.com/dunlin-edge/dunlin/control/scheduler"
	"github.com/dunlin-edge/dunlin/control/scheduler/reconcile"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// spoiled are strategies with a bug of the scheduler in them; nil: the real ones.
func spoiled(b Bug) scheduler.Strategies {
	if see := misread[b]; see != nil {
		return misreading(see)
	}
	spoil := map[Bug]func(*reconcile.Input, *reconcile.Result){
		BugTwiceOnNode: func(_ *reconcile.Input, r *reconcile.Result) {
			for i := range r.Groups {
				if p := r.Groups[i].Place; len(p) > 0 && p[0].Prev == nil {
					r.Groups[i].Place = append(p, p[0])
				}
			}
		},
		BugNodeLeftOut: func(_ *reconcile.Input, r *reconcile.Result) {
			for i := range r.Groups {
				if p := r.Groups[i].Place; len(p) > 0 && !p[len(p)-1].Replace {
					r.Groups[i].Place = p[:len(p)-1]
				}
			}
		},
		BugStopOnLost: func(_ *reconcile.Input, r *reconcile.Result) { r.Stops, r.Unknown = append(r.Stops, r.Unknown...), nil },
		BugShareForgotten: func(_ *reconcile.Input, r *reconcile.Result) {
			for i := range r.Groups {
				r.Groups[i].Keep = nil // what to place is decided already
			}
		},
		BugStepTooLarge: func(in *reconcile.Input, r *reconcile.Result) {
			for i := range r.Groups {
				g := &r.Groups[i]
				kept := g.Keep[:0]
				for _, a := range g.Keep {
					if g.Later > 0 && a.Version != in.Job.Current() {
						g.Place = append(g.Place, reconcile.Place{Index: a.Index, Prev: a, Replace: true, Node: a.Node})
					} else {
						kept = append(kept, a)
					}
				}
				g.Keep = kept
			}
		},
	}[b]
	if spoil == nil {
		return nil
	}
	all := scheduler.Builtin()
	for _, t := range spoiledTypes(b) {
		real := all[t]
		all = all.With(t, func(in reconcile.Input) reconcile.Result {
			r := real(in)
			spoil(&in, &r)
			return r
		})
	}
	return all
}

// misread are bugs that see the region otherwise than it is.
var misread = map[Bug]func(*reconcile.Input){
	BugHealthIgnored: func(in *reconcile.Input) { // all reports came long ago
		rows := in.Allocs
		in.Allocs = make([]*state.Alloc, len(rows))
		for i, a := range rows {
			c := *a
			if c.Observed == state.ObservedRunning {
				c.ModifyTime = 0
			}
			in.Allocs[i] = &c
		}
	},
	BugCanariesIgnored: func(in *reconcile.Input) {
		if in.Deployment != nil && !in.Deployment.Holds() {
			in.Deployment = nil
		}
	},
	BugCanaryTooMany: func(in *reconcile.Input) { otherwise(in, fleet.DeploymentFailed, 3) },
	BugPauseIgnored:  func(in *reconcile.Input) { otherwise(in, fleet.DeploymentRunning, 0) },
}

// otherwise has a deployment that holds back be in another state, with more canaries.
func otherwise(in *reconcile.Input, status string, more int) {
	if in.Deployment == nil {
		return
	}
	d := *in.Deployment
	if d.Holds() {
		d.Status = status
	}
	d.TaskGroups = map[string]*fleet.DeploymentState{}
	for name, s := range in.Deployment.TaskGroups {
		c := *s
		if c.DesiredCanaries > 0 {
			c.DesiredCanaries += more
		}
		d.TaskGroups[name] = &c
	}
	in.Deployment = &d
}

func misreading(see func(*reconcile.Input)) scheduler.Strategies {
	all := scheduler.Builtin()
	for _, t := range []string{fleet.JobTypeService, fleet.JobTypeSystem} {
		real := all[t]
		all = all.With(t, func(in reconcile.Input) reconcile.Result {
			see(&in)
			return real(in)
		})
	}
	return all
}

func spoiledTypes(b Bug) []string {
	if b == BugStepTooLarge {
		return []string{fleet.JobTypeService, fleet.JobTypeSystem}
	}
	if b == BugShareForgotten {
		return []string{fleet.JobTypeService, fleet.JobTypeBatch}
	}
	return []string{fleet.JobTypeSystem, fleet.JobTypeSysBatch}
}
