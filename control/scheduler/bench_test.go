package scheduler

import (
	"fmt"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func BenchmarkSchedule(b *testing.B) {
	for _, nodes := range []int{1000, 5000} {
		for _, count := range []int{300, 1200} {
			b.Run(fmt.Sprintf("nodes=%d/count=%d", nodes, count), func(b *testing.B) {
				r := newRegion(b)
				r.nodes(nodes)
				r.job(func(j *fleet.Job) {
					j.TaskGroups[0].Count = &count
					j.Constraints = []fleet.Constraint{{LTarget: "${attr.cpu.arch}", RTarget: "amd64"}}
				})
				in := r.input(r.eval(fleet.TriggerJobRegister))
				b.ReportAllocs()
				for b.Loop() {
					in.Seed[0]++
					out := Schedule(in)
					if got := len(out.Plan.Groups[0].IDs); got != count {
						b.Fatalf("placed %d of %d", got, count)
					}
				}
				b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "placements/s")
			})
		}
	}
}
