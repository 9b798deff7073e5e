package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

var stateArgs = []string{"test", "-run", "^$", "-bench", "BenchmarkMillion$", "-benchtime", "1x", "-timeout", "10m", "./control/command"}

// stateFigures are what the benchmark of the state tells, by the unit it has there.
var stateFigures = []struct {
	unit string
	is   figure
}{
	{"B/placed", figure{Name: "live heap per allocation, placed", Unit: "B", Target: 700}},
	{"B/running", figure{Name: "live heap per allocation, running", Unit: "B", Target: 700, Conditions: "with its device's report"}},
	{"ns/view", figure{Name: "a view of all", Unit: "ns"}},
	{"s/checkpoint", figure{Name: "a checkpoint of all", Unit: "s"}},
	{"B/checkpointed", figure{Name: "checkpoint per allocation", Unit: "B"}},
}

// stateRows runs the benchmark of the region's state and reads what a row costs.
func stateRows(ctx context.Context, _ *rig) (*report, error) {
	out, err := exec.CommandContext(ctx, "go", stateArgs...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w: %s", err, tail(out))
	}
	rep := &report{}
	for _, f := range stateFigures {
		m := regexp.MustCompile(`([\d.e+]+) ` + regexp.QuoteMeta(f.unit) + `\b`).FindSubmatch(out)
		if m == nil {
			return nil, fmt.Errorf("the benchmark told no %s: %s", f.unit, tail(out))
		}
		if f.is.Value, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			return nil, fmt.Errorf("%s: %w", f.unit, err)
		}
		rep.add(f.is)
	}
	rep.condition("1,000,000 allocations of 1,000 jobs on 5,000 nodes, in its own process, through the commands of the log; heap after a collection")
	return rep, nil
}
