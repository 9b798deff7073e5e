package host

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// strayPause is the time between looks at what a kill has left.
const strayPause = 2 * time.Millisecond

// killStrays kills everything attributed to a task whose leader has ended, until nothing is left: a process may fork while it
// is looked at. Processes that nothing ties to a task are killed when no task is left that could have started them.
func (s *server) killStrays(id string) error {
	// What an ended task leaves are orphans, so without orphans there is nothing to look for.
	if found, err := s.children.strangers(); err == nil && !found {
		return nil
	}
	deadline := time.Now().Add(strayTimeout)
	for pause := strayPause; ; pause = min(2*pause, 50*time.Millisecond) {
		table, err := readProcs()
		if err != nil {
			return err
		}
		owned := attribute(table, os.Getpid(), s.children.owners(), taskOf)
		left := owned[id]
		if !s.otherProcessTasks(id) {
			left = append(left, owned[unowned]...)
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes survive SIGKILL, the first is %d in state %c", len(left), left[0].pid, left[0].state)
		}
		for _, p := range left {
			killExact(p)
		}
		time.Sleep(pause)
	}
}

// clearAway kills what a task of a host that died has left running, and waits for its end.
func clearAway(rec record) error {
	if rec.Kind == KindWasm { // it starts no others, so the table need not be read for each of thousands
		if p, err := readProc(rec.PID); err != nil || p.start != rec.Start || p.dead() {
			return nil
		}
	}
	deadline := time.Now().Add(strayTimeout)
	for pause := strayPause; ; pause = min(2*pause, 50*time.Millisecond) {
		table, err := readProcs()
		if err != nil {
			return err
		}
		left := leftBehind(table, rec.ID, rec.PID, rec.Start, taskOf)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of task %q survive SIGKILL, the first is %d in state %c", len(left), rec.ID, left[0].pid, left[0].state)
		}
		for _, p := range left {
			killExact(p)
		}
		time.Sleep(pause)
	}
}

// procTable shares one reading of the process table among Stats calls that come together.
type procTable struct {
	mu    sync.Mutex
	at    time.Time
	owned map[string][]proc
}

func (pt *procTable) of(s *server, id string) ([]proc, error) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	// A task that is not in the table has just started.
	if len(pt.owned[id]) == 0 || time.Since(pt.at) > procTableMaxAge {
		table, err := readProcs()
		if err != nil {
			return nil, err
		}
		pt.owned, pt.at = attribute(table, os.Getpid(), s.children.owners(), taskOf), time.Now()
	}
	return pt.owned[id], nil
}
