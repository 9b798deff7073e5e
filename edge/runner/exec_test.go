package runner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/fake"
	"github.com/dunlin-edge/dunlin/fleet"
)

// A command goes to the driver that runs the task, with the task's handle; where nothing runs, that is said.
func TestExecGoesToTheTasksDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		defer r.end()
		if _, err := r.want(1, func(_ *fleet.Job, k *fleet.Task) { k.Config = script(fake.Script{RunFor: "5s"}) }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ask := func(id byte, task string) error {
			_, err := r.runner.Exec(t.Context(), fleet.UUID{id}, task, driver.ExecRequest{Argv: []string{"sh"}})
			return err
		}
		for _, task := range []string{"main", ""} {
			if err := ask(1, task); !errors.Is(err, driver.ErrNotSupported) || r.spy.execs[len(r.spy.execs)-1].Driver != "fake" {
				t.Errorf("task %q: %v, and the driver was asked for %+v", task, err, r.spy.execs)
			}
		}
		for want, err := range map[string]error{
			`no task "other"`: ask(1, "other"), "is not on this device": ask(9, "main"),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if err := ask(1, "main"); err == nil || !strings.Contains(err.Error(), "does not run now") {
			t.Errorf("after the task's end: %v", err)
		}
		if len(r.spy.execs) != 2 {
			t.Errorf("the driver was asked for %+v", r.spy.execs)
		}
	})
}

// Exec notes whose task a command is for.
func (s *spy) Exec(ctx context.Context, h driver.Handle, req driver.ExecRequest) (driver.Command, error) {
	s.mu.Lock()
	s.execs = append(s.execs, h)
	s.mu.Unlock()
	return s.Driver.Exec(ctx, h, req)
}
