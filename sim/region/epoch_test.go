package region

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

// play1 lets a script play a region without random faults, on a few seeds.
func play1(t *testing.T, script func(s *sim)) {
	t.Helper()
	for seed := range uint64(8) {
		r := run(Options{Seed: seed}, func(s *sim) {
			s.build()
			s.calm = true
			s.users.jobs = make([]*fleet.Job, jobsMax)
			script(s)
		})
		if r.Failure != "" {
			t.Fatalf("seed %d: %s", seed, r.Failure)
		}
	}
}

// services registers n jobs that run until they are stopped.
func (s *sim) services(n int) {
	for i := range n {
		j := s.users.newJob(i)
		j.Type = fleet.JobTypeService
		for g := range j.TaskGroups {
			j.TaskGroups[g].Disconnect = nil // nothing may end it for want of contact
		}
		s.users.register(i, j)
		s.runFor(2 * time.Second)
	}
}

// runningNow lists every task that runs, by device.
func (s *sim) runningNow() []string {
	var out []string
	for _, m := range s.devices {
		out = append(out, slices.Sorted(maps.Keys(m.running))...)
	}
	return out
}

// mustRun objects when a task of the list does not run any more.
func (s *sim) mustRun(before []string) {
	for _, id := range before {
		if !slices.ContainsFunc(s.devices, func(m *machine) bool { return m.running[id] != nil }) {
			s.object("%s ran and was stopped", id)
		}
	}
}

// takenBack puts back the copy of the log's first n entries, and says so to no one.
func (s *sim) takenBack(n int) {
	s.restored = true
	s.checks.beforeRestore()
	s.server.crash()
	s.server.log.restoreTo(n)
	s.checks.afterRestore(uint64(n))
}

func TestRestoreOfYesterdayStopsNothing(t *testing.T) {
	play1(t, func(s *sim) {
		s.runFor(30 * time.Second)
		s.services(3)
		yesterday := s.server.log.committed
		s.services(8) // today: the first three change, and five are new
		s.runFor(time.Minute)
		ran := s.runningNow()
		s.takenBack(yesterday)
		s.runFor(3 * time.Minute)
		s.mustRun(ran)
		v := s.server.store.View()
		if e := v.Region().Epoch; e != 2 {
			s.object("after the restore the region is in epoch %d", e)
		}
		orphans := 0
		for n := range v.Nodes() {
			orphans += len(n.Orphans)
		}
		if orphans == 0 {
			s.object("the region knows of no orphan")
		}
		s.runFor(restTime)
		s.checks.atRest()
		s.stopOrphans()
	})
}

// stopOrphans has an operator stop all of them, and looks that they are gone.
func (s *sim) stopOrphans() {
	v := s.server.store.View()
	for n := range v.Nodes() {
		for _, o := range n.Orphans {
			s.checks.orphanStopped(o.ID)
			s.users.send("stops an orphan", command.AllocStop{Alloc: o.ID, EvalID: s.uuid(), At: s.now.UnixNano()})
		}
	}
	s.runFor(time.Minute)
	for n := range s.server.store.View().Nodes() {
		if len(n.Orphans) > 0 {
			s.object("node %s has %d orphans after an operator stopped them", n.Spec.Name, len(n.Orphans))
		}
	}
	s.checks.atRest()
}

// TestRestoreThatWentOnIsSeen: the restored region has written more than the
// device ever held before the device is back, so indexes prove nothing.
func TestRestoreThatWentOnIsSeen(t *testing.T) {
	play1(t, func(s *sim) {
		s.runFor(30 * time.Second)
		s.services(2)
		yesterday := s.server.log.committed
		s.services(4)
		s.runFor(time.Minute)
		for _, m := range s.devices {
			m.cut = true
			if m.link != nil {
				m.link.end()
			}
		}
		s.takenBack(yesterday)
		s.runFor(time.Minute)
		for range 60 {
			s.users.send("writes", command.NodeEligibility{Node: s.devices[0].id, Eligible: true, At: s.now.UnixNano()})
		}
		s.runFor(time.Second)
		for _, m := range s.devices {
			if held := m.core.Register().Held; held.N >= s.server.store.View().Index() {
				s.object("device %d holds %s; the test wants the region to be beyond", m.n, held)
			}
			m.cut = false
		}
		s.runFor(time.Minute)
		if e := s.server.store.View().Region().Epoch; e != 2 {
			s.object("the region is in epoch %d", e)
		}
		s.runFor(restTime)
		s.checks.atRest()
	})
}

func TestEmptiedFolderAndMovedDeviceStopNothing(t *testing.T) {
	for name, count := range map[string]func(s *sim) int{
		"all devices": func(s *sim) int { return len(s.devices) },
		"one device":  func(*sim) int { return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			play1(t, func(s *sim) {
				s.runFor(30 * time.Second)
				s.services(6)
				s.runFor(time.Minute)
				ran := s.runningNow()
				moved := s.devices[:count(s)]
				for _, m := range moved {
					m.strayed = true
					if m.link != nil {
						m.link.end()
					}
				}
				s.runFor(10 * time.Minute)
				s.mustRun(ran)
				for _, m := range moved {
					if r := m.core.Register().RegionID; r != s.server.store.View().Region().ID {
						s.object("device %d obeys region %s", m.n, r)
					}
					m.strayed = false
				}
				s.runFor(restTime)
				s.checks.atRest()
			})
		})
	}
}
