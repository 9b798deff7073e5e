package task

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/fleet"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func spec(change func(*Spec)) Spec {
	s := Spec{Name: "main", Attempts: 2, Interval: time.Minute, Delay: 4 * time.Second, Mode: fleet.RestartModeFail, MemoryMB: 64}
	if change != nil {
		change(&s)
	}
	return s
}

func handle(id string) driver.Handle { return driver.Handle{Version: 1, Driver: "fake", ID: id} }

// run brings a task to Running.
func run(t *testing.T, s Spec) *Task {
	t.Helper()
	k := New(s, 1, t0)
	if do := k.Step(Begin{}, t0); do != Fetch {
		t.Fatalf("begin wants %s", do)
	}
	if do := k.Step(Ready{}, t0); do != Start {
		t.Fatalf("ready wants %s", do)
	}
	if do := k.Step(Started{Handle: handle("1")}, t0); do != Nothing || k.Phase() != Running {
		t.Fatalf("started wants %s and is %s", do, k.Phase())
	}
	return k
}

// again restarts a waiting task and returns how long it had to wait.
func again(t *testing.T, k *Task, now time.Time) time.Duration {
	t.Helper()
	at, ok := k.WakeAt()
	if !ok {
		t.Fatalf("the task is %s, not waiting", k.Phase())
	}
	if do := k.Step(Begin{}, at.Add(-1)); do != Nothing {
		t.Fatalf("it wants %s before its time", do)
	}
	if k.Step(Begin{}, at) != Fetch || k.Step(Ready{}, at) != Start || k.Step(Started{Handle: handle("n")}, at) != Nothing {
		t.Fatalf("it does not start again; it is %s", k.Phase())
	}
	return at.Sub(now)
}

