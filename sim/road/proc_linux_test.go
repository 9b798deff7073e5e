package road

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// proc is one process as /proc shows it.
type proc struct {
	pid, ppid int
	start     string // clock ticks after boot: with the number, it names a process for good
	args      []string
	env       map[string]string
}

// processes lists what runs, zombies left out. What ends while it is read is left out too.
func processes() []proc {
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	var out []proc
	for _, dir := range dirs {
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := bytes.Cut(stat, []byte(") "))
		f := strings.Fields(string(rest))
		if len(f) < 20 || f[0] == "Z" || f[0] == "X" {
			continue
		}
		p := proc{start: f[19], env: map[string]string{}}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		p.ppid, _ = strconv.Atoi(f[1])
		if cmdline, err := os.ReadFile(dir + "/cmdline"); err == nil {
			p.args = strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
		}
		if environ, err := os.ReadFile(dir + "/environ"); err == nil {
			for kv := range strings.SplitSeq(string(environ), "\x00") {
				if key, value, ok := strings.Cut(kv, "="); ok {
					p.env[key] = value
				}
			}
		}
		out = append(out, p)
	}
	return out
}

// hosts are the host processes of devices below a folder.
func hosts(table []proc, dir string) []proc {
	var out []proc
	for _, p := range table {
		if i := slices.Index(p.args, "host"); i > 0 && i+2 < len(p.args) && p.args[i+1] == "-dir" && strings.HasPrefix(p.args[i+2], dir+"/") {
			out = append(out, p)
		}
	}
	return out
}

// rawTasks are the processes of raw tasks of devices below a folder, by allocation: those whose environment the agent made.
func rawTasks(table []proc, dir string) map[string][]proc {
	out := map[string][]proc{}
	for _, p := range table {
		if id := p.env["NOMAD_ALLOC_ID"]; id != "" && strings.HasPrefix(p.env["NOMAD_ALLOC_DIR"], dir+"/") {
			out[id] = append(out[id], p)
		}
	}
	return out
}

// guestsOf are the Wasm guest processes of a host, its spare included.
func guestsOf(table []proc, host proc) []proc {
	var out []proc
	for _, p := range table {
		if p.ppid == host.pid && slices.Contains(p.args, "guest") {
			out = append(out, p)
		}
	}
	return out
}

// runningRecord is what a host has on disk of a task that has not ended.
type runningRecord struct {
	ID   string
	Kind string
	PID  int
	Exit *json.RawMessage
}

// recorded lists a device's running tasks as its host knows them: those on record whose process lives.
func recorded(t testing.TB, deviceDir string, table []proc) []runningRecord {
	t.Helper()
	out, err := readRecords(deviceDir, table)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readRecords(deviceDir string, table []proc) ([]runningRecord, error) {
	paths, err := filepath.Glob(filepath.Join(deviceDir, "host", "tasks", "*.json"))
	if err != nil {
		return nil, err
	}
	var out []runningRecord
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // forgotten meanwhile
		}
		if err != nil {
			return nil, err
		}
		var rec runningRecord
		if err := json.Unmarshal(text, &rec); err != nil {
			return nil, errorf("%s: %v", path, err)
		}
		if rec.Exit == nil && slices.ContainsFunc(table, func(p proc) bool { return p.pid == rec.PID }) {
			out = append(out, rec)
		}
	}
	return out, nil
}

// killBelow ends the hosts of devices below a folder, and waits until they and their guests are gone: what a device runs
// outlives its agent by design.
func killBelow(t testing.TB, dir string) {
	t.Helper()
	err := wait(endLimit, func() error {
		table := processes()
		left := hosts(table, dir)
		for _, h := range left {
			left = append(left, guestsOf(table, h)...)
		}
		for _, ps := range rawTasks(table, dir) {
			left = append(left, ps...)
		}
		for _, p := range left {
			_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may be gone already
		}
		if len(left) > 0 {
			return os.ErrExist
		}
		return nil
	})
	if err != nil {
		t.Errorf("processes below %s do not end: %v", dir, hosts(processes(), dir))
	}
}

// host is a device's one host.
func (d *device) host() proc {
	d.r.Helper()
	var found []proc
	until(d.r, startLimit, "one host of "+d.name, func() error {
		if found = hosts(processes(), d.dir); len(found) != 1 {
			return errorf("%d hosts", len(found))
		}
		return nil
	})
	return found[0]
}
