package region

import (
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

// TestKeepWhatRuns plays interleavings of a job's change, a node lost, its
// replacement, its return, a server's restart and a new leader. All oracles look
// on: nothing healthy is stopped without a change of its job or a decision between
// an original and its replacement, a name without replacements never runs twice.
// At the end each job runs exactly as often as it should.
func TestKeepWhatRuns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64Range(0, 1<<40).Draw(rt, "seed")
		r := run(Options{Seed: seed}, func(s *sim) {
			s.build()
			s.calm = true // nothing happens but what is drawn
			s.users.jobs = make([]*fleet.Job, jobsMax)
			s.users.watch() // canaries that nobody promotes hold a version back for good
			s.runFor(30 * time.Second)
			jobs := rapid.IntRange(1, 3).Draw(rt, "jobs")
			for i := range jobs {
				s.users.register(i, s.kept(rt, i))
			}
			s.runFor(10 * time.Second)
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				s.disturb(rt, jobs)
				s.runFor(time.Duration(rapid.IntRange(1, 45_000).Draw(rt, "pause")) * time.Millisecond)
			}
			s.heal()
			s.runFor(restTime)
			s.checks.atRest()
			s.counts()
		})
		if r.Failure != "" {
			rt.Fatal(r.Failure)
		}
	})
}

// kept is a small service that fits anywhere, so that its count can always run.
func (s *sim) kept(rt *rapid.T, i int) *fleet.Job {
	j := s.users.newJob(i)
	j.Type = fleet.JobTypeService
	j.TaskGroups = j.TaskGroups[:1]
	g := &j.TaskGroups[0]
	g.Constraints, g.EphemeralDisk, g.Tasks = nil, &fleet.EphemeralDisk{SizeMB: fleet.Ptr(10)}, g.Tasks[:1]
	g.Tasks[0].Resources = &fleet.Resources{CPU: fleet.Ptr(10), MemoryMB: fleet.Ptr(8)}
	g.Count = fleet.Ptr(rapid.IntRange(1, 3).Draw(rt, "count"))
	g.Disconnect = nil
	if rapid.IntRange(0, 3).Draw(rt, "block") > 0 {
		g.Disconnect = s.users.disconnect()
		g.Disconnect.StopOnClientAfter = nil // devices are cut for longer here
		g.Disconnect.Replace = fleet.Ptr(rapid.Bool().Draw(rt, "replace"))
		g.Disconnect.Reconcile = fleet.Ptr(rapid.SampledFrom([]string{
			fleet.ReconcileBestScore, fleet.ReconcileLongestRunning, fleet.ReconcileKeepOriginal, fleet.ReconcileKeepReplacement,
		}).Draw(rt, "reconcile"))
	}
	return j
}

// disturb does one of the things that must not hurt what runs.
func (s *sim) disturb(rt *rapid.T, jobs int) {
	m := s.devices[rapid.IntRange(0, len(s.devices)-1).Draw(rt, "device")]
	at := s.now.UnixNano()
	switch rapid.IntRange(0, 7).Draw(rt, "what") {
	case 0, 1:
		m.cut = true
		if m.link != nil {
			m.link.end()
		}
	case 2, 3:
		for _, m := range s.devices {
			m.cut = false
		}
	case 4:
		i := rapid.IntRange(0, jobs-1).Draw(rt, "job")
		j := s.users.jobs[i].Clone()
		g := &j.TaskGroups[0]
		switch rapid.IntRange(0, 2).Draw(rt, "change") {
		case 0:
			g.Count = fleet.Ptr(rapid.IntRange(1, 3).Draw(rt, "count"))
		case 1:
			g.Tasks[0].Env = map[string]string{"V": rapid.StringMatching("[a-z]{3}").Draw(rt, "env")}
		case 2:
			g.Tasks[0].KillTimeout = fleet.Ptr(fleet.Duration(rapid.IntRange(1, 4000).Draw(rt, "kill")) * fleet.Duration(time.Millisecond))
		}
		s.users.register(i, j)
	case 5:
		s.server.crash()
	case 6:
		s.server.stepDown()
	case 7:
		s.users.send("releases the loss brake", command.BrakeSet{Forget: true, Reason: "an operator released it", At: at})
	}
}

// counts: each job that is wanted runs as often as it says, and each name once.
func (s *sim) counts() {
	for j := range s.server.store.View().Jobs() {
		names := map[string]int{}
		for _, m := range s.devices {
			for _, p := range m.running {
				if row := s.server.store.View().AllocByID(p.in.Alloc); row != nil && row.Version.Job == j.Key {
					names[p.name]++
				}
			}
		}
		if want := *j.Current().Spec.TaskGroups[0].Count; len(names) != want {
			s.object("job %s wants %d and runs %v", j.ID, want, names)
		}
		for name, n := range names {
			if n != 1 {
				s.object("%s runs %d times", name, n)
			}
		}
	}
}
