package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Defaults of a job. The values are those of the field, so that existing job
// files mean what they meant.
const (
	DefaultPriority      = 50
	DefaultRegion        = "global"
	DefaultDatacenter    = "*"
	DefaultNodePool      = "default"
	DefaultCPUMHz        = 100
	DefaultMemoryMB      = 300
	DefaultKillTimeout   = 5 * time.Second
	DefaultLogFiles      = 10
	DefaultLogFileSizeMB = 10
)

// Canonicalize fills every default and brings equal meanings into one form. It
// is the only place that does, and it is idempotent.
func Canonicalize(j *Job) {
	setDefault(&j.Name, string(j.ID))
	setDefault(&j.ID, JobID(j.Name))
	setDefault(&j.Namespace, DefaultNamespace)
	setDefault(&j.Region, DefaultRegion)
	setDefault(&j.Type, JobTypeService)
	setDefault(&j.NodePool, DefaultNodePool)
	setDefaultPtr(&j.Priority, DefaultPriority)
	if len(j.Datacenters) == 0 {
		j.Datacenters = []string{DefaultDatacenter}
	}
	canonicalConstraints(j.Constraints)
	j.Constraints, j.Meta = emptyNil(j.Constraints), emptyNilMap(j.Meta)
	j.Affinities, j.Spreads = canonicalAffinities(j.Affinities), canonicalSpreads(j.Spreads)
	clearEmpty(&j.JobUncarried)
	for i := range j.TaskGroups {
		canonicalGroup(&j.TaskGroups[i], j.Type)
		canonicalSteps(j, &j.TaskGroups[i])
	}
	inherit(&j.Update, nil)
	inherit(&j.Migrate, nil)
	fillUpdate(j.Update)
	fillMigrate(j.Migrate)
}

func canonicalGroup(g *TaskGroup, jobType string) {
	setDefaultPtr(&g.Count, 1)
	canonicalConstraints(g.Constraints)
	g.Constraints, g.Meta = emptyNil(g.Constraints), emptyNilMap(g.Meta)
	g.Affinities, g.Spreads = canonicalAffinities(g.Affinities), canonicalSpreads(g.Spreads)
	canonicalDisk(g)
	canonicalVolumes(g)
	g.Networks = canonicalNetworks(g.Networks)
	clearEmpty(&g.GroupUncarried)
	if g.RestartPolicy == nil {
		g.RestartPolicy = &RestartPolicy{}
	}
	canonicalRestart(g.RestartPolicy, defaultRestart(jobType))
	if g.ReschedulePolicy == nil {
		g.ReschedulePolicy = &ReschedulePolicy{}
	}
	canonicalReschedule(g.ReschedulePolicy, jobType)
	canonicalDisconnect(g.Disconnect)
	for i := range g.Tasks {
		canonicalTask(&g.Tasks[i], g)
	}
}

func canonicalTask(t *Task, g *TaskGroup) {
	if t.Resources == nil {
		t.Resources = &Resources{}
	}
	setDefaultPtr(&t.Resources.CPU, DefaultCPUMHz)
	setDefaultPtr(&t.Resources.MemoryMB, DefaultMemoryMB)
	canonicalMemory(t.Resources)
	t.Resources.Devices = canonicalDevices(t.Resources.Devices)
	clearEmpty(&t.Resources.ResourcesUncarried)
	setDefaultPtr(&t.KillTimeout, Duration(DefaultKillTimeout))
	if t.LogConfig == nil {
		t.LogConfig = &LogConfig{}
	}
	setDefaultPtr(&t.LogConfig.MaxFiles, DefaultLogFiles)
	setDefaultPtr(&t.LogConfig.MaxFileSizeMB, DefaultLogFileSizeMB)
	clearEmpty(t.LogConfig)
	if t.RestartPolicy == nil {
		t.RestartPolicy = &RestartPolicy{}
	}
	canonicalRestart(t.RestartPolicy, *g.RestartPolicy)
	canonicalConstraints(t.Constraints)
	t.Affinities = canonicalAffinities(t.Affinities)
	t.Constraints, t.Meta, t.Env = emptyNil(t.Constraints), emptyNilMap(t.Meta), emptyNilMap(t.Env)
	t.Config = canonicalJSON(t.Config)
	clearEmpty(&t.TaskUncarried)
}

