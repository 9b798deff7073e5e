package region

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// machine is one device around its core: disk, drivers, cache, and the agent
// that may die at any time.
type machine struct {
	s    *sim
	n    int
	id   fleet.UUID
	spec []byte
	said fleet.Node // what spec encodes
	room fleet.Ask

	core    *device.Device
	agentUp bool
	life    int  // of the agent
	gone    bool // taken away for good

	disk     device.State
	synced   wire.Generation // highest generation acknowledged to a server
	cache    map[string]bool
	running  map[string]*process        // by instance
	ended    map[string]driver.Exit     // until destroyed
	watched  map[string]device.Instance // by the agent that lives
	busy     map[taskKey]time.Time      // when the last operation on a task ends
	finished map[fleet.UUID]string      // terminal states that were told
	wake     int

	link    *link
	cut     bool
	strayed bool // it is pointed at the other region's server
	dialing bool
	pause   time.Duration
}

type taskKey struct {
	alloc fleet.UUID
	task  string
}

// process is a task that runs, with or without an agent.
type process struct {
	in      device.Instance
	job     *fleet.Job
	group   *fleet.TaskGroup
	name    string // of the allocation
	modules []string
	granted wire.Grants
}

func instanceID(in device.Instance) string {
	return driver.Task{ID: in.Alloc.String() + "/" + in.Task, Attempt: in.Attempt}.InstanceID()
}

func (m *machine) note(format string, args ...any) {
	if m.s.opts.Log != nil {
		m.s.note("device %d: "+format, append([]any{m.n}, args...)...)
	}
}

// boot starts an agent on what the one before left on disk.
func (m *machine) boot() {
	if m.agentUp || m.gone {
		return
	}
	m.agentUp, m.life = true, m.life+1
	m.link, m.dialing, m.pause = nil, false, 500*time.Millisecond
	m.watched, m.busy = map[string]device.Instance{}, map[taskKey]time.Time{}
	m.core = device.New(device.Config{Seed: uint64(m.n)*7919 + 1, Parse: m.s.parse, DeadAllocsMax: 6, Planted: m.s.opts.Bug.planted()})
	if m.disk.Facts.Held.Less(m.synced) {
		m.s.object("device %d acknowledged generation %s and has %s on disk", m.n, m.synced, m.disk.Facts.Held)
	}
	m.note("agent starts, holds %s", m.disk.Facts.Held)
	m.step(device.Boot{State: m.readDisk(), Modules: slices.Sorted(maps.Keys(m.cache))})
	m.dialSoon()
}

// readDisk goes through JSON as the real store does, so that nothing is shared
// with the agent before.
func (m *machine) readDisk() device.State {
	raw, err := json.Marshal(m.disk)
	if err != nil {
		m.s.object("device %d: its state does not encode: %v", m.n, err)
	}
	var state device.State
	if err := json.Unmarshal(raw, &state); err != nil {
		m.s.object("device %d: its state does not decode: %v", m.n, err)
	}
	return state
}

// agentDies ends the agent; what runs, runs on.
func (m *machine) agentDies(why string) {
	if !m.agentUp {
		return
	}
	m.note("agent dies: %s", why)
	m.agentUp, m.life, m.core = false, m.life+1, nil
	if m.link != nil {
		m.link.end()
		m.link = nil
	}
}

// powerFails ends everything that runs.
func (m *machine) powerFails() {
	m.agentDies("power")
	m.forgetTasks()
}

// forgetTasks is what a loss of power does to drivers.
func (m *machine) forgetTasks() {
	m.running, m.ended = map[string]*process{}, map[string]driver.Exit{}
}

// step tells the core, and does what it says. The agent may die at any action.
func (m *machine) step(ev device.Event) {
	if !m.agentUp {
		return
	}
	acts := m.core.Step(ev, m.s.now)
	dieAt := -1
	if len(acts) > 0 && m.s.trouble(3) {
		dieAt = m.s.rng.IntN(len(acts) + 1)
	}
	life := m.life
	for i, a := range acts {
		if i == dieAt || m.s.opts.Bug == BugAckBeforePersist && m.s.trouble(60) && isPersist(a) {
			m.s.fault("device %d: the agent dies before %T", m.n, a)
			m.agentDies("in the middle of a step")
			m.bootSoon()
		}
		if m.life != life {
			return
		}
		m.act(a)
	}
}

func isPersist(a device.Action) bool {
	_, ok := a.(device.Persist)
	return ok
}

func (m *machine) bootSoon() {
	m.s.after(m.s.between(100*time.Millisecond, 10*time.Second), "agent boots", m.boot)
}

// later does something as part of this agent's life.
func (m *machine) later(d time.Duration, name string, do func()) {
	life := m.life
	m.s.after(d, name, func() {
		if m.life == life && m.agentUp {
			do()
		}
	})
}

