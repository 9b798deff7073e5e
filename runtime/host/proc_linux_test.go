package host

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestParseStat(t *testing.T) {
	const rest = " S 10 42 41 0 -1 4194560 100 200 0 0 7 8 1 2 20 0 1 0 9999 1000000 250 18446744073709551615"
	p, err := parseStat([]byte("42 (a) b (c)" + rest))
	want := proc{pid: 42, ppid: 10, session: 41, state: 'S', start: 9999, cpuTicks: 18, rssPages: 250}
	if err != nil || p != want {
		t.Errorf("got %+v, %v; want %+v", p, err, want)
	}
	for _, bad := range []string{"", "42", "42 (x", "x (y)" + rest, "42 (x) S 1 2", "42 (x)" + strings.Replace(rest, "9999", "?", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	us, err := readProc(os.Getpid())
	if err != nil || us.pid != os.Getpid() || us.ppid != os.Getppid() || us.start == 0 || us.rssPages == 0 {
		t.Errorf("our own entry is %+v, %v", us, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) S 10 42 41 0 -1 4194560 100 200 0 0 7 8 1 2 20 0 1 0 9999 1000000 250 1"))
	f.Add([]byte("(("))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, text []byte) { _, _ = parseStat(text) })
}

func pids(list []proc) []int {
	var out []int
	for _, p := range list {
		out = append(out, p.pid)
	}
	slices.Sort(out)
	return out
}

// The host is 100. Task a has leader 200, task b leader 300, whose own process has ended.
func TestAttribute(t *testing.T) {
	table := []proc{
		{pid: 1}, {pid: 100, ppid: 1}, {pid: 50, ppid: 1, session: 200}, // 50 is not ours whatever its session
		{pid: 200, ppid: 100, session: 200}, {pid: 201, ppid: 200, session: 200}, {pid: 202, ppid: 201, session: 202},
		{pid: 301, ppid: 100, session: 300}, {pid: 302, ppid: 301, session: 302}, // an orphan in b's session, and its child
		{pid: 401, ppid: 100, session: 401}, // left its session, carries a's mark
		{pid: 402, ppid: 100, session: 402}, // nothing ties it to a task
		{pid: 303, ppid: 100, session: 300, state: 'Z'},
	}
	marks := map[int]string{401: "a"}
	got := attribute(table, 100, map[int]string{200: "a", 300: "b"}, func(pid int) string { return marks[pid] })
	for owner, want := range map[string][]int{"a": {200, 201, 202, 401}, "b": {301, 302}, unowned: {402}} {
		if !slices.Equal(pids(got[owner]), want) {
			t.Errorf("%q owns %v, want %v", owner, pids(got[owner]), want)
		}
	}
	if len(got) != 3 {
		t.Errorf("owners are %v", got)
	}
}

// However the table looks, nobody but living descendants of the host is attributed, and each to one owner.
func TestAttributeOnlyDescendants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(rt, "n")
		table := make([]proc, n)
		parent := map[int]int{}
		for i := range table {
			table[i] = proc{
				pid: i + 1, ppid: rapid.IntRange(0, n).Draw(rt, "ppid"), session: rapid.IntRange(1, n).Draw(rt, "session"),
				state: rapid.SampledFrom([]byte("SRZ")).Draw(rt, "state"),
			}
			parent[i+1] = table[i].ppid
		}
		host := rapid.IntRange(1, n).Draw(rt, "host")
		leaders := map[int]string{rapid.IntRange(1, n).Draw(rt, "leader"): "a", rapid.IntRange(1, n).Draw(rt, "leader"): "b"}
		seen := map[int]bool{}
		for owner, list := range attribute(table, host, leaders, func(pid int) string { return "" }) {
			for _, p := range list {
				if seen[p.pid] || p.dead() || p.pid == host {
					rt.Fatalf("%d is attributed wrongly to %q", p.pid, owner)
				}
				seen[p.pid] = true
				up := p.pid
				for range n {
					if up = parent[up]; up == host {
						break
					}
				}
				if up != host {
					rt.Fatalf("%d is no descendant of %d", p.pid, host)
				}
			}
		}
	})
}

