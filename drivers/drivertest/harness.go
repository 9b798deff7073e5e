package drivertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// Harness is what the suite needs of a driver.
type Harness struct {
	// New makes an instance over the state that all instances of this harness share. The suite calls close before it makes
	// the next one.
	New func(t *testing.T) (d driver.Driver, close func())
	// Config is the config, and the artifacts, that make the driver run the program.
	Config func(t *testing.T, s program.Spec) (json.RawMessage, map[string]string)
	// BadConfigs are refused by Start, for good.
	BadConfigs []string
	// Children says that a task can start other processes.
	Children bool
}

// testTimeout bounds every wait of the suite.
const testTimeout = 60 * time.Second

// fixture is one test's instance, and the means to make and observe tasks.
type fixture struct {
	*testing.T
	h     Harness
	d     driver.Driver
	close func()
	ctx   context.Context
	tasks []driver.Task
}

func newFixture(t *testing.T, h Harness) *fixture {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	f := &fixture{T: t, h: h, ctx: ctx}
	f.restart()
	t.Cleanup(f.checkNothingLeft)
	return f
}

// restart gives up the instance and makes another, as a restarted agent does.
func (f *fixture) restart() {
	f.Helper()
	f.leave()
	f.d, f.close = f.h.New(f.T)
}

func (f *fixture) leave() {
	if f.close != nil {
		f.close()
		f.close = nil
	}
}

// checkNothingLeft destroys the test's tasks and looks for processes that carry their mark.
func (f *fixture) checkNothingLeft() {
	for _, task := range f.tasks {
		if err := f.d.Destroy(context.Background(), f.handle(task)); err != nil {
			f.Errorf("destroy %s: %v", task.ID, err)
		}
	}
	f.leave()
	left := settle(func() []string {
		return processes(func(pid int) bool {
			env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err != nil {
				return false
			}
			for _, task := range f.tasks {
				if bytes.Contains(env, []byte(task.InstanceID())) {
					return true
				}
			}
			return false
		})
	})
	if len(left) > 0 {
		f.Errorf("processes left behind: %v", left)
	}
}

func (f *fixture) handle(task driver.Task) driver.Handle {
	return driver.Handle{Version: driver.HandleVersion, Driver: f.d.Name(), ID: task.InstanceID()}
}

var taskNumber atomic.Int64

// task makes a task that runs the program.
func (f *fixture) task(s program.Spec) driver.Task {
	f.Helper()
	dir := f.TempDir()
	task := driver.Task{
		ID:      fmt.Sprintf("alloc-%d-%d/main", os.Getpid(), taskNumber.Add(1)),
		AllocID: "alloc", Name: "main",
		AllocDir: dir, TaskDir: filepath.Join(dir, "main"), LogDir: filepath.Join(dir, "logs"),
		Env: map[string]string{"GREETING": "hello from the job", raceOptions: os.Getenv(raceOptions)},
	}
	if err := os.MkdirAll(task.TaskDir, 0o755); err != nil {
		f.Fatal(err)
	}
	task.Config, task.Artifacts = f.h.Config(f.T, s)
	f.tasks = append(f.tasks, task)
	return task
}

func (f *fixture) start(task driver.Task) driver.Handle {
	f.Helper()
	h, err := f.d.Start(f.ctx, task)
	if err != nil {
		f.Fatalf("start: %v", err)
	}
	return h
}

// run starts the program and, if it stays, waits until it is ready.
func (f *fixture) run(s program.Spec) (driver.Task, driver.Handle) {
	f.Helper()
	task := f.task(s)
	h := f.start(task)
	if s.Linger {
		f.awaitLog(task, "stdout", "ready\n")
	}
	return task, h
}

func (f *fixture) wait(h driver.Handle) driver.Exit {
	f.Helper()
	e, err := f.d.Wait(f.ctx, h)
	if err != nil {
		f.Fatalf("wait: %v", err)
	}
	return e
}

func (f *fixture) wantGone(what string, err error) {
	f.Helper()
	if !errors.Is(err, driver.ErrTaskGone) {
		f.Errorf("%s: got %v, want ErrTaskGone", what, err)
	}
}

// logFiles lists a stream's files, oldest first.
func (f *fixture) logFiles(task driver.Task, stream string) []string {
	files, err := filepath.Glob(filepath.Join(task.LogDir, task.Name+"."+stream+".*"))
	if err != nil {
		f.Fatal(err)
	}
	sort.Slice(files, func(i, j int) bool {
		return len(files[i]) < len(files[j]) || len(files[i]) == len(files[j]) && files[i] < files[j]
	})
	return files
}

func (f *fixture) log(task driver.Task, stream string) string {
	var all strings.Builder
	for _, name := range f.logFiles(task, stream) {
		text, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) { // it may just have been rotated away
			f.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func (f *fixture) awaitLog(task driver.Task, stream, want string) {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(f.log(task, stream), want) {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatalf("%q does not appear in %s; it has %.500q, and stderr %.500q", want, stream, f.log(task, stream), f.log(task, "stderr"))
		}
	}
}

// HostClients makes a harness's clients of one host in a directory of t. When t ends the host is shut down, and its going
// checked.
func HostClients(t *testing.T) (dir string, connect func(t *testing.T) *host.Client) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "host")
	t.Cleanup(func() {
		c, err := host.New(host.Options{Dir: dir})
		if err != nil {
			t.Error(err)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := errors.Join(c.Shutdown(ctx), c.Close()); err != nil {
			t.Errorf("shut the host down: %v", err)
		}
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "host.log"))
			t.Logf("host.log:\n%s", text)
		}
	})
	return dir, func(t *testing.T) *host.Client {
		c, err := host.New(host.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}
