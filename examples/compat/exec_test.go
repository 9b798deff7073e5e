package compat

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
)

// TestOfficialClientExec runs commands beside a task with the official client: with pipes, with a terminal, and such as are refused.
func TestOfficialClientExec(t *testing.T) {
	agent := start(t)
	c, err := nomad.NewClient(&nomad.Config{Address: agent.address})
	if err != nil {
		t.Fatal(err)
	}
	awaitNode(t, c)
	raw := nomad.NewTask("main", "raw_exec").SetConfig("command", "sleep").SetConfig("args", []string{"3600"})
	raw.Require(&nomad.Resources{CPU: ptr(20), MemoryMB: ptr(16)})
	raw.Env = map[string]string{"GREETING": "hello"}
	for name, task := range map[string]*nomad.Task{"shell": raw, "hello": helloJob(agent.push(t)).TaskGroups[0].Tasks[0]} {
		job := nomad.NewServiceJob(name, name, "global", 50).AddTaskGroup(nomad.NewTaskGroup("g", 1).AddTask(task)).AddDatacenter("*")
		if _, _, err := c.Jobs().Register(job, nil); err != nil {
			t.Fatalf("register %s: %v", name, err)
		}
	}
	run := func(job string, tty bool, script, input string) (code int, stdout, stderr string, err error) {
		t.Helper()
		stub := awaitAlloc(t, c, job, func(a *nomad.AllocationListStub) bool { return a.ClientStatus == nomad.AllocClientStatusRunning })
		alloc, _, err := c.Allocations().Info(stub.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), waitMax)
		defer cancel()
		var out, errs bytes.Buffer
		sizes := make(chan nomad.TerminalSize, 1)
		sizes <- nomad.TerminalSize{Height: 33, Width: 111}
		var in io.Reader = strings.NewReader(input)
		if tty { // a terminal does not end
			open, hold := io.Pipe()
			defer hold.Close()
			in = io.MultiReader(in, open)
		}
		code, err = c.Allocations().Exec(ctx, alloc, "main", tty, []string{"/bin/sh", "-c", script}, in, &out, &errs, sizes, nil)
		return code, out.String(), errs.String(), err
	}
	if code, out, errs, err := run("shell", false, "echo $GREETING; cat; echo oops >&2; exit 42", "typed"); err != nil || code != 42 || out != "hello\ntyped" || errs != "oops\n" {
		t.Errorf("with pipes: code %d, %v, %q, %q", code, err, out, errs)
	}
	if code, out, _, err := run("shell", true, "read x; while [ \"$(stty size)\" != '33 111' ]; do sleep 0.05; done; echo got $x; exit 7", "word\n"); err != nil || code != 7 || !strings.HasSuffix(out, "got word\r\n") {
		t.Errorf("with a terminal: code %d, %v, %q", code, err, out)
	}
	if _, _, _, err := run("hello", false, "true", ""); err == nil || !strings.Contains(err.Error(), "a Wasm guest has no shell") {
		t.Errorf("in a guest: %v", err)
	}
}
