package host

import (
	"context"
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

// exec runs a command beside a process task and collects its output.
func (s *server) exec(ctx context.Context, b execBody) (ExecResult, error) {
	t, err := s.find(b.ID)
	switch {
	case err != nil:
		return ExecResult{}, err
	case t.rec.Kind == KindWasm:
		return ExecResult{}, refuse(CodeNotSupported, "task %q is a Wasm guest, which cannot run commands", b.ID)
	case len(b.Argv) == 0:
		return ExecResult{}, refuse(CodeBadRequest, "exec in task %q: no command", b.ID)
	}
	t.mu.Lock()
	if !t.running() || t.execCtx.Err() != nil {
		t.mu.Unlock()
		return ExecResult{}, refuse(CodeBadRequest, "exec in task %q: it has ended", b.ID)
	}
	t.execs.Add(1)
	t.mu.Unlock()
	defer t.execs.Done()
	p, err := s.startProcess(t.spec, b.Argv, b.ID)
	if err != nil {
		return ExecResult{}, err
	}
	stdout, stderr := &capped{max: ExecOutputBytesMax}, &capped{max: ExecOutputBytesMax}
	var out pumps
	done := func() error { return nil }
	out.add(p.stdout.ours, stdout, done)
	out.add(p.stderr.ours, stderr, done)
	select {
	case <-p.child.exited:
	case <-ctx.Done():
	case <-t.execCtx.Done():
	}
	_ = s.children.signalGroup(p.child, unix.SIGKILL) // ESRCH: it has ended; what it left dies with the task
	<-p.child.exited
	s.children.release(p.child)
	if err := out.drain(); err != nil {
		return ExecResult{}, fmt.Errorf("exec in task %q: %w", b.ID, err)
	}
	if ctx.Err() != nil {
		return ExecResult{}, ctx.Err()
	}
	exit := exitOf(p.child.status, nil, true, s.now())
	return ExecResult{Code: exit.Code, Stdout: stdout.buf, Stderr: stderr.buf, Truncated: stdout.truncated || stderr.truncated}, nil
}
