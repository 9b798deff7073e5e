package device_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// tb is what *testing.T and *rapid.T share.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

var regionID = fleet.UUID{0xaa}

const moduleDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// moduleOf is the module of a job's version.
func moduleOf(version uint64) string {
	return "sha256:" + strings.Repeat(string(rune('a'+version%6)), 64)
}

// world is everything around one device, as simple as it can be: a disk, drivers, a cache and a region.
type world struct {
	t    tb
	now  time.Time
	dev  *device.Device
	disk device.State

	running  map[string]bool        // instances that run, by InstanceID
	ended    map[string]driver.Exit // instances that ended and were not destroyed
	starts   int
	started  map[fleet.UUID]bool // a task of it was started
	prepared map[fleet.UUID]bool // a task of it was prepared
	replaced map[fleet.UUID]replacement
	linked   time.Duration   // with a link, ever
	pending  []device.Action // begun, unanswered
	watched  map[string]device.Instance
	cache    map[string]bool
	pinned   []string
	wakeAt   time.Time

	gen      wire.Generation
	desired  map[fleet.UUID]*wire.DesiredAlloc
	jobs     map[wire.JobKey][]byte
	modules  map[wire.JobKey]string
	known    map[fleet.UUID]wire.AllocStatus // committed in the region
	stopped  map[fleet.UUID]bool             // the region ever said stop
	linkUp   bool
	outgoing *wire.StatusBatch
	batches  int
	persists int
	notes    []string
	answers  []device.Action
	terminal map[fleet.UUID]bool
	placed   byte
	orphans  []fleet.UUID
	faults   device.Planted
}

func newWorld(t tb) *world { return newPlanted(t, device.Planted{}) }

func newPlanted(t tb, faults device.Planted) *world {
	w := &world{
		t: t, faults: faults, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), cache: map[string]bool{},
		running: map[string]bool{}, ended: map[string]driver.Exit{}, gen: wire.Generation{Epoch: 1, N: 1},
		desired: map[fleet.UUID]*wire.DesiredAlloc{}, jobs: map[wire.JobKey][]byte{}, modules: map[wire.JobKey]string{}, known: map[fleet.UUID]wire.AllocStatus{},
		stopped: map[fleet.UUID]bool{}, terminal: map[fleet.UUID]bool{},
		started: map[fleet.UUID]bool{}, prepared: map[fleet.UUID]bool{}, replaced: map[fleet.UUID]replacement{},
	}
	w.boot()
	return w
}

// boot starts a new agent on what the old one left: the disk, the drivers' tasks and the cache.
func (w *world) boot() {
	w.dev = device.New(device.Config{Seed: 7, DeadAllocsMax: 3, Planted: w.faults})
	w.pending, w.outgoing, w.linkUp, w.watched, w.wakeAt = nil, nil, false, map[string]device.Instance{}, time.Time{}
	raw, err := json.Marshal(w.disk)
	if err != nil {
		w.t.Fatalf("encode disk: %v", err)
	}
	var s device.State
	if err := json.Unmarshal(raw, &s); err != nil {
		w.t.Fatalf("decode disk: %v", err)
	}
	w.step(device.Boot{State: s, Modules: slices.Sorted(maps.Keys(w.cache))})
}

// powerLoss is a reboot of the device: nothing runs any more.
func (w *world) powerLoss() {
	clear(w.running)
	clear(w.ended)
	w.boot()
}

func (w *world) step(ev device.Event) {
	w.t.Helper()
	w.answers = nil
	for _, a := range w.dev.Step(ev, w.now) {
		w.act(a)
	}
	for _, v := range w.dev.View().Allocs {
		if w.terminal[v.ID] && !fleet.ClientTerminal(v.Status) {
			w.t.Fatalf("allocation %s was terminal and is %s", v.ID, v.Status)
		}
		w.terminal[v.ID] = fleet.ClientTerminal(v.Status)
	}
	w.checkPins()
}