// A start that is answered late, or asked for a second time, is told with the time at which the task began.
func TestStartedWhenItBegan(t *testing.T) {
	for name, c := range map[string]struct{ told, want time.Duration }{
		"earlier":                  {-time.Minute, -time.Minute},
		"the clock moved":          {time.Hour, 0},
		"the driver does not know": {-time.Duration(t0.UnixNano()), 0},
	} {
		t.Run(name, func(t *testing.T) {
			k := New(spec(nil), 1, t0)
			k.Step(Begin{}, t0)
			k.Step(Ready{}, t0)
			h := handle("1")
			h.StartedAt = t0.Add(c.told).UnixNano()
			k.Step(Started{Handle: h}, t0)
			got := k.Record().Observed
			if want := t0.Add(c.want).UnixNano(); got.StartedAt != want || got.Events[len(got.Events)-1].Time != want {
				t.Errorf("it says %d and tells %+v, want %d", got.StartedAt, got.Events, want)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		exit   driver.Exit
		phase  Phase
		failed bool
	}{
		"service ends well":  {nil, driver.Exit{}, Waiting, false},
		"service fails":      {nil, driver.Exit{Code: 1}, Waiting, false},
		"batch ends well":    {func(s *Spec) { s.Batch = true }, driver.Exit{}, Dead, false},
		"batch fails":        {func(s *Spec) { s.Batch = true }, driver.Exit{Code: 1}, Waiting, false},
		"batch traps":        {func(s *Spec) { s.Batch = true }, driver.Exit{Trap: "unreachable"}, Waiting, false},
		"no restart allowed": {func(s *Spec) { s.Attempts = 0 }, driver.Exit{Code: 1}, Dead, true},
		"host died":          {func(s *Spec) { s.Attempts = 0 }, driver.Exit{Err: HostDied}, Waiting, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := run(t, spec(c.change))
			if do := k.Step(Exited{Exit: c.exit}, t0.Add(time.Second)); do != Destroy {
				t.Errorf("it wants %s", do)
			}
			if k.Phase() != c.phase || k.Failed() != c.failed {
				t.Errorf("it is %s, failed %v; want %s, %v", k.Phase(), k.Failed(), c.phase, c.failed)
			}
			if h := k.Ended(); h == nil || h.ID != "1" {
				t.Errorf("the handle to destroy is %v", h)
			}
		})
	}
}

func TestRestartsAreCounted(t *testing.T) {
	k := run(t, spec(nil))
	now := t0
	for n := range 2 {
		now = now.Add(time.Second)
		k.Step(Exited{Exit: driver.Exit{Code: 1}}, now)
		if wait := again(t, k, now); wait < 4*time.Second || wait > 5*time.Second {
			t.Fatalf("restart %d after %s; want 4 s and up to a quarter more", n, wait)
		}
	}
	k.Step(Exited{Exit: driver.Exit{Code: 1}}, now.Add(time.Second))
	if !k.Failed() || k.Observed().Restarts != 2 {
		t.Fatalf("after two restarts it is %s with %d restarts", k.Phase(), k.Observed().Restarts)
	}
	old := run(t, spec(nil))
	for n := range 6 { // each interval has its own attempts
		now := t0.Add(time.Duration(n+1) * 2 * time.Minute)
		old.Step(Exited{Exit: driver.Exit{Code: 1}}, now)
		again(t, old, now)
	}
}

func TestDelayModeWaitsForTheInterval(t *testing.T) {
	k := run(t, spec(func(s *Spec) { s.Attempts, s.Mode = 1, fleet.RestartModeDelay }))
	now := t0.Add(time.Second)
	k.Step(Exited{Exit: driver.Exit{Code: 1}}, now)
	now = now.Add(again(t, k, now) + time.Second)
	k.Step(Exited{Exit: driver.Exit{Code: 1}}, now)
	if wait := again(t, k, now); wait < 50*time.Second {
		t.Fatalf("the interval is a minute, and it waits %s", wait)
	}
}

func TestKill(t *testing.T) {
	for name, c := range map[string]struct {
		bring func(*Task)
		want  Do
		phase Phase
	}{
		"pending":   {func(*Task) {}, Nothing, Dead},
		"preparing": {func(k *Task) { k.Step(Begin{}, t0) }, Nothing, Dead},
		"starting":  {func(k *Task) { k.Step(Begin{}, t0); k.Step(Ready{}, t0) }, Nothing, Starting},
		"running": {func(k *Task) {
			k.Step(Begin{}, t0)
			k.Step(Ready{}, t0)
			k.Step(Started{Handle: handle("1")}, t0)
		}, Stop, Stopping},
	} {
		t.Run(name, func(t *testing.T) {
			k := New(spec(nil), 1, t0)
			c.bring(k)
			if do := k.Step(Kill{Reason: "test"}, t0); do != c.want || k.Phase() != c.phase {
				t.Fatalf("it wants %s and is %s", do, k.Phase())
			}
			if k.Phase() == Starting && (k.Step(Started{Handle: handle("1")}, t0) != Stop || k.Phase() != Stopping) {
				t.Fatalf("started after the kill, it is %s", k.Phase())
			}
			k.Step(Exited{Exit: driver.Exit{Code: 143}}, t0)
			if k.Phase() != Dead || k.Failed() {
				t.Fatalf("killed, it is %s, failed %v", k.Phase(), k.Failed())
			}
		})
	}
}

func TestFailureCarriesItsStory(t *testing.T) {
	k := run(t, spec(func(s *Spec) { s.Attempts = 0 }))
	k.Step(Exited{Exit: driver.Exit{Code: 137, OOM: true, Signal: "SIGKILL"}, Tail: strings.Repeat("x", 3000) + "the last words"}, t0)
	var words []string
	for _, e := range k.Observed().Events {
		words = append(words, e.View().DisplayMessage)
	}
	all := strings.Join(words, "\n")
	for _, want := range []string{"Exit code: 137, signal: SIGKILL", "limit of 64 MiB", "the last words", "allows no restart"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in:\n%s", want, all)
		}
	}
	for _, e := range k.Observed().Events {
		for _, a := range e.Args {
			if len(a) > fleet.EventArgBytesMax {
				t.Errorf("an argument of event %d has %d bytes", e.Code, len(a))
			}
		}
	}
}

func TestStartFailures(t *testing.T) {
	for recoverable, want := range map[bool]Phase{true: Waiting, false: Dead} {
		k := New(spec(nil), 1, t0)
		k.Step(Begin{}, t0)
		k.Step(Ready{}, t0)
		if do := k.Step(StartFailed{Err: "no", Recoverable: recoverable}, t0); do != Nothing || k.Phase() != want {
			t.Errorf("recoverable %v: it wants %s and is %s", recoverable, do, k.Phase())
		}
	}
}

func TestRestore(t *testing.T) {
	h := handle("1")
	for name, c := range map[string]struct {
		rec  Record
		want []Do
	}{
		"running":                         {Record{Phase: Running, Attempt: 1, Handle: &h}, []Do{Recover}},
		"stopping":                        {Record{Phase: Stopping, Attempt: 1, Handle: &h, Killing: "x"}, []Do{Recover}},
		"starting, unheard":               {Record{Phase: Starting, Attempt: 1}, []Do{Fetch}},
		"starting, unheard, to be killed": {Record{Phase: Starting, Attempt: 1, Killing: "x"}, []Do{Destroy}},
		"waiting":                         {Record{Phase: Waiting, Attempt: 1}, nil},
		"waiting, not destroyed":          {Record{Phase: Waiting, Attempt: 1, Ended: &h}, []Do{Destroy}},
		"starting again, not destroyed":   {Record{Phase: Starting, Attempt: 2, Ended: &h}, []Do{Destroy, Fetch}},
		"dead":                            {Record{Phase: Dead, Attempt: 1}, nil},
		"dead, unheard":                   {Record{Phase: Dead, Attempt: 1, Unknown: true}, []Do{Destroy}},
	} {
		c.rec.Name = "main"
		k, got := Restore(spec(nil), 1, c.rec, t0)
		if len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] || len(got) > 1 && got[1] != c.want[1] {
			t.Errorf("%s: it wants %v; want %v", name, got, c.want)
		}
		if at, ok := k.WakeAt(); ok && (at.Before(t0.Add(4*time.Second)) || at.After(t0.Add(5*time.Second))) {
			t.Errorf("%s: it waits until %s", name, at)
		}
	}
}

