package region

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	oneSeed  = flag.Int64("seed", -1, "replay this one seed, verbosely")
	seeds    = flag.Int("seeds", 0, "how many seeds to run (default 1000, with -short 100)")
	planted  = flag.String("bug", "", "with -seed: plant this bug")
	twiceOf  = 10 // every so many seeds one runs twice
	allSeeds = 1000
	bugSeeds = 200 // within which each planted bug is found
)

// TestMain trades memory for time: a simulation leaves nothing behind.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

func seedCount() int {
	switch {
	case *seeds > 0:
		return *seeds
	case raceDetector:
		return 20 // one goroutine per seed has no races to find; the bubbles do
	case testing.Short():
		return 100
	}
	return allSeeds
}

// TestSeeds runs the seeds, or the one that -seed names.
func TestSeeds(t *testing.T) {
	if *oneSeed >= 0 {
		r := Run(Options{Seed: uint64(*oneSeed), Bug: Bug(*planted), Log: t.Logf})
		t.Logf("%+v", r)
		if r.Failure != "" {
			t.Fatal(r.Failure)
		}
		return
	}
	var events, faults, starts atomic.Int64
	var once sync.Once // one failure is enough to read
	bad := play(seedCount(), func(seed uint64) bool {
		r := Run(Options{Seed: seed})
		events.Add(int64(r.Events))
		faults.Add(int64(r.Faults))
		starts.Add(int64(r.Starts))
		if r.Failure != "" {
			once.Do(func() {
				t.Errorf("seed %d: %s\nreplay: go test ./sim/region -run TestSeeds -seed=%d -v", seed, r.Failure, seed)
			})
			return true
		}
		if seed%uint64(twiceOf) == 0 {
			if again := Run(Options{Seed: seed}); again != r {
				t.Errorf("seed %d ran twice and gave %+v and %+v", seed, r, again)
				return true
			}
		}
		return false
	})
	if bad == 0 {
		t.Logf("%d seeds, %d events, %d faults, %d task starts", seedCount(), events.Load(), faults.Load(), starts.Load())
	}
}

// play runs seeds side by side until one is bad; it returns how many were.
func play(n int, run func(seed uint64) (bad bool)) int {
	var next, bad atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for bad.Load() == 0 {
				seed := next.Add(1) - 1
				if seed >= int64(n) {
					return
				}
				if run(uint64(seed)) {
					bad.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(bad.Load())
}

// TestPlantedBugs shows that the oracles bite: each bug is found within seeds that
// the suite runs.
func TestPlantedBugs(t *testing.T) {
	if *oneSeed >= 0 {
		t.Skip("one seed is replayed")
	}
	if testing.Short() {
		t.Skip("left out with -short: whether oracles bite is no matter of races")
	}
	for _, bug := range bugs {
		t.Run(string(bug), func(t *testing.T) {
			var mu sync.Mutex
			found := map[uint64]string{}
			play(bugSeeds, func(seed uint64) bool {
				r := Run(Options{Seed: seed, Bug: bug})
				if r.Failure == "" {
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				found[seed] = r.Failure
				return true
			})
			if len(found) == 0 {
				t.Fatalf("no oracle found %q in %d seeds", bug, bugSeeds)
			}
			for seed, failure := range found {
				t.Logf("seed %d: %s", seed, failure)
			}
		})
	}
}