// checkPins: what is wanted is kept, and so is the version before it.
func (w *world) checkPins() {
	w.t.Helper()
	newest, before := map[fleet.JobID]uint64{}, map[fleet.JobID]uint64{}
	allocs := w.dev.View().Allocs
	must := func(v device.AllocView, version uint64) {
		if d := w.modules[wire.JobKey{Namespace: v.Job.Namespace, ID: v.Job.ID, Version: version}]; !slices.Contains(w.pinned, d) {
			w.t.Fatalf("version %d of job %s is not pinned while %s is here; pinned are %v", version, v.Job.ID, v.Job, w.pinned)
		}
	}
	for _, v := range allocs {
		if !w.terminal[v.ID] {
			must(v, v.Job.Version)
			newest[v.Job.ID] = max(newest[v.Job.ID], v.Job.Version)
		}
	}
	for _, v := range allocs {
		if n, live := newest[v.Job.ID]; live && !v.Cleared && len(v.Tasks) > 0 && v.Job.Version < n {
			before[v.Job.ID] = max(before[v.Job.ID], v.Job.Version+1)
		}
	}
	for _, v := range allocs {
		if n := before[v.Job.ID]; n == v.Job.Version+1 && !v.Cleared && len(v.Tasks) > 0 {
			must(v, v.Job.Version)
		}
	}
}

// evict drops all that is not pinned from the cache.
func (w *world) evict() {
	for digest := range w.cache {
		if !slices.Contains(w.pinned, digest) {
			delete(w.cache, digest)
		}
	}
}

func (w *world) act(a device.Action) {
	w.t.Helper()
	switch a := a.(type) {
	case device.Note:
		w.notes = append(w.notes, a.Text)
	case device.Persist:
		w.persist(a)
	case device.AckDesired:
		if w.disk.Facts.Held != a.Gen {
			w.t.Fatalf("generation %s is acknowledged and %s is on disk", a.Gen, w.disk.Facts.Held)
		}
		w.answers = append(w.answers, a)
	case device.RefuseDesired, device.RefuseLink:
		w.answers = append(w.answers, a)
	case device.SendStatus:
		if w.outgoing != nil {
			w.t.Fatalf("a second batch is under way")
		}
		if !w.linkUp {
			w.t.Fatalf("a batch is sent without a link")
		}
		w.outgoing = a.Batch
		w.batches++
	case device.WakeAt:
		w.wakeAt = a.At
	case device.StartTask:
		w.checkStart(a)
		w.started[a.Alloc] = true
		w.pending = append(w.pending, a)
	case device.StopTask:
		w.checkStop(a)
		w.pending = append(w.pending, a)
	case device.RecoverTask, device.DestroyTask, device.FetchModule, device.PrepareTask:
		w.pending = append(w.pending, a)
	case device.PinModules:
		w.pinned = a.Digests
	case device.RemoveAllocDir:
	}
}

func (w *world) persist(p device.Persist) {
	w.persists++
	w.disk.Facts = p.Facts
	drop := map[wire.JobKey]bool{}
	for _, k := range p.DropJobs {
		drop[k] = true
	}
	w.disk.Jobs = slices.DeleteFunc(slices.Clone(w.disk.Jobs), func(s wire.JobSpec) bool { return drop[s.Key] })
	w.disk.Jobs = append(w.disk.Jobs, p.Jobs...)
	gone := map[fleet.UUID]bool{}
	for _, id := range p.DropAllocs {
		gone[id] = true
	}
	for _, r := range p.Allocs {
		gone[r.Desired.ID] = true
	}
	w.disk.Allocs = slices.DeleteFunc(slices.Clone(w.disk.Allocs), func(r device.Record) bool { return gone[r.Desired.ID] })
	w.disk.Allocs = append(w.disk.Allocs, p.Allocs...)
}

func (w *world) record(id fleet.UUID) *device.Record {
	for i := range w.disk.Allocs {
		if w.disk.Allocs[i].Desired.ID == id {
			return &w.disk.Allocs[i]
		}
	}
	return nil
}

func instanceID(in device.Instance) string {
	return driver.Task{ID: in.Alloc.String() + "/" + in.Task, Attempt: in.Attempt}.InstanceID()
}

