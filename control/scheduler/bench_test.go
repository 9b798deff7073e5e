package scheduler

import (
	"fmt"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

// BenchmarkSpread is the same with one spread over three sites, and with one over
// the nodes themselves, which has as many values as there are nodes.
func BenchmarkSpread(b *testing.B) {
	for _, attribute := range []string{"${node.datacenter}", "${node.unique.name}"} {
		for _, count := range []int{300, 1000} {
			b.Run(fmt.Sprintf("over=%s/nodes=1000/count=%d", attribute, count), func(b *testing.B) {
				r := newRegion(b)
				for i := range 1000 {
					r.node(fmt.Sprintf("n%d", i), func(n *fleet.Node) { n.Datacenter = fmt.Sprintf("dc%d", i%3) })
				}
				r.job(func(j *fleet.Job) {
					j.TaskGroups[0].Count = &count
					j.Spreads = []fleet.Spread{{Attribute: attribute}}
				})
				in := r.input(r.eval(fleet.TriggerJobRegister))
				b.ReportAllocs()
				for b.Loop() {
					in.Seed[0]++
					if got := len(Schedule(in).Plan.Groups[0].IDs); got != count {
						b.Fatalf("placed %d of %d", got, count)
					}
				}
				b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "placements/s")
			})
		}
	}
}

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

// BenchmarkDevices is what a job costs that asks each node for one of two kinds of
// device and likes one more than the other.
func BenchmarkDevices(b *testing.B) {
	for _, nodes := range []int{1000, 5000} {
		b.Run(fmt.Sprintf("nodes=%d/count=300", nodes), func(b *testing.B) {
			r := newRegion(b)
			for i := range nodes {
				r.node(fmt.Sprintf("n%d", i), func(n *fleet.Node) {
					cameras("near", "n0", "n1")(n)
					cameras("far", "f0")(n)
					n.Attributes["serial.ports"] = "ttyS0,ttyUSB0"
				})
			}
			r.job(wantDevices(300, fleet.RequestedDevice{
				Name: "camera", Affinities: []fleet.Affinity{{LTarget: "${device.attr.model}", RTarget: "far"}},
			}))
			in := r.input(r.eval(fleet.TriggerJobRegister))
			b.ReportAllocs()
			for b.Loop() {
				in.Seed[0]++
				if got := len(Schedule(in).Plan.Groups[0].IDs); got != 300 {
					b.Fatalf("placed %d of 300", got)
				}
			}
			b.ReportMetric(300*float64(b.N)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}
