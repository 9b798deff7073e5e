package host

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What is asked of a running task besides its end.

func (s *server) signal(b signalBody) error {
	t, err := s.find(b.ID)
	if err != nil {
		return err
	}
	if t.rec.Kind == KindWasm {
		return refuse(CodeNotSupported, "task %q is a Wasm guest, which has no signals", b.ID)
	}
	n, err := ParseSignal(b.Signal)
	if err != nil {
		return refuse(CodeBadRequest, "signal task %q: %v", b.ID, err)
	}
	if !t.running() {
		return refuse(CodeBadRequest, "signal task %q: it has ended", b.ID)
	}
	if err := s.children.signalGroup(t.child, unix.Signal(n)); err != nil {
		return refuse(CodeBadRequest, "signal task %q: %v", b.ID, err)
	}
	return nil
}

func (s *server) stats(id string) (Stats, error) {
	t, err := s.find(id)
	if err != nil {
		return Stats{}, err
	}
	stats := Stats{At: s.now()}
	if !t.running() {
		return stats, nil
	}
	var procs []proc
	if t.rec.Kind == KindWasm { // alone, so the table need not be read
		p, err := readProc(t.child.pid)
		if err == nil && p.start == t.child.start {
			procs = []proc{p}
		}
	} else if procs, err = s.table.of(s, id); err != nil {
		return stats, fmt.Errorf("stats of task %q: %w", id, err)
	}
	for _, p := range procs {
		stats.CPUNanos += p.cpuTicks * (int64(time.Second) / ticksPerSecond)
		stats.MemoryBytes += p.rssPages * int64(os.Getpagesize())
		stats.Pids++
	}
	return stats, nil
}
