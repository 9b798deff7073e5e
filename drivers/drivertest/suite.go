package drivertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
)

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range []struct {
		name string
		test func(*fixture)
	}{
		{"Fingerprint", testFingerprint},
		{"ExitZero", testExitZero},
		{"ExitCode", testExitCode},
		{"StopByItself", testStopByItself},
		{"StopIgnored", testStopIgnored},
		{"StopDefault", testStopDefault},
		{"Signal", testSignal},
		{"Exec", testExec},
		{"ExecInput", testExecInput},
		{"ExecTerminal", testExecTerminal},
		{"ExecEnds", testExecEnds},
		{"Logs", testLogs},
		{"LogFlood", testLogFlood},
		{"Waiters", testWaiters},
		{"Recover", testRecover},
		{"EndUnseen", testEndUnseen},
		{"Destroy", testDestroy},
		{"Prepare", testPrepare},
		{"BadConfig", testBadConfig},
		{"BadTask", testBadTask},
		{"ForeignHandle", testForeignHandle},
		{"Stats", testStats},
		{"StartTwice", testStartTwice},
		{"Attempts", testAttempts},
		{"Many", testMany},
		{"Children", testChildren},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(newFixture(t, h)) })
	}
}

func testFingerprint(f *fixture) {
	p := f.d.Fingerprint(f.ctx)
	if !p.Detected || !p.Healthy || p.Attributes["driver."+f.d.Name()] != "1" || p.Description == "" {
		f.Errorf("fingerprint is %+v", p)
	}
	c := f.d.Capabilities()
	for facility, can := range map[driver.Facility]bool{
		driver.FacilitySignals: c.Signals, driver.FacilityExec: c.Exec,
		driver.FacilityMemoryLimit: c.MemoryLimit, driver.FacilityCPULimit: c.CPULimit,
	} {
		if !can && c.Words[facility] == "" {
			f.Errorf("no words for the missing %s", facility)
		}
	}
}

func testExitZero(f *fixture) {
	begin := time.Now()
	_, h := f.run(program.Spec{})
	e := f.wait(h)
	if !e.Succeeded() || e.At.Before(begin.Add(-time.Second)) || e.At.After(time.Now().Add(time.Second)) {
		f.Errorf("exit is %+v", e)
	}
	if err := f.d.Stop(f.ctx, h, "", time.Second); err != nil {
		f.Errorf("stop of a task that has ended: %v", err)
	}
}

func testExitCode(f *fixture) {
	_, h := f.run(program.Spec{ExitCode: 3})
	if e := f.wait(h); e.Code != 3 || e.Signal != "" || e.Err != "" || e.Trap != "" {
		f.Errorf("exit is %+v, want code 3 alone", e)
	}
}

func testStopByItself(f *fixture) {
	task, h := f.run(program.Spec{Linger: true, OnStop: program.StopExit})
	if err := f.d.Stop(f.ctx, h, "", testTimeout); err != nil {
		f.Fatalf("stop: %v", err)
	}
	if e := f.wait(h); e.Code != program.StopCode || e.Signal != "" {
		f.Errorf("exit is %+v, want code %d", e, program.StopCode)
	}
	if !strings.Contains(f.log(task, "stdout"), "bye\n") {
		f.Errorf("the last words are not in the log: %q", f.log(task, "stdout"))
	}
}

func testStopIgnored(f *fixture) {
	_, h := f.run(program.Spec{Linger: true, OnStop: program.StopIgnore})
	const grace = 150 * time.Millisecond
	begin := time.Now()
	if err := f.d.Stop(f.ctx, h, "", grace); err != nil {
		f.Fatalf("stop: %v", err)
	}
	if took := time.Since(begin); took < grace {
		f.Errorf("killed after %v, before the grace of %v", took, grace)
	}
	if e := f.wait(h); e.Signal != "SIGKILL" || e.Code != 137 || e.Err != "" {
		f.Errorf("exit is %+v, want SIGKILL and no error, for we did it", e)
	}
}

