package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/drivertest"
	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
	"github.com/dunlin-edge/dunlin/drivers/tasklog"
)

func TestConformance(t *testing.T) {
	store := NewStore()
	drivertest.Run(t, drivertest.Harness{
		New: func(t *testing.T) (driver.Driver, func()) {
			return New(Options{Store: store, OpenLog: openLog}), func() {}
		},
		Config:     func(t *testing.T, s program.Spec) (json.RawMessage, map[string]string) { return script(t, s), nil },
		BadConfigs: []string{`{"runfor":"1s"}`, `{"run_for":"soon"}`, `{"run_for":5}`, `{"flood_lines":-1}`, `{"exit_code":1.5}`},
	})
	if n := store.Len(); n != 0 {
		t.Errorf("%d tasks are left in the store", n)
	}
}

func openLog(task driver.Task, stream string) (io.WriteCloser, error) {
	return tasklog.NewWriter(tasklog.Options{Dir: task.LogDir, Task: task.Name, Stream: stream, MaxFiles: task.LogMaxFiles, MaxFileBytes: task.LogMaxFileBytes})
}

// script says what the suite's program would do.
func script(t *testing.T, s program.Spec) json.RawMessage {
	sc := Script{ExitCode: int64(s.ExitCode), Stdout: s.Stdout + "ready\n", Stderr: s.Stderr, FloodLines: s.FloodLines, EchoSignal: s.EchoSignal}
	if !s.Linger {
		sc.RunFor = fmt.Sprintf("%dms", s.SleepMillis)
	}
	switch s.OnStop {
	case program.StopExit:
		sc.Stdout += "bye\n" // a script has no way to say it later
		sc.StopCode = program.StopCode
	case program.StopIgnore:
		sc.IgnoreStop = true
	}
	raw, err := json.Marshal(sc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fakeTask(config string) driver.Task {
	return driver.Task{ID: "a/main", Name: "main", AllocDir: "/a", TaskDir: "/a", LogDir: "/a", Config: json.RawMessage(config)}
}

// In a bubble of fake time, ten hours of task take no time.
func TestRunsInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Options{Store: NewStore()})
		begin := time.Now()
		h, err := d.Start(t.Context(), fakeTask(`{"run_for":"10h","exit_code":9}`))
		if err != nil {
			t.Fatal(err)
		}
		e, err := d.Wait(t.Context(), h)
		if err != nil || e.Code != 9 || e.At.Sub(begin) != 10*time.Hour {
			t.Errorf("exit %+v after %v, %v", e, e.At.Sub(begin), err)
		}
	})
}

func TestStartErrorIsRecoverable(t *testing.T) {
	store := NewStore()
	_, err := New(Options{Store: store}).Start(context.Background(), fakeTask(`{"start_error":"disk full"}`))
	var se *driver.StartError
	if !errors.As(err, &se) || !se.Recoverable || store.Len() != 0 {
		t.Errorf("got %v, %d tasks", err, store.Len())
	}
}
