package region

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// users register, change and stop jobs, and keep what they were promised.
type users struct {
	s     *sim
	jobs  []*fleet.Job // last version tried, by number; nil: never
	ports *rand.Rand   // see likely; nil: nobody wants ports and devices
}

const jobsMax = 10

func (u *users) begin() {
	u.jobs = make([]*fleet.Job, jobsMax)
	if u.s.opts.Seed%2 == 1 {
		u.ports = rand.New(rand.NewPCG(u.s.opts.Seed, 60))
	}
	u.s.after(u.s.between(time.Second, 5*time.Second), "user acts", u.act)
	u.s.after(u.s.between(3*time.Second, 10*time.Second), "operator sets up", u.preemption)
	u.s.after(u.s.between(20*time.Second, time.Minute), "operator looks", u.lookAtBrake)
	u.s.after(u.s.between(5*time.Second, 20*time.Second), "deployments are looked at", u.watch)
}

// lookAtBrake has an operator release the loss brake now and then.
func (u *users) lookAtBrake() {
	if v := u.s.server.store.View(); u.s.server.up && v.Region().Brake.On {
		u.send("releases the loss brake", command.BrakeSet{Forget: true, Reason: "an operator released it", At: u.s.now.UnixNano()})
	}
	u.s.after(u.s.between(20*time.Second, time.Minute), "operator looks", u.lookAtBrake)
}

func (u *users) act() {
	if u.s.calm {
		return
	}
	if u.s.server.up {
		u.once()
	}
	u.s.after(u.s.between(200*time.Millisecond, 8*time.Second), "user acts", u.act)
}

func (u *users) once() {
	if u.likely(120) {
		u.replug()
	}
	i := u.s.rng.IntN(len(u.jobs))
	j := u.jobs[i]
	at := u.s.now.UnixNano()
	switch pick := u.s.rng.IntN(100); {
	case j == nil || pick < 25:
		u.register(i, u.newJob(i))
		if k := (i + 1) % len(u.jobs); u.likely(400) { // two at once want the same of the nodes more often than one after the other
			u.register(k, u.newJob(k))
		}
	case pick < 70:
		u.register(i, u.changed(j))
	case pick < 80:
		u.send("evaluates "+string(j.ID), command.JobEvaluate{Namespace: fleet.DefaultNamespace, ID: j.ID, EvalID: u.s.uuid(), At: at})
	case pick < 81 && u.orphan(at):
	case pick < 82:
		u.preemption()
	case pick < 84:
		m := u.s.devices[u.s.rng.IntN(len(u.s.devices))]
		if u.s.chance(400) {
			u.drain(m, at)
			break
		}
		u.send(fmt.Sprintf("sets eligibility of device %d", m.n), command.NodeEligibility{Node: m.id, Eligible: u.s.chance(600), At: at})
	case pick < 90: // what the device's session would commit
		m := u.s.devices[u.s.rng.IntN(len(u.s.devices))]
		source := []string{"mains", "battery"}[u.s.rng.IntN(2)]
		m.describe(source)
		u.s.note("user puts device %d on %s", m.n, source)
		u.told(m, source)
	default:
		purge := u.s.chance(400)
		u.send(fmt.Sprintf("stops %s, purge %t", j.ID, purge), command.JobDeregister{
			Namespace: fleet.DefaultNamespace, ID: j.ID, Purge: purge, EvalID: u.s.uuid(), At: at,
		})
	}
}

// told has a device's session commit what powers it, again until it is committed, as a session does.
func (u *users) told(m *machine, source string) {
	if m.said.Attributes[powerSource] != source {
		return // it says something else by now
	}
	c := command.NodeFacts{Node: m.id, Set: []wire.Attribute{{Name: powerSource, Value: source}}, At: u.s.now.UnixNano(), Seed: u.s.seed32()}
	data := command.Encode(c)
	u.s.server.propose(c, func(index uint64, _ any, err error) {
		if err == nil {
			u.s.checks.promised(index, data)
			return
		}
		u.s.after(time.Second, "facts are told again", func() { u.told(m, source) })
	})
}

// drain empties a device, or stops that.
func (u *users) drain(m *machine, at int64) {
	c := command.NodeDrain{Node: m.id, Drain: u.s.chance(650), IgnoreSystem: u.s.chance(300), Eligible: u.s.chance(800), At: at}
	switch u.s.rng.IntN(3) {
	case 0:
		c.Limit = fleet.Duration(u.s.between(time.Second, 40*time.Second))
	case 1:
		c.Limit = fleet.DeadlineForce
	}
	u.send(fmt.Sprintf("drains device %d: %t, at most %s", m.n, c.Drain, c.Limit), c)
}