// A task that knows nothing of stops must not cost the whole grace.
func testStopDefault(f *fixture) {
	_, h := f.run(program.Spec{Linger: true})
	begin := time.Now()
	if err := f.d.Stop(f.ctx, h, "", testTimeout); err != nil {
		f.Fatalf("stop: %v", err)
	}
	if took := time.Since(begin); took > testTimeout/4 {
		f.Errorf("stop took %v", took)
	}
	if e := f.wait(h); e.Signal == "" {
		f.Errorf("exit is %+v, want it to name the signal", e)
	}
}

func testSignal(f *fixture) {
	task, h := f.run(program.Spec{Linger: true, EchoSignal: f.d.Capabilities().Signals})
	err := f.d.Signal(f.ctx, h, "SIGUSR1")
	if !f.d.Capabilities().Signals {
		f.wantRefused(err, driver.FacilitySignals)
		return
	}
	if err != nil {
		f.Fatalf("signal: %v", err)
	}
	f.awaitLog(task, "stdout", "got SIGUSR1\n")
	if err := f.d.Signal(f.ctx, h, "NOSUCH"); err == nil || !strings.Contains(err.Error(), "NOSUCH") {
		f.Errorf("signal NOSUCH: %v", err)
	}
}

func (f *fixture) wantRefused(err error, facility driver.Facility) {
	f.Helper()
	words := f.d.Capabilities().Words[facility]
	if !errors.Is(err, driver.ErrNotSupported) || !strings.Contains(err.Error(), words) {
		f.Errorf("%s: got %v, want it refused with %q", facility, err, words)
	}
}

func testLogs(f *fixture) {
	task, h := f.run(program.Spec{Stdout: "to out\n", Stderr: "to err\n"})
	f.wait(h)
	if out := f.log(task, "stdout"); !strings.HasPrefix(out, "to out\n") || strings.Contains(out, "to err") {
		f.Errorf("stdout is %q", out)
	}
	if errs := f.log(task, "stderr"); errs != "to err\n" {
		f.Errorf("stderr is %q", errs)
	}
}

func testLogFlood(f *fixture) {
	task := f.task(program.Spec{FloodLines: 200_000}) // 2.1 MB
	task.LogMaxFiles, task.LogMaxFileBytes = 3, 64<<10
	f.wait(f.start(task))
	files := f.logFiles(task, "stdout")
	if len(files) != 3 {
		f.Errorf("%d files, want 3: %v", len(files), files)
	}
	for _, name := range files {
		if st, err := os.Stat(name); err != nil || st.Size() > 64<<10 {
			f.Errorf("%s: %v, %d bytes", name, err, st.Size())
		}
	}
	if log := f.log(task, "stdout"); !strings.Contains(log, "line 199999\n") {
		f.Errorf("the end of the flood is missing; the log ends in %q", log[max(0, len(log)-50):])
	}
}

func testWaiters(f *fixture) {
	_, h := f.run(program.Spec{Linger: true})
	ends := make(chan driver.Exit, 2)
	for range 2 {
		go func() {
			e, err := f.d.Wait(f.ctx, h)
			if err != nil {
				e.Err = err.Error()
			}
			ends <- e
		}()
	}
	ctx, cancel := context.WithTimeout(f.ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := f.d.Wait(ctx, h); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("a wait that ran out of time: %v", err)
	}
	if err := f.d.Stop(f.ctx, h, "", time.Second); err != nil {
		f.Fatalf("stop: %v", err)
	}
	first, second := <-ends, <-ends
	if !first.At.Equal(second.At) || first.Err != "" || f.wait(h).Signal != first.Signal {
		f.Errorf("waiters see %+v and %+v", first, second)
	}
}

func testRecover(f *fixture) {
	task, h := f.run(program.Spec{Linger: true})
	saved, err := json.Marshal(h)
	if err != nil {
		f.Fatal(err)
	}
	f.restart()
	var again driver.Handle
	if err := json.Unmarshal(saved, &again); err != nil {
		f.Fatal(err)
	}
	if err := f.d.Recover(f.ctx, again); err != nil {
		f.Fatalf("recover: %v", err)
	}
	if n := strings.Count(f.log(task, "stdout"), "ready"); n != 1 {
		f.Errorf("the program was started %d times", n)
	}
	if err := f.d.Stop(f.ctx, again, "", time.Second); err != nil {
		f.Fatalf("stop: %v", err)
	}
	if e := f.wait(again); e.Signal == "" {
		f.Errorf("exit is %+v", e)
	}
}

