package device

import (
	"maps"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
)

// module is a module that an allocation of this device needs.
type module struct {
	ref      config.ModuleRef
	users    int // allocations that pin it
	ready    bool
	found    bool // in the cache at boot; held until every allocation had its chance to pin it
	fetching bool
	tries    int
	retryAt  time.Time
	lastErr  string
	waiters  []waiter
}

type waiter struct {
	alloc fleet.UUID
	task  string
}

// pin keeps an allocation's modules in the cache until it ended.
func (d *Device) pin(e *entry) {
	if e.group == nil {
		return
	}
	d.out.pins = d.out.pins || e.key.Version > 0 // what one would go back to may be another, though others need the same module
	for _, n := range e.group.needs {
		for _, ref := range n.modules {
			m := d.modules[ref.Digest]
			if m == nil {
				m = &module{}
				d.modules[ref.Digest] = m
			}
			if m.users++; m.users == 1 {
				d.out.pins = true
			}
			m.ref = ref
			e.pins = append(e.pins, ref.Digest)
		}
	}
}

func (d *Device) unpin(e *entry) {
	d.out.pins = d.out.pins || e.key.Version > 0
	for _, digest := range e.pins {
		if m := d.modules[digest]; m != nil {
			if m.users--; m.users == 0 && !m.found {
				delete(d.modules, digest)
				d.out.pins = true
			}
		}
	}
	e.pins = nil
}

// unpinRest drops what was found in the cache and nobody needs. It stays there until room is wanted, but from now on it may
// vanish at any time, so it must not be counted on.
func (d *Device) unpinRest() {
	d.out.pins = true
	for digest, m := range d.modules {
		if m.found = false; m.users == 0 {
			delete(d.modules, digest)
		}
	}
}

// prepare brings a task's modules to the device, or starts it if they are there.
func (d *Device) prepare(e *entry, t *task.Task) {
	if t.Phase() != task.Preparing {
		return // ended by what came with it
	}
	if e.group == nil {
		d.step(e, t, task.SetupFailed{Err: "its job is not on this device"})
		return
	}
	_, n := e.group.needsOf(t.Name())
	if n.problem != "" {
		d.step(e, t, task.SetupFailed{Err: n.problem})
		return
	}
	missing := false
	for _, ref := range n.modules {
		m := d.modules[ref.Digest]
		if m.ready {
			continue
		}
		missing = true
		w := waiter{e.ID(), t.Name()}
		// A task with one module comes here once per attempt; looking for it among thousands of others would cost their square.
		if len(n.modules) == 1 || !slices.Contains(m.waiters, w) {
			m.waiters = append(m.waiters, w)
			d.step(e, t, task.Fetching{Digest: ref.Digest})
		}
		d.fetch(m)
	}
	if !missing && !d.crowded(e, t) && !d.getReady(e, t, n) && !d.awaitsHolder(e, t) {
		d.step(e, t, task.Ready{})
	}
}

// fetch asks for a module unless that is under way, has to wait, or cannot work without a link.
func (d *Device) fetch(m *module) {
	if m.fetching || d.now.Before(m.retryAt) || m.ref.Kind == config.ModuleDigest && !d.linkUp {
		return
	}
	m.fetching = true
	d.out.fetch = append(d.out.fetch, FetchModule{Ref: m.ref, Bases: d.bases(m)})
}

func (d *Device) moduleReady(digest string) {
	m := d.modules[digest]
	if m == nil {
		return
	}
	m.ready, m.fetching, m.tries, m.lastErr, m.retryAt = true, false, 0, "", time.Time{}
	for _, w := range m.takeWaiters() {
		if e, t := d.waiting(w); t != nil {
			d.prepare(e, t)
		}
	}
}

func (d *Device) moduleFailed(ev ModuleFailed) {
	m := d.modules[ev.Digest]
	if m == nil {
		return
	}
	m.fetching = false
	words := "module " + ev.Digest + ": " + ev.Err
	if ev.Permanent {
		m.lastErr = ""
		for _, w := range m.takeWaiters() {
			if e, t := d.waiting(w); t != nil {
				d.step(e, t, task.SetupFailed{Err: words})
			}
		}
		return
	}
	pause := min(FetchRetryMax, FetchRetryMin<<min(m.tries, 16))
	m.tries++
	m.retryAt = d.now.Add(pause + time.Duration(d.cfg.Seed%uint64(pause/4)))
	d.timers.add(timer{at: m.retryAt, kind: wakeModule, digest: ev.Digest})
	if ev.Err == m.lastErr {
		return // the waiters know
	}
	m.lastErr = ev.Err
	for _, w := range slices.Clone(m.waiters) {
		if e, t := d.waiting(w); t != nil {
			d.step(e, t, task.Note{Text: words + "; it is tried again"})
		}
	}
}

// moduleLost makes the next attempt fetch it again.
func (d *Device) moduleLost(digest string) {
	if m := d.modules[digest]; m != nil {
		m.ready = false
		d.warn("module %s vanished from the cache; it will be fetched again", digest)
	}
}

func (d *Device) retryFetch(digest string) {
	if m := d.modules[digest]; m != nil && !m.ready && len(m.waiters) > 0 {
		d.fetch(m)
	}
}

// fetchAll tries everything that is missing at once, because the link came back.
func (d *Device) fetchAll() {
	for _, digest := range slices.Sorted(maps.Keys(d.modules)) {
		if m := d.modules[digest]; !m.ready && len(m.waiters) > 0 {
			m.retryAt, m.tries = time.Time{}, 0
			d.fetch(m)
		}
	}
}

func (m *module) takeWaiters() []waiter {
	ws := m.waiters
	m.waiters = nil
	return ws
}

func (d *Device) waiting(w waiter) (*entry, *task.Task) {
	e := d.allocs[w.alloc]
	if e == nil {
		return nil, nil
	}
	t := e.Task(w.task)
	if t == nil || t.Phase() != task.Preparing {
		return nil, nil
	}
	return e, t
}
