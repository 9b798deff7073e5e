package road

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
)

// besides are the processes of commands beside tasks of a device: they carry a mark of their own.
func besides(d *device) (pids []int) {
	for _, p := range processes() {
		if p.env["DUNLIN_EXEC_SERIAL"] != "" && strings.HasPrefix(p.env["NOMAD_ALLOC_DIR"], d.dir+"/") {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

func (d *device) noBesides(when string) {
	d.r.Helper()
	until(d.r, settleLimit, "no command beside a task "+when, func() error {
		if left := besides(d); len(left) > 0 {
			return errorf("processes %v", left)
		}
		return nil
	})
}

// An operator looks into an allocation and runs commands beside its task, over the device's own link; what was run there is gone with
// the operator, and with the link.
func TestReachInside(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1", "-allow-raw-exec")
	g.write("raw.hcl", rawJob)
	g.tiny("sleep", guests.TinySleep())
	g.write("app.hcl", wasmJob("sleeper", "service", "sleep", ""))
	g.ok("run", "raw.hcl")
	g.ok("run", "app.hcl")
	g.waitAlloc("raw", "runs", running)
	g.waitAlloc("sleeper", "runs", running)

	// What a command leaves in the task's folder is read back.
	if out := g.ok("alloc", "exec", "raw", "sh", "-c", "echo kept > note.txt; pwd; echo $NOMAD_TASK_NAME"); !strings.HasPrefix(out, d.dir) || !strings.HasSuffix(out, "/local\nraw\n") {
		t.Errorf("the command's place is %q", out)
	}
	if out := g.ok("alloc", "fs", "raw", "raw/local/note.txt"); out != "kept\n" {
		t.Errorf("the note is %q", out)
	}
	if out := g.ok("alloc", "fs", "-H", "raw", "raw/local"); !strings.Contains(out, " 5 ") || !strings.Contains(out, "note.txt") {
		t.Errorf("the list is %q", out)
	}
	g.fails(1, []string{"kiosk-1", "out of the allocation's folder"}, "alloc", "fs", "raw", "../../state")
	g.fails(1, []string{"there is no none"}, "alloc", "fs", "raw", "none")
	g.fails(42, []string{"on stderr"}, "alloc", "exec", "raw", "sh", "-c", "echo on stderr >&2; exit 42")
	g.fails(1, []string{"a Wasm guest has no shell", "dunlin alloc fs"}, "alloc", "exec", "sleeper", "sh")
	if out := g.ok("node", "traffic", "kiosk-1"); !strings.Contains(out, "exec") {
		t.Errorf("commands are not in the account of the link: %s", out)
	}

	const stay = "trap '' HUP; sleep 4001 & setsid sleep 4002 & echo up; wait"
	up := func(who *daemon) {
		t.Helper()
		until(t, settleLimit, "the command is up", func() error {
			if readFile(t, who.out) != "up\n" || len(besides(d)) != 3 {
				return errorf("%q, processes %v", readFile(t, who.out), besides(d))
			}
			return nil
		})
	}
	first := g.start("operator-1", "alloc", "exec", "-i=false", "raw", "sh", "-c", stay)
	up(first)
	first.kill()
	d.noBesides("after its operator")

	second := g.start("operator-2", "alloc", "exec", "-i=false", "raw", "sh", "-c", stay)
	up(second)
	task := pids(t, d)
	d.agent.kill()
	d.noBesides("after its agent")

	// The owner of the device has the last word.
	config := filepath.Join(d.dir, "agent.hcl")
	text := strings.Replace(readFile(t, config), "client {", "client {\n  disable_remote_exec = true", 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.waitOnline()
	<-second.done // its link is another's now
	if code := second.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("the operator's command ended with %d", code)
	}
	until(t, settleLimit, "the device answers", func() error {
		x := g.dunlin("alloc", "exec", "raw", "true")
		if !strings.Contains(x.err, "disable_remote_exec = true") || x.code != 1 {
			return errorf("%v", x)
		}
		return nil
	})
	if out := g.ok("alloc", "fs", "raw", "raw/local/note.txt"); out != "kept\n" {
		t.Errorf("the note is %q", out)
	}
	same(t, "over all this", task, pids(t, d))
}