func testEndUnseen(f *fixture) {
	task := f.task(program.Spec{SleepMillis: 50, ExitCode: 4, Stdout: "last words\n"})
	h := f.start(task)
	f.leave()
	f.awaitLog(task, "stdout", "ready\n")
	f.restart()
	if err := f.d.Recover(f.ctx, h); err != nil {
		f.Fatalf("recover: %v", err)
	}
	if e := f.wait(h); e.Code != 4 {
		f.Errorf("exit is %+v, want code 4", e)
	}
	f.restart()
	if e := f.wait(h); e.Code != 4 {
		f.Errorf("asked again, exit is %+v, want code 4", e)
	}
}

func testDestroy(f *fixture) {
	_, running := f.run(program.Spec{Linger: true, OnStop: program.StopIgnore})
	_, ended := f.run(program.Spec{})
	f.wait(ended)
	for _, h := range []driver.Handle{running, ended} {
		if err := f.d.Destroy(f.ctx, h); err != nil {
			f.Fatalf("destroy: %v", err)
		}
		f.wantGone("recover", f.d.Recover(f.ctx, h))
		_, err := f.d.Wait(f.ctx, h)
		f.wantGone("wait", err)
		f.wantGone("stop", f.d.Stop(f.ctx, h, "", 0))
		_, err = f.d.Stats(f.ctx, h)
		f.wantGone("stats", err)
		if err := f.d.Destroy(f.ctx, h); err != nil {
			f.Errorf("destroy again: %v", err)
		}
	}
}

// testPrepare: preparing twice is preparing once, it starts nothing, and the start that follows works.
func testPrepare(f *fixture) {
	task := f.task(program.Spec{Stdout: "after the preparation\n"})
	for range 2 {
		if err := f.d.Prepare(f.ctx, task); err != nil {
			f.Fatalf("prepare: %v", err)
		}
	}
	if _, err := f.d.Wait(f.ctx, f.handle(task)); !errors.Is(err, driver.ErrTaskGone) {
		f.Fatalf("prepared, it is known as a task: %v", err)
	}
	if e := f.wait(f.start(task)); !e.Succeeded() {
		f.Errorf("it ended with %+v", e)
	}
}

func testBadConfig(f *fixture) {
	for _, bad := range f.h.BadConfigs {
		task := f.task(program.Spec{})
		task.Config = json.RawMessage(bad)
		f.wantNoStart(bad, task)
	}
}

func testBadTask(f *fixture) {
	task := f.task(program.Spec{})
	task.TaskDir = "relative"
	f.wantNoStart("relative task directory", task)
}

// wantNoStart checks that a start is refused for good and leaves nothing.
func (f *fixture) wantNoStart(what string, task driver.Task) {
	f.Helper()
	_, err := f.d.Start(f.ctx, task)
	var se *driver.StartError
	if !errors.As(err, &se) || se.Recoverable || se.Task != task.ID {
		f.Errorf("%s: got %v, want a StartError that is not recoverable", what, err)
	}
	f.wantGone(what, f.d.Recover(f.ctx, f.handle(task)))
	if files := f.logFiles(task, "*"); len(files) > 0 {
		f.Errorf("%s: log files are left: %v", what, files)
	}
}

func testForeignHandle(f *fixture) {
	h := driver.Handle{Version: driver.HandleVersion, Driver: "other", ID: "x"}
	if err := f.d.Recover(f.ctx, h); err == nil || errors.Is(err, driver.ErrTaskGone) || !strings.Contains(err.Error(), "other") {
		f.Errorf("a handle of another driver: %v", err)
	}
	h = driver.Handle{Version: driver.HandleVersion + 1, Driver: f.d.Name(), ID: "x"}
	f.wantGone("a handle of a newer version", f.d.Recover(f.ctx, h))
}