// orphan has an operator decide about an orphan, if there is one.
func (u *users) orphan(at int64) bool {
	var all []fleet.UUID
	for n := range u.s.server.store.View().Nodes() {
		for _, o := range n.Orphans {
			all = append(all, o.ID)
		}
	}
	if len(all) == 0 {
		return false
	}
	id := all[u.s.rng.IntN(len(all))]
	if u.s.chance(500) {
		u.s.checks.orphanStopped(id)
		u.send("stops orphan "+short(id), command.AllocStop{Alloc: id, EvalID: u.s.uuid(), At: at})
	} else {
		u.send("adopts orphan "+short(id), command.AllocAdopt{Alloc: id, EvalID: u.s.uuid(), At: at})
	}
	return true
}

func (u *users) register(i int, j *fleet.Job) {
	u.jobs[i] = j
	c := command.JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: u.s.uuid(), At: u.s.now.UnixNano()}
	u.send(fmt.Sprintf("registers %s, count %d", j.ID, *j.TaskGroups[0].Count), c)
	u.rollOut(j)
}

func (u *users) send(what string, cmd command.Command) {
	u.s.note("user %s", what)
	data := command.Encode(cmd)
	u.s.server.propose(cmd, func(index uint64, _ any, err error) {
		if err == nil {
			u.s.checks.promised(index, data)
		}
	})
}

var digests = [3]string{
	"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
	"sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
}

func (u *users) newJob(i int) *fleet.Job {
	s := u.s
	j := &fleet.Job{ID: fleet.JobID(fmt.Sprintf("job-%d", i)), Type: fleet.JobTypeService, Priority: fleet.Ptr(10 + 10*s.rng.IntN(9))}
	switch pick := s.rng.IntN(100); {
	case pick < 30:
		j.Type = fleet.JobTypeBatch
	case pick < 45:
		j.Type = fleet.JobTypeSystem
	case pick < 55:
		j.Type = fleet.JobTypeSysBatch
	}
	g := fleet.TaskGroup{Name: "g", Count: fleet.Ptr(1 + s.rng.IntN(5))}
	g.RestartPolicy = &fleet.RestartPolicy{
		Attempts: fleet.Ptr(s.rng.IntN(3)), Interval: fleet.Ptr(fleet.Duration(time.Minute)),
		Delay: fleet.Ptr(fleet.Duration(s.between(time.Second, 5*time.Second))),
		Mode:  fleet.Ptr([]string{fleet.RestartModeFail, fleet.RestartModeDelay}[s.rng.IntN(2)]),
	}
	g.ReschedulePolicy = &fleet.ReschedulePolicy{
		Attempts: fleet.Ptr(1 + s.rng.IntN(3)), Interval: fleet.Ptr(fleet.Duration(10 * time.Minute)),
		Delay: fleet.Ptr(fleet.Duration(5 * time.Second)), DelayFunction: fleet.Ptr(fleet.DelayExponential),
		MaxDelay: fleet.Ptr(fleet.Duration(30 * time.Second)), Unlimited: fleet.Ptr(s.chance(500)),
	}
	if j.Type == fleet.JobTypeService && s.chance(500) {
		g.Migrate = &fleet.MigrateStrategy{MaxParallel: fleet.Ptr(1 + s.rng.IntN(3))}
	}
	if fleet.PerNode(j.Type) {
		g.Count, g.ReschedulePolicy = fleet.Ptr(1), nil
	}
	if s.chance(400) {
		g.Disconnect = u.disconnect()
	}
	if !fleet.Finite(j.Type) && s.chance(500) {
		g.Update = &fleet.UpdateStrategy{
			MaxParallel: fleet.Ptr(s.rng.IntN(3)), Stagger: fleet.Ptr(fleet.Duration(s.between(0, 10*time.Second))),
			MinHealthyTime: fleet.Ptr(fleet.Duration(s.between(0, 10*time.Second))), HealthyDeadline: fleet.Ptr(fleet.Duration(s.between(15*time.Second, time.Minute))),
		}
	}
	for k := range 1 + s.rng.IntN(2) {
		g.Tasks = append(g.Tasks, u.newTask(fmt.Sprintf("t%d", k)))
	}
	if s.chance(400) {
		g.EphemeralDisk = &fleet.EphemeralDisk{SizeMB: fleet.Ptr(100 * (1 + s.rng.IntN(5)))}
	}
	j.NodePool = fleet.NodePoolAll
	switch s.rng.IntN(6) {
	case 0:
		g.Constraints = []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
	case 1:
		g.Constraints = []fleet.Constraint{{LTarget: "${attr.arch}", Operand: "=", RTarget: "arm64"}}
	case 2:
		g.Constraints = []fleet.Constraint{{LTarget: "${attr." + powerSource + "}", Operand: "!=", RTarget: "battery", Mode: fleet.ConstraintAlways}}
	case 3:
		if !fleet.PerNode(j.Type) {
			g.Constraints = []fleet.Constraint{{LTarget: "${node.class}", Operand: fleet.OpDistinctProperty, RTarget: "2"}}
		}
	case 4:
		j.NodePool = fleet.DefaultNodePool
		if !fleet.PerNode(j.Type) {
			g.Spreads = []fleet.Spread{{Attribute: "${node.class}"}}
			g.Affinities = []fleet.Affinity{{LTarget: "${attr.arch}", RTarget: "amd64", Weight: fleet.Ptr(-30)}}
		}
	}
	g.Networks = u.network()
	g.Tasks[0].Resources.Devices = u.cameras()
	j.TaskGroups = []fleet.TaskGroup{g}
	if s.chance(200) {
		second := g
		second.Name, second.Count = "h", fleet.Ptr(1)
		j.TaskGroups = append(j.TaskGroups, second)
	}
	return j
}

