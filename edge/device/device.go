package device

import (
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-edge/dunlin/edge/alloc"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Config is what a Device needs to be made. The zero value works.
type Config struct {
	Seed          uint64 // spreads retries; another for each device
	Parse         Parser // nil: Parse
	DeadAllocsMax int    // 0: DeadAllocsMax
	Planted       Planted
}

// Planted are faults for the simulator, to show that its oracles find them. All false in a real device.
type Planted struct {
	AckBeforePersist bool // acknowledge a desired state that is not on disk
	StopOrphans      bool // take an unknown allocation for one to stop
	ForgetUnacked    bool // take a status for told when it is sent
	ObeyOlder        bool // take a desired state of an older generation
	StartCrowded     bool // start what was given the room of others while they run
}

// entry is one allocation and what this device keeps beside it.
type entry struct {
	*alloc.Alloc
	key   wire.JobKey
	job   *Job   // nil: its job is not on this device
	group *group // nil with job
	pins  []string
	hold  *hold            // its stop waits; nil: it does not
	ahead map[string]ahead // tasks that wait to start until an older version may stop

	claims  claims
	orphan  bool
	cleared bool // files gone
	buried  bool // the device has counted its end

	dirty  bool // to be written
	queued bool // to be told
	seen   uint64
	acked  uint64 // Rev that the region has committed
	told   string // client status of the last batch that named it
	wake   time.Time
}

// Device is the core of one device.
type Device struct {
	cfg     Config
	facts   Facts
	resync  bool // ask for everything on the next link
	linkUp  bool
	now     time.Time
	jobs    map[wire.JobKey]*heldJob
	allocs  map[fleet.UUID]*entry
	modules map[string]*module
	held    []fleet.UUID // entries with a hold
	crowd   []waiter     // tasks that wait for others to end
	booting bool
	// awaiting are entries that wait for the end of another, and released says that one that holds something has ended.
	awaiting []fleet.UUID
	released bool
	dead     []fleet.UUID // ended and with files, oldest first
	tombs    []fleet.UUID // ended, without files, oldest first
	timers   timers
	status   telling
	offline  offline

	// To be written.
	dirty      []fleet.UUID
	newJobs    []wire.JobSpec
	dropJobs   []wire.JobKey
	dropAllocs []fleet.UUID
	unsaved    bool // some of it is worth a write
	savedClock int64
	persistBy  time.Time // zero: nothing waits

	out  output
	cmds []alloc.Command // scratch
}

// New returns a device that waits for Boot.
func New(cfg Config) *Device {
	if cfg.Parse == nil {
		cfg.Parse = Parse
	}
	if cfg.DeadAllocsMax == 0 {
		cfg.DeadAllocsMax = DeadAllocsMax
	}
	return &Device{
		cfg: cfg, jobs: map[wire.JobKey]*heldJob{}, allocs: map[fleet.UUID]*entry{}, modules: map[string]*module{},
	}
}

// Step tells the device what happened and returns what to do about it, in order.
func (d *Device) Step(ev Event, now time.Time) []Action {
	d.now = now
	switch ev := ev.(type) {
	case Boot:
		d.boot(ev)
	case DesiredReceived:
		d.desired(ev.Message)
	case ModuleReady:
		d.moduleReady(ev.Digest)
	case ModuleFailed:
		d.moduleFailed(ev)
	case ModuleLost:
		d.moduleLost(ev.Digest)
	case TaskPrepared:
		d.taskPrepared(ev)
	case TaskHappened:
		d.taskHappened(ev)
	case LinkUp:
		d.goUp(ev.Welcome)
	case LinkDown:
		d.goDown()
	case StatusAcked:
		d.statusAcked(ev.Seq)
	case Timer:
		d.timers.woken(now)
	}
	d.runTimers()
	d.settleHolds()
	d.settleCrowd()
	d.settleClaims()
	d.watchContact()
	d.reap()
	d.tell()
	return d.finish()
}

// Register is what to say first on a new link: the region it obeys and what it holds of it. The Spec is its caller's.
func (d *Device) Register() wire.Register {
	return wire.Register{RegionID: d.facts.Region, Held: d.facts.Held, Mark: d.facts.Mark, Everything: d.resync}
}

func (d *Device) boot(ev Boot) {
	d.facts = ev.State.Facts
	d.savedClock = d.facts.Clock
	// The device's own clock is never written down as a time that has passed: one boot in 2090 would make every certificate
	// look expired for good.
	d.resync = ev.State.Doubtful
	for _, spec := range ev.State.Jobs {
		if err := d.hold(spec); err != nil {
			d.warn("%v; its tasks that run are left running", err)
		}
	}
	for _, digest := range ev.Modules {
		d.modules[digest] = &module{ready: true, found: true}
	}
	d.bootContact()
	slices.SortFunc(ev.State.Allocs, func(a, b Record) int {
		switch { // what is held first, so that nothing begins that has to wait for it
		case a.Held != nil && b.Held == nil:
			return -1
		case a.Held == nil && b.Held != nil:
			return 1
		case ran(&a) != ran(&b): // and what holds something before what waits for it
			if ran(&a) {
				return -1
			}
			return 1
		}
		return compareID(a.Desired.ID, b.Desired.ID)
	})
	d.booting = true
	for _, rec := range ev.State.Allocs {
		d.restore(rec)
	}
	d.booting = false
	d.sortDead()
	d.unpinRest()
	for _, spec := range ev.State.Jobs {
		if h := d.jobs[spec.Key]; h != nil && h.users == 0 {
			delete(d.jobs, spec.Key)
			d.dropJobs, d.unsaved = append(d.dropJobs, spec.Key), true
		}
	}
	for _, id := range ev.Dirs {
		// A folder without a record is what a crash left of a forgotten allocation. If the records themselves were lost,
		// its task may be running in it.
		if d.allocs[id] == nil && !d.facts.Region.IsZero() && !ev.State.Doubtful {
			d.out.remove = append(d.out.remove, RemoveAllocDir{Alloc: id})
		}
	}
}

func (d *Device) restore(rec Record) {
	var specs []task.Spec
	if h := d.jobs[rec.Desired.Job]; h != nil {
		if g := h.job.groups[rec.Desired.Group]; g != nil {
			specs = g.specsOf(rec.Desired.Exceeds)
			if reason := d.overdue(g.spec.StopAfter()); reason != "" && rec.EndedAt == 0 && !rec.Desired.Stop {
				rec.Desired.Stop, rec.Desired.StopReason = true, reason
			}
		}
	}
	a, cmds := alloc.Restore(rec.Record, specs, d.cfg.Seed, nil, d.now)
	e := &entry{Alloc: a, orphan: rec.Orphan, cleared: rec.Cleared, seen: rec.Rev(), claims: claimsOf(rec.Desired.Granted)}
	e.claims.owns = ran(&rec)
	d.allocs[rec.Desired.ID] = e
	if rec.Held != nil && !e.Terminal() {
		e.hold = &hold{Held: *rec.Held, told: true}
		d.held = append(d.held, e.ID())
	}
	if rec.Cleared {
		e.buried = true
		return
	}
	if err := d.use(e, rec.Desired.Job); err != nil && !a.Terminal() {
		d.resync = true
		d.warn("allocation %s: %v; what runs of it runs on, and the region will be asked for everything", rec.Desired.ID, err)
	}
	if a.Terminal() && len(cmds) == 0 {
		e.buried = true
		return
	}
	d.pin(e)
	d.do(e, cmds)
	d.do(e, e.Begin(d.cmds[:0], d.now))
	d.schedule(e)
	if e.Rev() != e.seen || e.Terminal() {
		d.touch(e)
	}
}

// taskHappened passes a driver's report on to the task it belongs to.
func (d *Device) taskHappened(ev TaskHappened) {
	e := d.allocs[ev.Alloc]
	if e == nil {
		return
	}
	t := e.Task(ev.Task)
	if t == nil {
		return
	}
	if _, ok := ev.What.(task.Destroyed); ok {
		// Until this is on disk a boot asks for it again, which does no harm.
		t.Step(ev.What, d.now)
		d.include(e)
		d.released = d.released || !e.claims.granted.Empty()
		return
	}
	if t.Attempt() != ev.Attempt {
		return
	}
	d.step(e, t, ev.What)
}

// step tells a task what happened and does what follows.
func (d *Device) step(e *entry, t *task.Task, ev task.Event) {
	d.do(e, e.Step(t, ev, d.cmds[:0], d.now))
	d.advance(e)
}

// advance begins what is due, and notes what changed.
func (d *Device) advance(e *entry) {
	if at, waiting := e.WakeAt(); waiting && !at.After(d.now) {
		d.do(e, e.Begin(d.cmds[:0], d.now))
	}
	d.touch(e)
}

// touch notes that an allocation changed, for disk, server, clock and cache.
func (d *Device) touch(e *entry) {
	d.markDirty(e)
	if rev := e.Rev(); rev != e.seen {
		e.seen = rev
		d.enqueue(e)
	}
	d.schedule(e)
	if e.Terminal() && !e.buried {
		d.bury(e)
	}
}

// schedule wakes an allocation when a task of it wants to go on.
func (d *Device) schedule(e *entry) {
	if at, waiting := e.WakeAt(); waiting && !at.Equal(e.wake) {
		e.wake = at
		d.timers.add(timer{at: at, kind: wakeAlloc, alloc: e.ID()})
	}
}

// do turns what tasks want into actions.
func (d *Device) do(e *entry, cmds []alloc.Command) {
	// Preparing a task calls back into step, which uses the scratch; the commands at hand must not be overwritten by it.
	d.cmds = nil
	for _, c := range cmds {
		d.doOne(e, c.Task, c.Do)
	}
	d.cmds = cmds[:0]
}

func (d *Device) doOne(e *entry, t *task.Task, do task.Do) {
	in := instanceOf(e, t)
	switch do {
	case task.Fetch:
		d.prepare(e, t)
	case task.Start:
		d.out.start = append(d.out.start, startOf(e, t))
		d.out.urgent = true
	case task.Recover:
		d.out.recover = append(d.out.recover, RecoverTask{Instance: in, Handle: *t.Handle()})
	case task.Stop:
		d.out.stop = append(d.out.stop, StopTask{Instance: in, Handle: *t.Handle(), Signal: t.Spec().KillSignal, Grace: t.Spec().KillTimeout})
	case task.Destroy:
		if h := t.Ended(); h != nil {
			d.out.destroy = append(d.out.destroy, DestroyTask{Instance: in, Handle: h})
		}
		if t.Unknown() {
			d.out.destroy = append(d.out.destroy, DestroyTask{Instance: in})
		}
		d.out.urgent = true
	}
}

func instanceOf(e *entry, t *task.Task) Instance {
	return Instance{Alloc: e.ID(), Task: t.Name(), Attempt: t.Attempt(), Driver: driverOf(e, t)}
}

func startOf(e *entry, t *task.Task) StartTask {
	ft, n := e.group.needsOf(t.Name())
	s := StartTask{Instance: instanceOf(e, t), Name: e.Desired().Name(), Index: e.Desired().Index, Exceeds: e.Desired().Exceeds, Job: e.job.Spec, Group: e.group.spec, Task: ft}
	s.Granted = e.claims.granted
	for _, ref := range n.modules {
		s.Modules = append(s.Modules, ref.Digest)
	}
	return s
}

func driverOf(e *entry, t *task.Task) string {
	if h := t.Handle(); h != nil {
		return h.Driver
	}
	if h := t.Ended(); h != nil {
		return h.Driver
	}
	if e.group != nil {
		if ft, _ := e.group.needsOf(t.Name()); ft != nil {
			return ft.Driver
		}
	}
	return ""
}

func (d *Device) note(format string, args ...any) {
	d.out.notes = append(d.out.notes, Note{Text: fmt.Sprintf(format, args...)})
}

func (d *Device) warn(format string, args ...any) {
	d.out.notes = append(d.out.notes, Note{Warn: true, Text: fmt.Sprintf(format, args...)})
}

func compareID(a, b fleet.UUID) int { return slices.Compare(a[:], b[:]) }
