package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// One core, as the target says.
var schedulerArgs = []string{"test", "-run", "^$", "-bench", "BenchmarkSchedule$|BenchmarkSpread$", "-benchtime", "300ms", "-count", "3", "-cpu", "1", "./control/scheduler"}

var schedulerRow = regexp.MustCompile(`(?m)^Benchmark(?:Schedule|Spread)/(?:over=\$\{node\.([\w.]+)\}/)?nodes=(\d+)/count=(\d+)\S*\s.*?([\d.e+]+) placements/s`)

// schedulerTargets are rates of one core, by name.
var schedulerTargets = map[string]float64{
	"1000 nodes, 300 allocations":                       500_000,
	"1000 nodes, 300 allocations, spread by datacenter": 300_000,
}

// pureScheduler runs the scheduler's own benchmark and reads its rate.
func pureScheduler(ctx context.Context, _ *rig) (*report, error) {
	out, err := exec.CommandContext(ctx, "go", schedulerArgs...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w: %s", err, tail(out))
	}
	rep := &report{}
	rates, order := map[string][]float64{}, []string{}
	for _, row := range schedulerRow.FindAllStringSubmatch(string(out), -1) {
		rate, err := strconv.ParseFloat(row[4], 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", row[0], err)
		}
		name := row[2] + " nodes, " + row[3] + " allocations"
		if row[1] != "" {
			name += ", spread by " + row[1]
		}
		if rates[name] == nil {
			order = append(order, name)
		}
		rates[name] = append(rates[name], rate)
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("the benchmark told no rate: %s", tail(out))
	}
	for _, name := range order {
		rep.add(figure{Name: name, Value: median(rates[name]), Unit: "/s", AtLeast: true, Target: schedulerTargets[name]})
	}
	rep.condition("go test -bench in its own process, one core, one evaluation at a time; median of 3")
	return rep, nil
}
