package region

import (
	"maps"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
)

// queue begins an operation on a task. Those of one task are done in order.
func (m *machine) queue(a device.Action) {
	in := instanceOf(a)
	key := taskKey{in.Alloc, in.Task}
	m.note("%T %s", a, instanceID(in))
	m.s.checks.asked(m, a)
	done := m.s.now.Add(m.s.between(time.Millisecond, 60*time.Millisecond))
	if before := m.busy[key]; before.After(done) {
		done = before.Add(time.Millisecond)
	}
	if stop, ok := a.(device.StopTask); ok && stop.Grace > 0 {
		done = done.Add(m.s.between(0, stop.Grace))
	}
	m.busy[key] = done
	life := m.life
	m.s.at(done, "task operation", func() {
		if m.life == life && m.agentUp {
			m.do(a)
		}
	})
}

func instanceOf(a device.Action) device.Instance {
	switch a := a.(type) {
	case device.StartTask:
		return a.Instance
	case device.RecoverTask:
		return a.Instance
	case device.StopTask:
		return a.Instance
	case device.DestroyTask:
		return a.Instance
	}
	panic("not an operation on a task")
}

// do carries out one operation and reports, unless the agent dies in between:
// then the driver has done it and nobody knows.
func (m *machine) do(a device.Action) {
	id := instanceID(instanceOf(a))
	switch a := a.(type) {
	case device.StartTask:
		m.start(id, a)
	case device.RecoverTask:
		id = a.Handle.ID
		if _, over := m.ended[id]; !over && m.running[id] == nil {
			m.happened(a.Instance, task.Gone{})
			return
		}
		m.watched[id] = a.Instance
		m.happened(a.Instance, task.Recovered{})
		m.tellEnd(id)
	case device.StopTask:
		m.exit(a.Handle.ID, driver.Exit{Code: 143, Signal: "SIGTERM"})
	case device.DestroyTask:
		if a.Handle != nil {
			id = a.Handle.ID
		}
		delete(m.ended, id)
		delete(m.running, id)
		m.happened(a.Instance, task.Destroyed{ID: id})
	}
}

func (m *machine) start(id string, a device.StartTask) {
	_, over := m.ended[id]
	if !over && m.running[id] == nil {
		if m.s.trouble(30) {
			m.happened(a.Instance, task.StartFailed{Err: "no room", Recoverable: true})
			return
		}
		m.s.checks.starts(m, a)
		p := &process{in: a.Instance, job: a.Job, group: a.Group, name: a.Name, modules: a.Modules, granted: a.Granted}
		m.running[id] = p
		m.s.result.Starts++
		m.note("starts %s of %s", id, a.Name)
		m.live(id, p)
	}
	if m.s.trouble(10) {
		m.s.fault("device %d: the agent dies before it hears that %s runs", m.n, id)
		m.agentDies("a start was under way")
		m.bootSoon()
		return
	}
	m.watched[id] = a.Instance
	m.happened(a.Instance, task.Started{Handle: driver.Handle{Version: driver.HandleVersion, Driver: a.Driver, ID: id}})
	m.tellEnd(id)
}

// live decides how a task's life will go: batch work ends, services should not.
func (m *machine) live(id string, p *process) {
	lasts, exit := time.Duration(0), driver.Exit{}
	switch {
	case fleet.Finite(p.job.Type):
		lasts = m.s.between(500*time.Millisecond, 40*time.Second)
		if m.s.calm { // what waits for one small device must get its turn before the rest ends
			lasts /= 4
		}
		if m.s.chance(250) {
			exit = driver.Exit{Code: 1}
		}
	case m.s.trouble(200):
		lasts = m.s.between(10*time.Millisecond, 60*time.Second)
		exit = []driver.Exit{{Code: 1}, {Trap: "unreachable"}, {}, {Err: task.HostDied}}[m.s.rng.IntN(4)]
	default:
		return
	}
	m.s.after(lasts, "task ends", func() {
		if m.running[id] != p || m.s.calm && !fleet.Finite(p.job.Type) {
			return
		}
		if m.s.calm {
			exit = driver.Exit{}
		}
		m.exit(id, exit)
	})
}

// exit ends a task that runs. Its driver keeps the end until it is destroyed.
func (m *machine) exit(id string, x driver.Exit) {
	if m.running[id] == nil {
		return
	}
	delete(m.running, id)
	m.ended[id] = x
	m.note("%s ends: code %d %s%s%s", id, x.Code, x.Signal, x.Trap, x.Err)
	m.tellEnd(id)
}

// tellEnd lets a watching agent hear of an end.
func (m *machine) tellEnd(id string) {
	x, over := m.ended[id]
	in, watched := m.watched[id]
	if !over || !watched || !m.agentUp {
		return
	}
	delete(m.watched, id)
	m.later(m.s.between(0, 20*time.Millisecond), "end heard", func() {
		m.step(device.TaskHappened{Alloc: in.Alloc, Task: in.Task, Attempt: in.Attempt, What: task.Exited{Exit: x, Tail: "last words"}})
	})
}

func (m *machine) happened(in device.Instance, what task.Event) {
	m.step(device.TaskHappened{Alloc: in.Alloc, Task: in.Task, Attempt: in.Attempt, What: what})
}

// hostDies ends one process in a way that is not its own doing.
func (m *machine) hostDies() bool {
	ids := slices.Sorted(maps.Keys(m.running))
	if len(ids) == 0 {
		return false
	}
	m.exit(ids[m.s.rng.IntN(len(ids))], driver.Exit{Err: task.HostDied})
	return true
}