func (w *world) checkStart(a device.StartTask) {
	w.t.Helper()
	if w.terminal[a.Alloc] {
		w.t.Fatalf("task %s of the ended allocation %s is started", a.Instance.Task, a.Alloc)
	}
	for _, digest := range a.Modules {
		if !w.cache[digest] {
			w.t.Fatalf("a task is started, and its module %s was evicted", digest)
		}
	}
	rec := w.record(a.Alloc)
	if rec == nil {
		w.t.Fatalf("a task of an allocation that is not on disk is started")
	}
	for _, t := range rec.Tasks {
		if t.Name == a.Instance.Task && (t.Attempt != a.Attempt || t.Phase != task.Starting) {
			w.t.Fatalf("attempt %d is started, and the disk says attempt %d is %s", a.Attempt, t.Attempt, t.Phase)
		}
	}
	if d := w.desired[a.Alloc]; d != nil { // else it is an orphan
		for _, old := range d.After {
			if w.runningOf(old) > 0 {
				w.t.Fatalf("%s is started while %s runs, whose room it has", a.Alloc, old)
			}
		}
	}
	for _, other := range w.disk.Allocs {
		if id := other.Desired.ID; id != a.Alloc && other.Desired.Granted != "" && other.Desired.Granted == rec.Desired.Granted && w.runningOf(id) > 0 {
			w.t.Fatalf("%s is started while %s runs and holds the same", a.Alloc, id)
		}
	}
	prefix := a.Alloc.String() + "/" + a.Instance.Task + "#"
	for id := range w.running {
		if strings.HasPrefix(id, prefix) && id != instanceID(a.Instance) {
			w.t.Fatalf("%s is started while %s runs", instanceID(a.Instance), id)
		}
	}
}

func (w *world) checkStop(a device.StopTask) {
	w.t.Helper()
	v, _ := w.dev.Alloc(a.Alloc)
	failed := slices.ContainsFunc(v.Tasks, func(t wire.TaskStatus) bool { return t.Failed })
	if !w.stopped[a.Alloc] && !failed {
		w.t.Fatalf("task %s of %s is stopped, and nobody wanted that", a.Task, a.Alloc)
	}
	if !failed {
		w.checkHeld(a)
	}
}

// replacement is what a running allocation was stopped for.
type replacement struct {
	by fleet.UUID
	at time.Duration // linked
}

// replace lets a new version of an allocation's job take its place.
func (w *world) replace(id fleet.UUID, next wire.JobKey) fleet.UUID {
	w.t.Helper()
	w.desired[id].Stop, w.desired[id].StopReason = true, "a new version replaces it"
	w.stopped[id] = true
	by := w.place(next)
	if w.runningOf(id) > 0 && w.status(id) == fleet.ClientRunning {
		w.replaced[id] = replacement{by, w.linked}
	}
	w.push(false, nil, by, id)
	return by
}

// preempt lets an allocation of another job take the room of one.
func (w *world) preempt(id fleet.UUID, job wire.JobKey) fleet.UUID {
	w.t.Helper()
	w.desired[id].Stop, w.desired[id].StopReason = true, "preempted"
	w.stopped[id] = true
	by := w.place(job)
	w.desired[by].After = []fleet.UUID{id}
	w.push(false, nil, by, id)
	return by
}

// checkHeld: nothing is stopped for a version that could not start yet, unless that one was waited for long enough.
func (w *world) checkHeld(a device.StopTask) {
	w.t.Helper()
	r, replaced := w.replaced[a.Alloc]
	if !replaced || w.linked-r.at >= device.HoldMax || w.started[r.by] || w.prepared[r.by] {
		return
	}
	by := w.desired[r.by]
	if v, ok := w.dev.Alloc(r.by); by == nil || by.Stop || !ok || fleet.ClientTerminal(v.Status) {
		return
	}
	w.t.Fatalf("%s is stopped after %s for %s, which is not ready; its module is here: %v", a.Alloc, w.linked-r.at, r.by, w.cache[w.modules[by.Job]])
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	if w.linkUp {
		w.linked += d
	}
	w.now = w.now.Add(d)
}

