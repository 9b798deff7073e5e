package road

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

// TestUpdateKeepsTheOldVersion replaces a Go program by another version of it: the old one greets until the new one is fetched
// and compiled, and the gap between the two is that of a start from the compile cache.
func TestUpdateKeepsTheOldVersion(t *testing.T) {
	t.Parallel()
	g := newRegion(newRig(t), longLost)
	g.join("kiosk-1")
	wasm, err := os.ReadFile(guests.Build(t, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	g.tiny("hello", wasm)
	job := strings.Replace(wasmJob("greeter", "service", "hello", ""), `hello.wasm"`, `hello.wasm"`+"\n    args = [\"-every\", \"50ms\"]", 1)
	g.write("app.hcl", job)
	g.ok("run", "app.hcl")
	old := g.waitAlloc("greeter", "runs", running)
	g.waitLog("greeter", "hello from greeter.greeter[0], 1")

	// The same program under another digest: a custom section that nobody reads.
	g.tiny("hello", bytes.Join([][]byte{wasm, []byte("\x00\x03\x02v2")}, nil))
	begun := time.Now().UnixNano()
	g.ok("run", "app.hcl")
	var was, is *fleet.AllocationListStub
	until(t, settleLimit, "the new version runs and the old one has ended", func() error {
		all, err := g.allocs("greeter")
		if err != nil {
			return err
		}
		was, is = nil, nil
		for _, a := range all {
			switch {
			case a.ID == old.ID && ended(a):
				was = a
			case a.ID != old.ID && running(a):
				is = a
			}
		}
		if was == nil || is == nil {
			return errorf("%s", describe(all))
		}
		return nil
	})
	said := g.ok("alloc", "status", string(was.ID))
	if !strings.Contains(said, "waits for version 1 to be ready") {
		t.Errorf("the old version does not say that it waited: %s", said)
	}
	up, end := is.TaskStates["greeter"].StartedAt.UnixNano(), was.TaskStates["greeter"].FinishedAt.UnixNano()
	held, gap := time.Duration(end-begun), time.Duration(up-end)
	t.Logf("the old version ran on for %s after the update was asked for; the new one began %s after its end", held.Round(time.Millisecond), gap.Round(time.Millisecond))
	if gap > held/2 {
		t.Errorf("a gap of %s, and the old version ran on for %s only", gap, held)
	}
	if out := g.ok("logs", "-n", "1", string(was.ID)); greetings(t, out) < int(held/(50*time.Millisecond)/4) {
		t.Errorf("while it waited for %s, the old version greeted too seldom: %s", held, out)
	}
}

// greetings is the number in the last greeting.
func greetings(t *testing.T, line string) (n int) {
	t.Helper()
	_, number, ok := strings.Cut(strings.TrimSpace(line), "], ")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		t.Fatalf("%q is no greeting", line)
	}
	return n
}