// disconnect draws what a group says about devices that are away. The devices'
// own limit is above what a restart of an agent takes.
func (u *users) disconnect() *fleet.Disconnect {
	s := u.s
	d := &fleet.Disconnect{
		Replace: fleet.Ptr(s.chance(700)),
		Reconcile: fleet.Ptr([]string{
			fleet.ReconcileBestScore, fleet.ReconcileLongestRunning, fleet.ReconcileKeepOriginal, fleet.ReconcileKeepReplacement,
		}[s.rng.IntN(4)]),
	}
	if s.chance(500) {
		d.LostAfter = fleet.Ptr(fleet.Duration(s.between(10*time.Second, 80*time.Second)))
	}
	if s.chance(300) {
		d.StopOnClientAfter = fleet.Ptr(fleet.Duration(s.between(100*time.Second, 200*time.Second)))
	}
	return d
}

func (u *users) newTask(name string) fleet.Task {
	t := fleet.Task{
		Name: name, Driver: "raw_exec", Config: json.RawMessage(`{"command":"/bin/x"}`),
		KillTimeout: fleet.Ptr(fleet.Duration(u.s.between(time.Millisecond, 5*time.Second))),
		Resources:   &fleet.Resources{CPU: fleet.Ptr(50 * (1 + u.s.rng.IntN(8))), MemoryMB: fleet.Ptr(32 * (1 + u.s.rng.IntN(10)))},
	}
	if u.s.chance(600) {
		t.Driver = "wasm"
		t.Config = json.RawMessage(`{"module":"` + digests[u.s.rng.IntN(len(digests))] + `"}`)
	}
	return t
}

// changed is the next version of a job: in place, by replacement, or the same.
func (u *users) changed(old *fleet.Job) *fleet.Job {
	j := old.Clone()
	g := &j.TaskGroups[0]
	if u.likely(150) {
		g.Networks = u.network()
		return j
	}
	if u.likely(100) {
		g.Tasks[0].Resources.Devices = u.cameras()
		return j
	}
	switch u.s.rng.IntN(7) {
	case 0:
		g.Count = fleet.Ptr(u.s.rng.IntN(6))
		if fleet.PerNode(j.Type) {
			g.Count = fleet.Ptr(u.s.rng.IntN(2))
		}
	case 1:
		g.Tasks[0].KillTimeout = fleet.Ptr(fleet.Duration(u.s.between(time.Millisecond, 5*time.Second)))
	case 2:
		g.Tasks[0].Env = map[string]string{"V": fmt.Sprint(u.s.rng.IntN(1000))}
	case 3:
		g.Tasks[0].Resources.CPU = fleet.Ptr(50 * (1 + u.s.rng.IntN(8)))
	case 4:
		g.EphemeralDisk = &fleet.EphemeralDisk{SizeMB: fleet.Ptr(100 * u.s.rng.IntN(6))}
	case 5:
		j.Priority = fleet.Ptr(10 + 10*u.s.rng.IntN(9))
	}
	return j
}
