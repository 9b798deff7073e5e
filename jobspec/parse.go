package jobspec

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Options is what a job file may see beyond its own text.
type Options struct {
	// Vars are values given on the command line (-var x=y). They win.
	Vars map[string]string
	// VarFiles are files of values, later ones winning over earlier ones.
	VarFiles []VarFile
	// Env are values from the environment (see EnvVars). Names that the job file
	// does not declare are ignored: an environment is shared by many jobs.
	Env map[string]string
	// ReadFile serves the function file(). Nil refuses it, as a server must.
	ReadFile func(name string) ([]byte, error)
}

// Result is a parsed job file.
type Result struct {
	// Job is the job as written; defaults are not filled in.
	Job *fleet.Job
	// Positions says where a field stands, by its path as in
	// fleet.Problem.Path; "" is the job block.
	Positions map[string]hcl.Range

	src []byte
}

// Parse reads a job file. The result is nil when the diagnostics have errors.
func Parse(filename string, src []byte, opts Options) (*Result, Diagnostics) {
	r := &report{sources: map[string][]byte{filename: src}}
	if !checkLimits(filename, src, r) {
		return nil, r.all()
	}
	file, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
	if diags.HasErrors() {
		r.hcl(diags)
		return nil, r.all()
	}
	top := splitTop(file.Body.(*hclsyntax.Body), r)
	d := &decoder{report: r, scope: newScope(r, src, opts.ReadFile), positions: map[string]hcl.Range{}}
	d.scope.variables(top.variables, opts)
	if len(r.list) > 0 {
		return nil, r.all() // a missing variable would only be reported again at each use
	}
	d.scope.locals(top.locals)
	if top.job == nil || len(r.list) > 0 {
		return nil, r.all()
	}
	job := d.job(top.job)
	if len(r.list) > 0 {
		return nil, r.all()
	}
	for i := range job.TaskGroups {
		for k := range job.TaskGroups[i].Networks {
			job.TaskGroups[i].Networks[k].SortPorts()
		}
	}
	return &Result{Job: job, Positions: d.positions, src: src}, nil
}

// top is the outermost level of a job file.
type top struct {
	job       *hclsyntax.Block
	variables []*hclsyntax.Block
	locals    []*hclsyntax.Block
}

func splitTop(body *hclsyntax.Body, r *report) top {
	var t top
	for _, a := range sortedAttributes(body) {
		r.at(a.NameRange, fmt.Sprintf("attribute %q stands outside of the job", a.Name), `move it into job "NAME" { … }`)
	}
	for _, b := range body.Blocks {
		switch b.Type {
		case "job":
			if t.job != nil {
				r.at(b.DefRange(), fmt.Sprintf("a second job; the first is on line %d", t.job.TypeRange.Start.Line), "write one job per file")
				continue
			}
			t.job = b
		case "variable":
			t.variables = append(t.variables, b)
		case "locals":
			t.locals = append(t.locals, b)
		default:
			hint := didYouMean(b.Type, []string{"job", "variable", "locals"})
			if in := elsewhere(b.Type); hint == "" && in != "" {
				hint = "it belongs in " + in
			}
			r.at(b.TypeRange, fmt.Sprintf("unknown block %q at the top of the file", b.Type), hint)
		}
	}
	if t.job == nil && len(r.list) == 0 {
		r.at(hcl.Range{Filename: body.SrcRange.Filename}, "the file has no job", `write job "NAME" { … }`)
	}
	return t
}

func (d *decoder) job(b *hclsyntax.Block) *fleet.Job {
	job := &fleet.Job{}
	d.positions[""] = b.DefRange()
	if len(b.Labels) != 1 {
		d.report.at(b.DefRange(), "job has "+names(len(b.Labels)), `write job "NAME" { … }`)
		return job
	}
	where := target{v: reflect.ValueOf(job).Elem(), s: schemas["job"]}
	if driver := b.Body.Attributes["driver"]; driver != nil {
		d.oneTask(b, driver, job, where)
	} else {
		d.body(b.Body, "job", where)
	}
	for path, name := range map[string]bool{"ID": job.ID == "", "Name": job.Name == ""} {
		if name {
			d.positions[path] = b.LabelRanges[0]
		}
	}
	if job.ID == "" {
		job.ID = fleet.JobID(b.Labels[0])
	}
	if job.Name == "" {
		job.Name = b.Labels[0]
	}
	return job
}

// oneTask reads the shorthand: a job with a driver is one group and one task,
// both named like the job. A name that more than one of the three knows goes to
// the outermost, from where it holds for the others too.
func (d *decoder) oneTask(b *hclsyntax.Block, driver *hclsyntax.Attribute, job *fleet.Job, where target) {
	name := b.Labels[0]
	job.TaskGroups = []fleet.TaskGroup{{Name: name, Tasks: []fleet.Task{{Name: name}}}}
	for _, inner := range b.Body.Blocks {
		if inner.Type == "group" || inner.Type == "task" {
			d.report.at(inner.DefRange(),
				fmt.Sprintf("%s in a job with a driver of its own (line %d), which is one group and one task already", inner.Type, driver.NameRange.Start.Line),
				"move driver and its config into the task, or leave the "+inner.Type+" out")
			return
		}
	}
	group := target{reflect.ValueOf(&job.TaskGroups[0]).Elem(), "TaskGroups[0]", schemas["group"]}
	task := target{reflect.ValueOf(&job.TaskGroups[0].Tasks[0]).Elem(), "TaskGroups[0].Tasks[0]", schemas["task"]}
	d.positions[group.path], d.positions[task.path] = b.DefRange(), b.DefRange()
	d.body(b.Body, "job", where, group, task)
}

// Locate gives the problems of the job their places: each at the field itself,
// or at the innermost block around it that was written.
func (r *Result) Locate(problems fleet.Problems) Diagnostics {
	var out Diagnostics
	for _, p := range problems {
		rng := r.Positions[""]
		for path := p.Path; path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
			if at, ok := r.Positions[path]; ok {
				rng = at
				break
			}
		}
		out = append(out, Diagnostic{
			File: rng.Filename, Line: rng.Start.Line, Column: rng.Start.Column, Source: line(r.src, rng.Start),
			Message: p.Path + ": " + p.Message, Hint: p.Fix, Warning: p.Warning,
		})
	}
	return out
}