func canonicalConstraints(cs []Constraint) {
	for i := range cs {
		cs[i].Operand = cs[i].Op()
		if cs[i].Mode == ConstraintPlace {
			cs[i].Mode = ""
		}
	}
}

func defaultRestart(jobType string) RestartPolicy {
	p := RestartPolicy{
		Attempts: Ptr(2), Interval: Ptr(Duration(30 * time.Minute)),
		Delay: Ptr(Duration(15 * time.Second)), Mode: Ptr(RestartModeFail),
	}
	if jobType == JobTypeBatch || jobType == JobTypeSysBatch {
		p.Attempts, p.Interval = Ptr(3), Ptr(Duration(24*time.Hour))
	}
	return p
}

func canonicalRestart(p *RestartPolicy, def RestartPolicy) {
	setDefaultPtr(&p.Attempts, *def.Attempts)
	setDefaultPtr(&p.Interval, *def.Interval)
	setDefaultPtr(&p.Delay, *def.Delay)
	setDefaultPtr(&p.Mode, *def.Mode)
}

func canonicalReschedule(p *ReschedulePolicy, jobType string) {
	switch jobType {
	case JobTypeBatch:
		setDefaultPtr(&p.Attempts, 1)
		setDefaultPtr(&p.Interval, Duration(24*time.Hour))
		setDefaultPtr(&p.Delay, Duration(5*time.Second))
		setDefaultPtr(&p.DelayFunction, DelayConstant)
		setDefaultPtr(&p.MaxDelay, 0)
		setDefaultPtr(&p.Unlimited, false)
	case JobTypeService:
		setDefaultPtr(&p.Delay, Duration(30*time.Second))
		setDefaultPtr(&p.DelayFunction, DelayExponential)
		setDefaultPtr(&p.MaxDelay, Duration(time.Hour))
		setDefaultPtr(&p.Unlimited, p.Attempts == nil || *p.Attempts == 0)
		setDefaultPtr(&p.Attempts, 0)
		setDefaultPtr(&p.Interval, 0)
	default: // system jobs are replaced by their node coming back, not by rescheduling
		setDefaultPtr(&p.Attempts, 0)
		setDefaultPtr(&p.Interval, 0)
		setDefaultPtr(&p.Delay, 0)
		setDefaultPtr(&p.DelayFunction, DelayConstant)
		setDefaultPtr(&p.MaxDelay, 0)
		setDefaultPtr(&p.Unlimited, false)
	}
}

// CanonicalBytes is the canonical JSON of j's specification. Two registrations
// with equal bytes are the same version.
func CanonicalBytes(j *Job) []byte {
	c := j.Spec().Clone()
	Canonicalize(c)
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("fleet: canonical job %s must encode: %v", j.ID, err))
	}
	return b
}

// canonicalJSON re-encodes raw JSON with sorted keys and no spaces. Input that
// is not JSON is left for Validate to refuse.
func canonicalJSON(raw json.RawMessage) json.RawMessage {
	if emptyJSON(raw) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil || dec.More() {
		return raw
	}
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		return raw
	case emptyJSON(b): // it was written with spaces inside
		return nil
	}
	return b
}

func setDefault[T ~string](p *T, def T) {
	if *p == "" {
		*p = def
	}
}

func setDefaultPtr[T any](p **T, def T) {
	if *p == nil {
		*p = &def
	}
}

func emptyNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func emptyNilMap[K comparable, V any](m map[K]V) map[K]V {
	if len(m) == 0 {
		return nil
	}
	return m
}