func TestLeftBehind(t *testing.T) {
	marks := map[int]string{30: "a", 31: "b"}
	mark := func(pid int) string { return marks[pid] }
	table := []proc{
		{pid: 1}, {pid: 20, ppid: 1, session: 20, start: 500}, {pid: 21, ppid: 1, session: 20}, {pid: 22, ppid: 21, session: 22},
		{pid: 30, ppid: 1, session: 30}, {pid: 31, ppid: 1, session: 31}, {pid: 32, ppid: 30, session: 32, state: 'Z'},
	}
	for _, c := range []struct {
		name   string
		leader int
		start  uint64
		want   []int
	}{
		{"leader lives", 20, 500, []int{20, 21, 22, 30}},
		{"its number was given away", 20, 400, []int{30}},
		{"leader gone", 19, 500, []int{30}},
		{"never recorded", 0, 0, []int{30}},
	} {
		if got := pids(leftBehind(table, "a", c.leader, c.start, mark)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestExitOf(t *testing.T) {
	now := time.Unix(1, 0)
	ended := func(code int) unix.WaitStatus { return unix.WaitStatus(code << 8) }
	for _, c := range []struct {
		ws      unix.WaitStatus
		report  *guestReport
		stopped bool
		want    Exit
	}{
		{ended(0), nil, false, Exit{At: now}},
		{ended(3), nil, false, Exit{Code: 3, At: now}},
		{unix.WaitStatus(unix.SIGTERM), nil, true, Exit{Code: 143, Signal: "SIGTERM", At: now}},
		{unix.WaitStatus(unix.SIGKILL), nil, true, Exit{Code: 137, Signal: "SIGKILL", At: now}},
		{ended(134), &guestReport{ExitCode: 134, Trap: "unreachable", OOM: true}, false, Exit{Code: 134, Trap: "unreachable", OOM: true, At: now}},
		{ended(127), &guestReport{ExitCode: 127, Error: "no module"}, false, Exit{Code: 127, Err: "no module", At: now}},
	} {
		if got := exitOf(c.ws, c.report, c.stopped, now); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
	if e := exitOf(unix.WaitStatus(unix.SIGKILL), nil, false, now); e.Err == "" {
		t.Error("a kill from outside has no words")
	}
}

func TestLookUp(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"run": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, path, want, err string }{
		{"./run", "", dir + "/run", ""},
		{dir + "/run", "", dir + "/run", ""},
		{"run", "PATH=/nowhere:" + dir, dir + "/run", ""},
		{"run", "PATH=.", dir + "/run", ""},
		{"sh", "", "/bin/sh", ""},
		{"run", "PATH=/nowhere", "", "not in PATH"},
		{"./text", "", "", "may not be executed"},
		{"./none", "", "", "does not exist"},
		{"/", "", "", "is a directory"},
	} {
		got, err := lookUp(c.name, dir, []string{"X=1", c.path})
		if c.err != "" && (CodeOf(err) != CodeStart || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %v, want it to contain %q", c.name, err, c.err)
		}
		if c.err == "" && (err != nil || filepath.Base(got) != filepath.Base(c.want) || c.name != "sh" && got != c.want) {
			t.Errorf("%s: got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for name, want := range map[string]int{"SIGTERM": 15, "hup": 1, "SigUsr1": 10, "": 0, "15": 0, "NOPE": 0} {
		if got, err := ParseSignal(name); got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %d, %v", name, got, err)
		}
	}
}

func TestRecords(t *testing.T) {
	r := records{t.TempDir()}
	want := record{ID: "alloc/../x", Kind: KindProcess, PID: 7, Start: 8, Boot: "b", StartedAt: time.Unix(5, 0).UTC(), Exit: &Exit{Code: 3, At: time.Unix(6, 0).UTC()}}
	if err := r.write(want); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"half.json": `{"ID":`, "none.json": `{}`, "a.json.tmp": "x", "new.json": `{"Version":99,"ID":"later"}`} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, problems := r.load()
	if len(list) != 1 || len(problems) != 4 || list[0].ID != want.ID || *list[0].Exit != *want.Exit || list[0].Start != 8 {
		t.Fatalf("got %+v, %v", list, problems)
	}
	if list, problems = r.load(); len(list) != 1 || len(problems) != 1 {
		t.Errorf("loaded again: %+v, %v; want only the newer version's problem", list, problems)
	}
	if err := r.remove(want.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.remove(want.ID); err != nil {
		t.Errorf("removed again: %v", err)
	}
}

func FuzzParseRecord(f *testing.F) {
	text, err := json.Marshal(record{Version: 1, ID: "a", Exit: &Exit{Code: 1}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"ID":3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if rec, err := parseRecord(text); err == nil && rec.ID == "" {
			t.Fatal("a record without a task is accepted")
		}
	})
}

func TestHostLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l := &hostLog{path: filepath.Join(dir, logName), std: nil}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for range 3 * HostLogBytesMax / len(line) {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("files are %v, %v", files, err)
	}
	for _, e := range files {
		if st, err := e.Info(); err != nil || st.Size() > HostLogBytesMax || st.Size() == 0 {
			t.Errorf("%s: %v, %v", e.Name(), st, err)
		}
	}
}