// answer carries out one pending action and tells the device.
func (w *world) answer(i int, fail bool) {
	w.t.Helper()
	for k := range i { // what is asked for one task is done in order
		if in, ok := instanceOf(w.pending[i]); ok {
			if before, ok := instanceOf(w.pending[k]); ok && before.Alloc == in.Alloc && before.Task == in.Task {
				i = k
				break
			}
		}
	}
	a := w.pending[i]
	w.pending = slices.Delete(slices.Clone(w.pending), i, i+1)
	switch a := a.(type) {
	case device.StartTask:
		id := instanceID(a.Instance)
		_, over := w.ended[id]
		if fail && !over && !w.running[id] {
			w.happened(a.Instance, task.StartFailed{Err: "no room", Recoverable: true})
			return
		}
		if !over && !w.running[id] {
			w.running[id] = true
			w.starts++
		}
		w.watch(a.Instance)
		w.happened(a.Instance, task.Started{Handle: driver.Handle{Version: 1, Driver: a.Driver, ID: id}})
		w.deliverEnd(id)
	case device.RecoverTask:
		_, over := w.ended[a.Handle.ID]
		if !over && !w.running[a.Handle.ID] {
			w.happened(a.Instance, task.Gone{})
			return
		}
		w.watch(a.Instance)
		w.happened(a.Instance, task.Recovered{})
		w.deliverEnd(a.Handle.ID)
	case device.StopTask:
		w.exit(a.Handle.ID, driver.Exit{Code: 143, Signal: "SIGTERM"})
	case device.DestroyTask:
		id := instanceID(a.Instance)
		if a.Handle != nil {
			id = a.Handle.ID
		}
		delete(w.ended, id)
		delete(w.running, id)
		w.happened(a.Instance, task.Destroyed{ID: id})
	case device.PrepareTask:
		in, ev := a.Start.Instance, device.TaskPrepared{Alloc: a.Start.Alloc, Task: a.Start.Instance.Task, Attempt: a.Start.Attempt}
		w.prepared[in.Alloc] = true
		if fail {
			ev.Err = "no room to compile"
		}
		w.step(ev)
	case device.FetchModule:
		if fail {
			w.step(device.ModuleFailed{Digest: a.Ref.Digest, Err: "the link is slow"})
			return
		}
		w.cache[a.Ref.Digest] = true
		w.step(device.ModuleReady{Digest: a.Ref.Digest})
	}
}

func instanceOf(a device.Action) (device.Instance, bool) {
	switch a := a.(type) {
	case device.StartTask:
		return a.Instance, true
	case device.RecoverTask:
		return a.Instance, true
	case device.StopTask:
		return a.Instance, true
	case device.DestroyTask:
		return a.Instance, true
	}
	return device.Instance{}, false
}

func (w *world) watch(in device.Instance) { w.watched[instanceID(in)] = in }

func (w *world) happened(in device.Instance, what task.Event) {
	w.t.Helper()
	w.step(device.TaskHappened{Alloc: in.Alloc, Task: in.Task, Attempt: in.Attempt, What: what})
}

// exit ends a running instance.
func (w *world) exit(id string, x driver.Exit) {
	w.t.Helper()
	if w.running[id] {
		delete(w.running, id)
		w.ended[id] = x
		w.deliverEnd(id)
	}
}

func (w *world) deliverEnd(id string) {
	w.t.Helper()
	x, over := w.ended[id]
	in, watched := w.watched[id]
	if over && watched {
		delete(w.watched, id)
		w.happened(in, task.Exited{Exit: x, Tail: "last words"})
	}
}

func (w *world) link() {
	w.t.Helper()
	w.outgoing, w.linkUp = nil, true
	w.step(device.LinkUp{Welcome: &wire.Welcome{RegionID: regionID, Epoch: w.gen.Epoch, ServerTime: w.now.UnixNano()}})
}

func (w *world) unlink() {
	w.t.Helper()
	w.linkUp, w.outgoing = false, nil
	w.step(device.LinkDown{})
}

// commit takes the batch under way into the region and acknowledges it, if the acknowledgement arrives.
func (w *world) commit(acked bool) {
	w.t.Helper()
	b := w.outgoing
	if b == nil {
		return
	}
	for _, s := range b.Allocs {
		if old, ok := w.known[s.ID]; ok && fleet.ClientTerminal(old.Status) && old.Status != s.Status {
			w.t.Fatalf("allocation %s was %s and is reported %s", s.ID, old.Status, s.Status)
		}
		w.known[s.ID] = s
	}
	if !acked {
		w.unlink()
		return
	}
	w.outgoing = nil
	w.step(device.StatusAcked{Seq: b.Seq})
}

