package main

import (
	"context"
	"os"
	"time"
)

const commandRepeats = 21

// commandTimes measures what people and scripts start most often.
func commandTimes(ctx context.Context, r *rig) (*report, error) {
	if _, err := r.hello(ctx); err != nil {
		return nil, err
	}
	job, err := os.ReadFile("examples/hello/app.hcl")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.path("app.hcl"), job, 0o600); err != nil {
		return nil, err
	}
	rep := &report{}
	for _, m := range []struct {
		figure
		args []string
	}{
		{figure{Name: "version", Target: 10}, []string{"version"}},
		{figure{Name: "validate", Target: 15, Conditions: "examples/hello/app.hcl, its module beside it"}, []string{"validate", r.path("app.hcl")}},
	} {
		var took []float64
		for range commandRepeats {
			begin := time.Now()
			if _, err := r.command(ctx, m.args...); err != nil {
				return nil, err
			}
			took = append(took, millis(time.Since(begin)))
		}
		m.figure.Value, m.figure.Unit = median(took), "ms"
		rep.add(m.figure)
	}
	rep.condition("wall time of one process, start and end included; median of %d", commandRepeats)
	return rep, nil
}
