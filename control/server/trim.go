package server

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Memory that a storm leaves behind. The collector keeps what a thousand handshakes a second needed for a long time, as the
// next may come; on a machine that does other things besides, that is half of the server.
const (
	TrimEvery   = 20 * time.Second
	TrimMin     = 32 << 20 // bytes to gain; less is not worth a collection
	TrimPercent = 15       // of the heap, likewise
	QuietBytes  = 64 << 20 // allocated within TrimEvery: beyond, the server is at work and uses what it has
)

// footprint is what the runtime says of the heap, in bytes.
type footprint struct{ live, unused, allocated uint64 }

func (f footprint) worth(before footprint) bool {
	return f.allocated-before.allocated < QuietBytes && f.unused >= TrimMin && f.unused*100 >= TrimPercent*(f.live+f.unused)
}

// trim gives memory back when the server has become quiet, until ctx ends.
func trim(ctx context.Context) error {
	tick := time.NewTicker(TrimEvery)
	defer tick.Stop()
	before := measure()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		now := measure()
		if now.worth(before) {
			debug.FreeOSMemory()
			now = measure()
		}
		before = now
	}
}

// measure reads counters, which stops nobody.
func measure() footprint {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(s)
	live, objects, free := s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()
	return footprint{live: live, unused: free + max(objects, live) - live, allocated: s[3].Value.Uint64()}
}
