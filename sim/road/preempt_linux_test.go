package road

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

// rankedJob is a raw task of that priority that reserves that much memory, and touches none of it.
func rankedJob(name string, priority int, memory int64) string {
	return strings.NewReplacer(`job "raw" {`, fmt.Sprintf("job %q {\n  priority = %d", name, priority),
		"memory = 16", fmt.Sprintf("memory = %d", memory)).Replace(rawJob)
}

// Where preemption is switched on, a job of a priority that is higher by ten takes the room of another on a full device; what
// gave way waits, says so, and is back once there is room. A priority that is higher by less, or the switch off, takes nothing.
func TestPreemption(t *testing.T) {
	t.Parallel()
	longTest(t)
	g := newRegion(newRig(t), longLost)
	d := g.join("kiosk-1", "-allow-raw-exec")
	ctx, cancel := shortly()
	defer cancel()
	n, _, err := g.client.Node(ctx, d.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	most := (n.NodeResources.Memory.MemoryMB - n.ReservedResources.Memory.MemoryMB) * 3 / 5 // two of it have no room
	g.write("low.hcl", rankedJob("low", 40, most))
	g.write("near.hcl", rankedJob("near", 49, most))
	g.write("high.hcl", rankedJob("high", 50, most))
	g.ok("run", "low.hcl")
	low := g.waitAlloc("low", "runs", running)

	g.fails(3, []string{"memory"}, "plan", "high.hcl")
	g.ok("operator", "scheduler", "set-config", "-preempt-service-scheduler=true")
	g.fails(3, []string{"memory"}, "plan", "near.hcl")
	if out := g.ok("plan", "high.hcl"); !strings.Contains(out, "would preempt: "+low.Name) {
		t.Errorf("plan does not say what would give way: %s", out)
	}
	if a := g.waitAlloc("low", "runs", running); a.ID != low.ID {
		t.Errorf("what was only planned replaced %s by %s", low.ID, a.ID)
	}

	g.ok("run", "high.hcl")
	high := g.waitAlloc("high", "runs", running)
	was := g.waitAlloc("low", "gave way", func(a *fleet.AllocationListStub) bool { return ended(a) && a.DesiredStatus == fleet.DesiredEvict })
	if was.ID != low.ID {
		t.Errorf("%s gave way, want %s", was.ID, low.ID)
	}
	for id, w := range map[fleet.AllocID]string{low.ID: "Preempted by", high.ID: "Preempted"} {
		other := map[fleet.AllocID]fleet.AllocID{low.ID: high.ID, high.ID: low.ID}[id]
		if out := g.ok("alloc", "status", string(id)); !saysPair(out, w, fleet.ShortID(other)) {
			t.Errorf("alloc status of %s does not say %q %s: %s", id, w, other, out)
		}
	}
	g.saysOfBlocked("low", "memory")
	if n := len(rawTasks(processes(), d.dir)); n != 1 {
		t.Errorf("%d tasks run on a device that has room for one", n)
	}

	g.ok("stop", "high")
	if back := g.waitAlloc("low", "is back", running); back.ID == low.ID {
		t.Errorf("%s is back under its old name", back.ID)
	}
	g.waitAlloc("high", "ended", ended)
}

// saysPair reports whether a line of what a command printed has just that name and value.
func saysPair(text, name, value string) bool {
	for line := range strings.Lines(text) {
		key, got, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == name && strings.TrimSpace(got) == value {
			return true
		}
	}
	return false
}
