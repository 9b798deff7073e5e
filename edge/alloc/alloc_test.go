package alloc

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func specs(batch bool) []task.Spec {
	s := task.Spec{Batch: batch, Mode: fleet.RestartModeFail}
	a, b := s, s
	a.Name, b.Name = "a", "b"
	return []task.Spec{a, b}
}

// running brings both tasks to Running.
func running(t *testing.T, batch bool) *Alloc {
	t.Helper()
	a := New(wire.DesiredAlloc{ID: fleet.UUID{1}, Group: "g"}, specs(batch), 1, now)
	if got := a.ClientStatus(); got != fleet.ClientPending {
		t.Fatalf("received, it is %s", got)
	}
	if n := len(a.Begin(nil, now)); n != 2 {
		t.Fatalf("%d of 2 tasks begin", n)
	}
	for _, k := range a.Tasks() {
		a.Step(k, task.Ready{}, nil, now)
		a.Step(k, task.Started{Handle: driver.Handle{ID: k.Name()}}, nil, now)
	}
	return a
}

func TestStatus(t *testing.T) {
	end := func(code int) task.Event { return task.Exited{Exit: driver.Exit{Code: code}} }
	for name, c := range map[string]struct {
		play func(a *Alloc)
		want string
	}{
		"both run":                 {func(*Alloc) {}, fleet.ClientRunning},
		"one is done":              {func(a *Alloc) { a.Step(a.Task("a"), end(0), nil, now) }, fleet.ClientRunning},
		"both are done":            {func(a *Alloc) { a.Step(a.Task("a"), end(0), nil, now); a.Step(a.Task("b"), end(0), nil, now) }, fleet.ClientComplete},
		"one failed":               {func(a *Alloc) { a.Step(a.Task("a"), end(1), nil, now) }, fleet.ClientRunning},
		"and then the other ended": {func(a *Alloc) { a.Step(a.Task("a"), end(1), nil, now); a.Step(a.Task("b"), end(0), nil, now) }, fleet.ClientFailed},
		"stopped": {func(a *Alloc) {
			a.Stop("x", nil, now)
			a.Step(a.Task("a"), end(143), nil, now)
			a.Step(a.Task("b"), end(143), nil, now)
		}, fleet.ClientComplete},
	} {
		a := running(t, true)
		c.play(a)
		if got := a.ClientStatus(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if a.Terminal() != fleet.ClientTerminal(c.want) {
			t.Errorf("%s: terminal is %v", name, a.Terminal())
		}
	}
}

func TestFailureStopsSiblings(t *testing.T) {
	a := running(t, false)
	cmds := a.Step(a.Task("a"), task.Exited{Exit: driver.Exit{Code: 1}}, nil, now)
	if len(cmds) != 2 || cmds[0].Do != task.Destroy || cmds[1].Do != task.Stop || cmds[1].Task.Name() != "b" {
		t.Fatalf("a failed task leads to %+v", cmds)
	}
	a.Step(a.Task("b"), task.Exited{Exit: driver.Exit{Code: 143}}, nil, now)
	if a.Task("b").Failed() || a.Status().Description != `task "a" failed` {
		t.Fatalf("it says %q, and b failed: %v", a.Status().Description, a.Task("b").Failed())
	}
}

func TestRestoreKeepsAll(t *testing.T) {
	a := running(t, false)
	b, cmds := Restore(a.Record(), specs(false), 1, nil, now)
	if len(cmds) != 2 || cmds[0].Do != task.Recover || b.Rev() != a.Record().Rev() {
		t.Fatalf("restored, it wants %+v", cmds)
	}
	for _, k := range b.Tasks() {
		b.Step(k, task.Recovered{}, nil, now)
	}
	if b.ClientStatus() != fleet.ClientRunning || b.Task("a").Handle().ID != "a" {
		t.Fatalf("recovered, it is %s", b.ClientStatus())
	}
}