// job registers a version of a job of type service or batch with one or two tasks.
func (w *world) job(name string, version uint64, kind string, tasks int) wire.JobKey {
	key := wire.JobKey{Namespace: "default", ID: fleet.JobID(name), Version: version}
	j := &fleet.Job{ID: key.ID, Type: kind, TaskGroups: []fleet.TaskGroup{{Name: "g"}}}
	g := &j.TaskGroups[0]
	g.RestartPolicy = &fleet.RestartPolicy{
		Attempts: fleet.Ptr(2), Interval: fleet.Ptr(fleet.Duration(time.Minute)), Delay: fleet.Ptr(fleet.Duration(time.Second)),
	}
	for i := range tasks {
		g.Tasks = append(g.Tasks, fleet.Task{
			Name: fmt.Sprintf("t%d", i), Driver: "wasm", Config: json.RawMessage(`{"module":"` + moduleOf(version) + `"}`),
		})
	}
	w.jobs[key], w.modules[key] = fleet.CanonicalBytes(j), moduleOf(version)
	return key
}

// push sends the device rows of the desired state with a new generation; full sends all of it.
func (w *world) push(full bool, forget []fleet.UUID, ids ...fleet.UUID) {
	w.t.Helper()
	w.gen.N++
	m := &wire.Desired{RegionID: regionID, Gen: w.gen, Full: full, Forget: forget}
	if full {
		ids = slices.SortedFunc(maps.Keys(w.desired), func(a, b fleet.UUID) int { return slices.Compare(a[:], b[:]) })
	}
	for _, id := range ids {
		a := *w.desired[id]
		m.Allocs = append(m.Allocs, a)
		if !slices.ContainsFunc(m.Jobs, func(s wire.JobSpec) bool { return s.Key == a.Job }) {
			m.Jobs = append(m.Jobs, wire.JobSpec{Key: a.Job, JSON: w.jobs[a.Job]})
		}
	}
	w.step(device.DesiredReceived{Message: m})
	if len(w.answers) != 1 {
		w.t.Fatalf("a desired state got %d answers", len(w.answers))
	}
}

// mustRefuse sends what the device must not obey.
func (w *world) mustRefuse(m *wire.Desired) {
	w.t.Helper()
	held := w.disk.Facts
	w.step(device.DesiredReceived{Message: m})
	if len(w.answers) != 1 {
		w.t.Fatalf("a desired state got %d answers", len(w.answers))
	}
	if _, ok := w.answers[0].(device.RefuseDesired); !ok || w.disk.Facts.Held != held.Held {
		w.t.Fatalf("generation %s of region %s was obeyed", m.Gen, m.RegionID)
	}
}

func (w *world) place(job wire.JobKey) fleet.UUID {
	w.placed++
	u := fleet.UUID{w.placed}
	w.desired[u] = &wire.DesiredAlloc{ID: u, Job: job, Group: "g", CreateTime: w.now.UnixNano()}
	if job.ID == "a" { // one port, held by one of the job at a time: the region knows no others than those it wants
		w.desired[u].Granted = portGranted(1)
		for id, other := range w.desired {
			if id != u && other.Granted != "" && !other.Stop && !fleet.ClientTerminal(w.known[id].Status) {
				w.desired[u].Granted = ""
			}
		}
	}
	return u
}

// settle lets everything good happen until nothing is left to happen.
func (w *world) settle() {
	w.t.Helper()
	for range 10_000 {
		switch {
		case len(w.pending) > 0:
			w.answer(0, false)
		case w.outgoing != nil:
			w.commit(true)
		case !w.wakeAt.IsZero():
			if w.wakeAt.After(w.now) {
				w.pass(w.wakeAt.Sub(w.now))
			}
			w.wakeAt = time.Time{}
			w.step(device.Timer{})
		default:
			return
		}
	}
	w.t.Fatalf("the device does not come to rest")
}

func (w *world) runningOf(id fleet.UUID) (n int) {
	for in := range w.running {
		if strings.HasPrefix(in, id.String()+"/") {
			n++
		}
	}
	return n
}

func (w *world) status(id fleet.UUID) string {
	v, ok := w.dev.Alloc(id)
	if !ok {
		return "absent"
	}
	return v.Status
}

var _ tb = (*testing.T)(nil)
