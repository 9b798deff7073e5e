package driver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestTaskCheckNamesTheField(t *testing.T) {
	good := Task{ID: "a/web", Name: "web", AllocDir: "/a", TaskDir: "/a/web", LogDir: "/a/logs"}
	if err := good.Check(); err != nil {
		t.Fatalf("good task: %v", err)
	}
	cases := []struct {
		name   string
		change func(*Task)
		want   string
	}{
		{"no id", func(x *Task) { x.ID = "" }, "ID is empty"},
		{"no name", func(x *Task) { x.Name = "" }, "Name is empty"},
		{"relative dir", func(x *Task) { x.TaskDir = "web" }, `TaskDir is "web"`},
		{"no log dir", func(x *Task) { x.LogDir = "" }, `LogDir is ""`},
		{"negative cpu", func(x *Task) { x.CPUMHz = -1 }, "CPUMHz is -1"},
		{"negative memory", func(x *Task) { x.MemoryBytes = -5 }, "MemoryBytes is -5"},
	}
	for _, c := range cases {
		x := good
		c.change(&x)
		if err := x.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want it to contain %q", c.name, err, c.want)
		}
	}
}

func TestIsRecoverable(t *testing.T) {
	cause := errors.New("x")
	cases := []struct {
		err  error
		want bool
	}{
		{nil, false},
		{cause, true},
		{&StartError{Task: "a", Recoverable: true, Err: cause}, true},
		{&StartError{Task: "a", Err: cause}, false},
		{fmt.Errorf("agent: %w", &StartError{Task: "a", Err: cause}), false},
	}
	for _, c := range cases {
		if got := IsRecoverable(c.err); got != c.want {
			t.Errorf("IsRecoverable(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestCheckHandle(t *testing.T) {
	if err := CheckHandle("wasm", Handle{Version: 1, Driver: "wasm", ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := CheckHandle("wasm", Handle{Version: 1, Driver: "raw_exec", ID: "a"}); err == nil || errors.Is(err, ErrTaskGone) {
		t.Errorf("foreign handle: %v", err)
	}
	for _, h := range []Handle{{Version: HandleVersion + 1, Driver: "wasm", ID: "a"}, {Version: 1, Driver: "wasm"}} {
		if err := CheckHandle("wasm", h); !errors.Is(err, ErrTaskGone) {
			t.Errorf("handle %+v: %v, want ErrTaskGone", h, err)
		}
	}
}

func TestEnvListIsSorted(t *testing.T) {
	got := strings.Join(Task{Env: map[string]string{"B": "2", "A": "1", "C": ""}}.EnvList(), " ")
	if got != "A=1 B=2 C=" {
		t.Errorf("got %q", got)
	}
}

func TestExitSucceeded(t *testing.T) {
	if !(Exit{}).Succeeded() {
		t.Error("code 0 is success")
	}
	for _, e := range []Exit{{Code: 1}, {Signal: "SIGTERM"}, {Trap: "unreachable"}, {Err: "host died"}, {OOM: true}} {
		if e.Succeeded() {
			t.Errorf("%+v counts as success", e)
		}
	}
}
