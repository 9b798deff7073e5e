package fleet

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Problem is one thing wrong, or worth a warning, in a job.
type Problem struct {
	Path    string // field path, such as "TaskGroups[0].Tasks[1].Driver"
	Message string // what is wrong, with the value
	Fix     string `json:",omitempty"` // what to do
	Warning bool   `json:",omitempty"` // the job may still be registered
}

// String formats p on one line.
func (p Problem) String() string {
	s := p.Path + ": " + p.Message
	if p.Fix != "" {
		s += "; " + p.Fix
	}
	return s
}

// Problems is every problem of a job.
type Problems []Problem

// Err returns the refusals as one error, or nil when there are only warnings.
func (ps Problems) Err() error {
	var lines []string
	for _, p := range ps {
		if !p.Warning {
			lines = append(lines, p.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}

// Warnings returns the warnings, one line each.
func (ps Problems) Warnings() []string {
	var lines []string
	for _, p := range ps {
		if p.Warning {
			lines = append(lines, p.String())
		}
	}
	return lines
}

// ConfigCheck checks the driver configuration of a task; it is passed in so
// that the nouns need not know the drivers.
type ConfigCheck func(driver string, config json.RawMessage) error

// Validate returns everything that is wrong with a canonical job. The same
// function answers `validate`, `plan` and registration.
func Validate(j *Job, config ConfigCheck) Problems {
	c := &checker{config: config}
	c.job(j)
	return c.problems
}

type checker struct {
	config   ConfigCheck
	problems Problems
}

func (c *checker) refuse(path, msg, fix string) {
	c.problems = append(c.problems, Problem{Path: path, Message: msg, Fix: fix})
}

func (c *checker) warn(path, msg string) {
	c.problems = append(c.problems, Problem{Path: path, Message: msg, Warning: true})
}

var nameRule = regexp.MustCompile(`^[^\x00-\x1f\x7f/]+$`)

func (c *checker) job(j *Job) {
	c.name("ID", string(j.ID), JobIDBytesMax)
	c.name("Name", j.Name, JobIDBytesMax)
	if strings.ContainsAny(string(j.ID), " \t") {
		c.refuse("ID", fmt.Sprintf("%q contains a space", j.ID), "use dashes")
	}
	switch j.Type {
	case JobTypeService, JobTypeBatch, JobTypeSystem, JobTypeSysBatch:
	default:
		c.refuse("Type", fmt.Sprintf("unknown job type %q", j.Type), "use service, batch, system or sysbatch")
	}
	if p := *j.Priority; p < JobPriorityMin || p > JobPriorityMax {
		c.refuse("Priority", fmt.Sprintf("%d is out of range", p), fmt.Sprintf("use %d to %d", JobPriorityMin, JobPriorityMax))
	}
	if j.Namespace != DefaultNamespace {
		c.refuse("Namespace", fmt.Sprintf("namespace %q does not exist", j.Namespace), "use default")
	}
	if err := CheckPoolName(j.NodePool); err != nil {
		c.refuse("NodePool", err.Error(), "")
	}
	for i, dc := range j.Datacenters {
		if strings.TrimSpace(dc) == "" {
			c.refuse(fmt.Sprintf("Datacenters[%d]", i), "a datacenter's name is empty", `write its name, or "*" for all`)
		}
	}
	c.constraints("Constraints", j.Constraints, j.Type)
	c.affinities("Affinities", j.Affinities, j.Type)
	c.spreads("Spreads", j.Spreads, j.Type)
	c.meta("Meta", j.Meta)
	c.outerReferences("Meta", j.Meta)
	c.checkUncarried("Job", "", &j.JobUncarried)
	c.groups(j)
}

func (c *checker) groups(j *Job) {
	if len(j.TaskGroups) == 0 {
		c.refuse("TaskGroups", "the job has no group", "add group \"NAME\" { task \"NAME\" { … } }")
	}
	if len(j.TaskGroups) > GroupsMax {
		c.refuse("TaskGroups", fmt.Sprintf("%d groups", len(j.TaskGroups)), fmt.Sprintf("at most %d", GroupsMax))
	}
	seen := map[string]bool{}
	for i := range j.TaskGroups {
		g := &j.TaskGroups[i]
		path := fmt.Sprintf("TaskGroups[%d]", i)
		if seen[g.Name] {
			c.refuse(path+".Name", fmt.Sprintf("two groups are named %q", g.Name), "give each its own name")
		}
		seen[g.Name] = true
		c.group(path, g, j)
	}
}

func (c *checker) group(path string, g *TaskGroup, j *Job) {
	c.name(path+".Name", g.Name, JobIDBytesMax)
	if n := *g.Count; n < 0 || n > GroupCountMax {
		c.refuse(path+".Count", fmt.Sprintf("%d is out of range", n), fmt.Sprintf("use 0 to %d", GroupCountMax))
	}
	if PerNode(j.Type) {
		c.perNode(path, g, j)
	}
	c.constraints(path+".Constraints", g.Constraints, j.Type)
	c.affinities(path+".Affinities", g.Affinities, j.Type)
	c.spreads(path+".Spreads", g.Spreads, j.Type)
	if n := len(g.AllSpreads(j)); len(g.Spreads) <= SpreadsMax && len(j.Spreads) <= SpreadsMax && n > SpreadsMax {
		c.refuse(path+".Spreads", fmt.Sprintf("%d spreads count for the group, the job's included", n), fmt.Sprintf("at most %d", SpreadsMax))
	}
	c.meta(path+".Meta", g.Meta)
	c.outerReferences(path+".Meta", g.Meta)
	c.restart(path+".RestartPolicy", g.RestartPolicy)
	c.reschedule(path+".ReschedulePolicy", g.ReschedulePolicy)
	c.disconnect(path+".Disconnect", g)
	c.update(path+".Update", g.Update, j.Type)
	c.migrate(path+".Migrate", g.Migrate, j.Type)
	c.disk(path+".EphemeralDisk", g)
	c.volumes(path+".Volumes", g)
	c.networks(path+".Networks", g)
	c.devices(path+".Tasks", g)
	c.checkUncarried("Group", path, &g.GroupUncarried)
	if len(g.Tasks) == 0 {
		c.refuse(path+".Tasks", fmt.Sprintf("group %q has no task", g.Name), "add task \"NAME\" { driver = … }")
	}
	if len(g.Tasks) > TasksMax {
		c.refuse(path+".Tasks", fmt.Sprintf("%d tasks", len(g.Tasks)), fmt.Sprintf("at most %d", TasksMax))
	}
	seen := map[string]bool{}
	for i := range g.Tasks {
		t := &g.Tasks[i]
		p := fmt.Sprintf("%s.Tasks[%d]", path, i)
		if seen[t.Name] {
			c.refuse(p+".Name", fmt.Sprintf("two tasks of group %q are named %q", g.Name, t.Name), "give each its own name")
		}
		seen[t.Name] = true
		c.task(p, t, j.Type)
		c.references(p, j, g, t)
		c.mounts(p+".VolumeMounts", t, g)
	}
}

func (c *checker) task(path string, t *Task, jobType string) {
	c.name(path+".Name", t.Name, JobIDBytesMax)
	if t.Driver == "" {
		c.refuse(path+".Driver", fmt.Sprintf("task %q names no driver", t.Name), `write driver = "wasm"`)
	} else if c.config != nil {
		if err := c.config(t.Driver, t.Config); err != nil {
			c.refuse(path+".Config", err.Error(), "")
		}
	}
	if n := *t.Resources.CPU; n < 1 {
		c.refuse(path+".Resources.CPU", fmt.Sprintf("cpu is %d", n), "ask for at least 1 MHz")
	}
	c.memory(path+".Resources", t.Resources)
	c.env(path+".Env", t.Env)
	c.meta(path+".Meta", t.Meta)
	c.constraints(path+".Constraints", t.Constraints, jobType)
	c.affinities(path+".Affinities", t.Affinities, jobType)
	c.restart(path+".RestartPolicy", t.RestartPolicy)
	c.duration(path+".KillTimeout", *t.KillTimeout)
	if n := *t.LogConfig.MaxFiles; n < 1 || n > 1000 {
		c.refuse(path+".LogConfig.MaxFiles", fmt.Sprintf("%d is out of range", n), "use 1 to 1000")
	}
	if n := *t.LogConfig.MaxFileSizeMB; n < 1 || n > 10_000 {
		c.refuse(path+".LogConfig.MaxFileSizeMB", fmt.Sprintf("%d is out of range", n), "use 1 to 10000 (MiB)")
	}
	c.checkUncarried("Task", path, &t.TaskUncarried)
	c.checkUncarried("Resources", path+".Resources", &t.Resources.ResourcesUncarried)
	c.checkUncarried("LogConfig", path+".LogConfig", t.LogConfig)
}

// secretKey matches names of variables that usually hold a secret. A job is
// readable by everyone who may read jobs, so it is the wrong place for one.
var secretKey = regexp.MustCompile(`(?i)(passw(or)?d|secret|token|api_?key|private_?key|credential)`)

func (c *checker) env(path string, env map[string]string) {
	for _, k := range sortedKeys(env) {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			c.refuse(path, fmt.Sprintf("%q is not a variable name", k), "leave out = and empty names")
		} else if secretKey.MatchString(k) && env[k] != "" {
			c.warn(path+"."+k, k+" looks like a secret, and whoever can read jobs can read it")
		}
	}
}

func (c *checker) meta(path string, meta map[string]string) {
	for _, k := range sortedKeys(meta) {
		if n := len(meta[k]); n > MetaValueBytesMax {
			c.refuse(path+"."+k, fmt.Sprintf("the value has %d bytes", n), fmt.Sprintf("at most %d", MetaValueBytesMax))
		}
	}
}

func (c *checker) name(path, name string, limit int) {
	switch {
	case name == "":
		c.refuse(path, "the name is empty", "")
	case len(name) > limit:
		c.refuse(path, fmt.Sprintf("%q… has %d bytes", name[:20], len(name)), fmt.Sprintf("at most %d", limit))
	case !nameRule.MatchString(name) || name == "." || name == "..":
		c.refuse(path, fmt.Sprintf("%q contains a slash or a control character", name), "use letters, digits, dots and dashes")
	}
}

func (c *checker) constraints(path string, cs []Constraint, jobType string) {
	for i, k := range cs {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case k.Mode != "" && k.Mode != ConstraintPlace && k.Mode != ConstraintAlways:
			c.refuse(p+".Mode", fmt.Sprintf("unknown mode %q", k.Mode), "use place (the default) or always")
		case k.Always() && (k.Op() == OpDistinctHosts || k.Op() == OpDistinctProperty):
			c.refuse(p+".Mode", k.Op()+" says where to place and nothing that could change later", "leave mode out")
		}
		if k.Op() == OpDistinctProperty && PerNode(jobType) {
			c.refuse(p+".Operand", fmt.Sprintf("a job of type %s runs on every node that may take it, however many have one value", jobType), "remove the constraint")
			continue
		}
		c.rule(p, k)
	}
}

func (c *checker) restart(path string, p *RestartPolicy) {
	if *p.Attempts < 0 {
		c.refuse(path+".Attempts", fmt.Sprintf("%d is negative", *p.Attempts), "use 0 for no restart")
	}
	c.duration(path+".Interval", *p.Interval)
	c.duration(path+".Delay", *p.Delay)
	if m := *p.Mode; m != RestartModeFail && m != RestartModeDelay {
		c.refuse(path+".Mode", fmt.Sprintf("unknown mode %q", m), "use fail or delay")
	}
	if *p.Attempts > 0 && *p.Interval <= 0 {
		c.refuse(path+".Interval", "attempts are counted within an interval, which is 0", "set interval")
	}
}

func (c *checker) reschedule(path string, p *ReschedulePolicy) {
	if *p.Attempts < 0 {
		c.refuse(path+".Attempts", fmt.Sprintf("%d is negative", *p.Attempts), "use 0 for none")
	}
	if *p.Attempts > ReschedulePastMax {
		c.refuse(path+".Attempts", fmt.Sprintf("%d is more than %d, which is how many are remembered", *p.Attempts, ReschedulePastMax), "use fewer, or unlimited = true with a max_delay")
	}
	c.duration(path+".Interval", *p.Interval)
	c.duration(path+".Delay", *p.Delay)
	c.duration(path+".MaxDelay", *p.MaxDelay)
	if m := *p.MaxDelay; m > 0 && m < *p.Delay && *p.DelayFunction != DelayConstant {
		c.refuse(path+".MaxDelay", fmt.Sprintf("%s is shorter than delay, %s", m, *p.Delay), "make it longer, or 0 for no limit")
	}
	switch *p.DelayFunction {
	case DelayConstant, DelayExponential, DelayFibonacci:
	default:
		c.refuse(path+".DelayFunction", fmt.Sprintf("unknown function %q", *p.DelayFunction), "use constant, exponential or fibonacci")
	}
	if *p.Attempts > 0 && *p.Unlimited {
		c.refuse(path+".Unlimited", fmt.Sprintf("unlimited with %d attempts is a contradiction", *p.Attempts), "set one of them")
	}
	if *p.Attempts > 0 && *p.Interval <= 0 {
		c.refuse(path+".Interval", "attempts are counted within an interval, which is 0", "set interval")
	}
}

// DurationMax bounds durations of a policy: longer ones are mistakes of units.
const DurationMax = 5 * 365 * 24 * time.Hour

func (c *checker) duration(path string, d Duration) {
	if d < 0 || d.Std() > DurationMax {
		c.refuse(path, fmt.Sprintf("%s is out of range", d), "use 0 to five years")
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
