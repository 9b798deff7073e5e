package engine

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

const yieldHelper = "DUNLIN_TEST_YIELD"

// TestYield looks at a process of its own, because what yield does cannot be undone without rights.
func TestYield(t *testing.T) {
	if os.Getenv(yieldHelper) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestYield$", "-test.v")
		cmd.Env = append(os.Environ(), yieldHelper+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	yield()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads: %v", len(threads), err)
	}
	for _, th := range threads {
		id, err := strconv.Atoi(th.Name())
		if err != nil {
			t.Fatal(err)
		}
		// The system call answers 20 minus the nice value.
		if p, err := unix.Getpriority(unix.PRIO_PROCESS, id); err != nil || 20-p != aheadNice {
			t.Errorf("thread %d has nice %d (%v)", id, 20-p, err)
		}
	}
}