func TestGoneAtBootStartsAtOnce(t *testing.T) {
	h := handle("1")
	k, _ := Restore(spec(func(s *Spec) { s.Attempts = 0 }), 1, Record{Name: "main", Phase: Running, Attempt: 1, Handle: &h}, t0)
	k.Step(Gone{}, t0)
	if do := k.Step(Begin{}, t0); do != Fetch || k.Attempt() != 2 {
		t.Fatalf("it wants %s in attempt %d", do, k.Attempt())
	}
}

// TestProperty feeds any events in any order: the position only grows, the dead stay dead, and between two starts is an end.
func TestProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := spec(func(s *Spec) {
			s.Batch = rapid.Bool().Draw(rt, "batch")
			s.Attempts = rapid.IntRange(0, 3).Draw(rt, "attempts")
			s.Mode = rapid.SampledFrom([]string{fleet.RestartModeFail, fleet.RestartModeDelay}).Draw(rt, "mode")
		})
		k, now, open, killed := New(s, 3, t0), t0, false, false
		for range rapid.IntRange(1, 50).Draw(rt, "steps") {
			ev := rapid.SampledFrom([]Event{
				Begin{}, Ready{}, Started{Handle: handle("1")}, StartFailed{Recoverable: true}, StartFailed{}, SetupFailed{},
				Exited{Exit: driver.Exit{Code: 1}}, Exited{}, Exited{Exit: driver.Exit{Err: HostDied}}, Gone{}, Recovered{}, Kill{Reason: "x"},
			}).Draw(rt, "event")
			attempt, phase, was := k.Attempt(), k.Phase(), k.Observed()
			do := k.Step(ev, now)
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "seconds")) * time.Second)
			if k.Attempt() < attempt || k.Attempt() == attempt && k.Phase() < phase {
				rt.Fatalf("%T: from %d %s back to %d %s", ev, attempt, phase, k.Attempt(), k.Phase())
			}
			if phase == Dead && (do != Nothing || k.Observed().State != was.State || k.Failed() != was.Failed) {
				rt.Fatalf("%T woke the dead", ev)
			}
			_, kill := ev.(Kill)
			killed = killed || kill
			if do == Start {
				if open || killed {
					rt.Fatalf("started while open %v, killed %v", open, killed)
				}
				open = true
			}
			open = open && k.Phase() != Waiting && k.Phase() != Dead
			if do == Stop && !killed {
				rt.Fatalf("%T stops a task that nobody wants ended", ev)
			}
			if n := len(k.Observed().Events); n > fleet.TaskEventsMax {
				rt.Fatalf("%d events are kept", n)
			}
			if k.Failed() && killed && was.State == fleet.TaskRunning {
				rt.Fatalf("a task that was told to end failed")
			}
		}
	})
}