func testStats(f *fixture) {
	_, h := f.run(program.Spec{Burn: true, Linger: true})
	s := f.awaitBusy(h)
	if s.Pids != 1 || s.MemoryBytes < 1<<20 || s.At.IsZero() {
		f.Errorf("stats are %+v", s)
	}
	unenforced := fmt.Sprint(s.Unenforced)
	c := f.d.Capabilities()
	if strings.Contains(unenforced, string(driver.FacilityMemoryLimit)) == c.MemoryLimit ||
		strings.Contains(unenforced, string(driver.FacilityCPULimit)) == c.CPULimit {
		f.Errorf("unenforced limits are %v; capabilities say %+v", s.Unenforced, c)
	}
	if err := f.d.Stop(f.ctx, h, "", 0); err != nil {
		f.Fatalf("stop: %v", err)
	}
	if s, err := f.d.Stats(f.ctx, h); err != nil || s.Pids != 0 {
		f.Errorf("after the end: %+v, %v", s, err)
	}
}

// awaitBusy waits until a task that is busy is seen to be. A while is no measure of that: processor time is told in ticks, and
// beside others a task may have had less than one.
func (f *fixture) awaitBusy(h driver.Handle) driver.Stats {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := f.d.Stats(f.ctx, h)
		if err != nil {
			f.Fatalf("stats: %v", err)
		}
		if s.CPUNanos > 0 {
			return s
		}
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatalf("a busy task has had no processor time: %+v", s)
		}
	}
}

func testStartTwice(f *fixture) {
	task, h := f.run(program.Spec{Linger: true})
	again := f.start(task)
	if again.ID != h.ID {
		f.Errorf("the second start gave handle %q, the first %q", again.ID, h.ID)
	}
	if again.StartedAt != h.StartedAt || h.StartedAt == 0 {
		f.Errorf("the second start says that it began at %d, the first at %d", again.StartedAt, h.StartedAt)
	}
	if err := f.d.Stop(f.ctx, h, "", time.Second); err != nil {
		f.Fatalf("stop: %v", err)
	}
	f.wait(again)
	if n := strings.Count(f.log(task, "stdout"), "ready"); n != 1 {
		f.Errorf("the program was started %d times", n)
	}
}

func testAttempts(f *fixture) {
	task, h := f.run(program.Spec{ExitCode: 2})
	f.wait(h)
	task.Attempt++
	f.tasks = append(f.tasks, task)
	next := f.start(task)
	f.wait(next)
	if next.ID == h.ID || strings.Count(f.log(task, "stdout"), "ready") != 2 {
		f.Errorf("the second attempt (%q after %q) did not run: %q", next.ID, h.ID, f.log(task, "stdout"))
	}
}

func testMany(f *fixture) {
	const n = 12
	tasks := make([]driver.Task, n)
	for i := range tasks {
		tasks[i] = f.task(program.Spec{ExitCode: i})
	}
	var wg sync.WaitGroup
	for i, task := range tasks {
		wg.Go(func() {
			h, err := f.d.Start(f.ctx, task)
			if err != nil {
				f.Errorf("start %d: %v", i, err)
				return
			}
			if e, err := f.d.Wait(f.ctx, h); err != nil || e.Code != i {
				f.Errorf("task %d ended with %+v, %v", i, e, err)
			}
		})
	}
	wg.Wait()
}

// What a task has started ends with it, also what left its session. That nothing is left is what newFixture checks of every
// test; here there is something to leave.
func testChildren(f *fixture) {
	if !f.h.Children {
		f.Skip("tasks of this driver start no processes")
	}
	_, ended := f.run(program.Spec{Children: 2})
	f.wait(ended)
	_, h := f.run(program.Spec{Children: 2, Linger: true})
	if s, err := f.d.Stats(f.ctx, h); err != nil || s.Pids != 5 {
		f.Errorf("stats are %+v, %v; want 5 processes", s, err)
	}
	if err := f.d.Stop(f.ctx, h, "", time.Second); err != nil {
		f.Fatalf("stop: %v", err)
	}
}
