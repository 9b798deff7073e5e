package command

import (
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// counter counts what is written.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

var _ io.Writer = (*counter)(nil)

// BenchmarkMillion fills a region with 1,000,000 allocations of 1,000 jobs on 5,000 nodes, through the commands of the log, and tells
// what a row costs: live bytes of the heap when placed and when its device has told that it runs, and what views and checkpoints take.
func BenchmarkMillion(b *testing.B) {
	const nodes, jobs, each = 5_000, 1_000, 1_000
	for b.Loop() {
		f := filler{b: b, store: state.New()}
		keys := make([]state.NodeKey, nodes)
		for i := range keys {
			keys[i] = f.apply(NodeRegister{ID: serial(1, i), Spec: nodeSpec("n", 100_000), Addr: "a:1", At: 10}).(NodeRegistered).Key
		}
		for i := range jobs {
			f.apply(JobRegister{Spec: jobSpec(fleet.JobID("job-"+serial(2, i).String()), "batch", each, 20), EvalID: serial(3, i), At: 1000})
		}
		empty := live()
		for i := range jobs {
			g := Placements{Nodes: make([]state.NodeKey, each), Names: make([]uint32, each), IDs: make([]fleet.UUID, each)}
			for k := range each {
				n := i*each + k
				g.Nodes[k], g.Names[k], g.IDs[k] = keys[n%nodes], uint32(k), serial(4, n)
			}
			f.apply(Plan{Namespace: "default", Job: fleet.JobID("job-" + serial(2, i).String()), At: 2000, Groups: []Placements{g}})
		}
		b.ReportMetric(float64(live()-empty)/(jobs*each), "B/placed")
		for i := range nodes {
			s := NodeStatuses{Node: serial(1, i)}
			for n := i; n < jobs*each; n += nodes {
				at := int64(3_000_000_000 + n)
				s.Allocs = append(s.Allocs, wire.AllocStatus{ID: serial(4, n), Status: fleet.ClientRunning, Tasks: []wire.TaskStatus{{
					Name: "t", ObservedTask: fleet.ObservedTask{State: fleet.TaskRunning, StartedAt: at, Events: []fleet.CodedEvent{
						{Code: fleet.EventReceived, Time: at}, {Code: fleet.EventSetup, Time: at}, {Code: fleet.EventStarted, Time: at},
					}},
				}}})
			}
			if r := f.apply(Statuses{At: 3_100_000_000, Nodes: []NodeStatuses{s}}).(StatusesApplied); r.Dropped > 0 || r.Changed != len(s.Allocs) {
				b.Fatalf("of %d reports %d changed a row", len(s.Allocs), r.Changed)
			}
		}
		b.ReportMetric(float64(live()-empty)/(jobs*each), "B/running")
		v := f.store.View()
		begin, c := time.Now(), &counter{}
		if err := v.WriteCheckpoint(c); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "s/checkpoint")
		b.ReportMetric(float64(c.n)/(jobs*each), "B/checkpointed")
		begin = time.Now()
		for range 1000 {
			v = f.store.View()
		}
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/1000, "ns/view")
		runtime.KeepAlive(v)
	}
}

// filler applies commands without the checks that tests make after each.
type filler struct {
	b     *testing.B
	store *state.Store
	index uint64
}

func (f *filler) apply(c Command) any {
	f.index++
	txn := f.store.Begin()
	r, err := Apply(txn, f.index, Encode(c))
	if err != nil {
		f.b.Fatalf("%T: %v", c, err)
	}
	txn.Commit(f.index)
	return r
}

// serial is an ID of a kind that spreads over the tree like a drawn one.
func serial(kind byte, n int) (id fleet.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(n+1)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint32(id[8:12], uint32(n))
	id[15] = kind
	return id
}

// live is what of the heap is in use.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