func (m *machine) act(a device.Action) {
	switch a := a.(type) {
	case device.Note:
		m.note("says: %s", a.Text)
	case device.Persist:
		m.persist(a)
	case device.AckDesired:
		m.synced = maxGeneration(m.synced, a.Gen)
		m.link.toServer(streamDesired, func(l *link) { l.desiredAcked(a.Gen) })
	case device.RefuseDesired:
		m.note("refuses: %s", a.Reason)
		m.hangUp("refused a desired state")
	case device.RefuseLink:
		m.s.object("device %d refuses its own region: %s", m.n, a.Reason)
	case device.SendStatus:
		m.sendStatus(a.Batch)
	case device.WakeAt:
		m.wake++
		wake := m.wake
		m.later(max(0, a.At.Sub(m.s.now)), "wake", func() {
			if wake == m.wake {
				m.step(device.Timer{})
			}
		})
	case device.FetchModule:
		m.fetch(a)
	case device.PrepareTask:
		m.prepare(a.Start.Instance)
	case device.StartTask, device.RecoverTask, device.StopTask, device.DestroyTask:
		m.queue(a)
	case device.PinModules, device.RemoveAllocDir:
	}
}

func maxGeneration(a, b wire.Generation) wire.Generation {
	if a.Less(b) {
		return b
	}
	return a
}

func (m *machine) persist(p device.Persist) {
	if m.s.opts.Bug == BugHandleLost {
		p.Allocs = forgetHandles(p.Allocs)
	}
	m.disk.Facts = p.Facts
	m.disk.Jobs = slices.DeleteFunc(slices.Clone(m.disk.Jobs), func(s wire.JobSpec) bool { return slices.Contains(p.DropJobs, s.Key) })
	m.disk.Jobs = append(m.disk.Jobs, p.Jobs...)
	drop := map[fleet.UUID]bool{}
	for _, id := range p.DropAllocs {
		drop[id] = true
	}
	for _, r := range p.Allocs {
		drop[r.Desired.ID] = true
	}
	m.disk.Allocs = slices.DeleteFunc(slices.Clone(m.disk.Allocs), func(r device.Record) bool { return drop[r.Desired.ID] })
	m.disk.Allocs = append(m.disk.Allocs, p.Allocs...)
}

// forgetHandles is the planted loss of the drivers' tokens: what runs looks on
// disk as if it waited for its next attempt.
func forgetHandles(recs []device.Record) []device.Record {
	out := slices.Clone(recs)
	for i := range out {
		out[i].Tasks = slices.Clone(out[i].Tasks)
		for k := range out[i].Tasks {
			if t := &out[i].Tasks[k]; t.Phase == task.Running {
				t.Handle, t.Phase = nil, task.Waiting
			}
		}
	}
	return out
}

func (m *machine) record(id fleet.UUID) *device.Record {
	for i := range m.disk.Allocs {
		if m.disk.Allocs[i].Desired.ID == id {
			return &m.disk.Allocs[i]
		}
	}
	return nil
}

func (m *machine) sendStatus(b *wire.StatusBatch) {
	if m.link == nil {
		m.s.object("device %d sends a batch without a link", m.n)
	}
	for i := range b.Allocs {
		if st := &b.Allocs[i]; fleet.ClientTerminal(st.Status) {
			if old, ok := m.finished[st.ID]; ok && old != st.Status {
				m.s.object("device %d told %s of allocation %s and now tells %s", m.n, old, short(st.ID), st.Status)
			}
			m.finished[st.ID] = st.Status
		} else if old, ok := m.finished[st.ID]; ok {
			m.s.object("device %d told %s of allocation %s and now tells %s", m.n, old, short(st.ID), st.Status)
		}
	}
	copied := roundTrip(m.s, b, &wire.StatusBatch{})
	m.link.toServer(streamStatus, func(l *link) { l.status(copied) })
}

func (m *machine) fetch(a device.FetchModule) {
	digest := a.Ref.Digest
	m.later(m.s.between(20*time.Millisecond, 3*time.Second), "fetched", func() {
		switch {
		case m.cache[digest]:
			m.step(device.ModuleReady{Digest: digest})
		case m.link == nil || !m.link.open || m.s.trouble(150):
			m.step(device.ModuleFailed{Digest: digest, Err: "the link is slow"})
		default:
			m.cache[digest] = true
			m.step(device.ModuleReady{Digest: digest})
		}
	})
}

// prepare compiles, or finds no room for it.
func (m *machine) prepare(in device.Instance) {
	m.later(m.s.between(20*time.Millisecond, 5*time.Second), "prepared", func() {
		ev := device.TaskPrepared{Alloc: in.Alloc, Task: in.Task, Attempt: in.Attempt}
		if m.s.trouble(100) {
			ev.Err = "no room to compile"
		}
		m.step(ev)
	})
}

// runningOf counts the tasks of an allocation that run.
func (m *machine) runningOf(id fleet.UUID) (n int) {
	prefix := id.String() + "/"
	for in := range m.running {
		if strings.HasPrefix(in, prefix) {
			n++
		}
	}
	return n
}
