package httpapi

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/jobspec"
)

// prepared is a job that was decoded, made canonical and checked.
type prepared struct {
	job      *fleet.Job
	problems fleet.Problems
}

// prepare decodes a job and finds everything wrong with it. The error is for a
// body that is no job at all.
func (a *API) prepare(body []byte, registering bool) (*prepared, error) {
	job, err := jobspec.ParseJSON(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	p := &prepared{job: job.Spec()} // what clients send back of a job they read is not theirs to set
	if p.job.Region == "" || p.job.Region == fleet.DefaultRegion {
		p.job.Region = a.Region // clients of the field fill the default in
	}
	fleet.Canonicalize(p.job)
	p.problems = append(fleet.Validate(p.job, config.Check), fleet.CheckMounts(p.job, config.CheckMount)...)
	if p.job.Region != a.Region {
		p.refuse("Region", fmt.Sprintf("there is no way from here to region %q", p.job.Region), fmt.Sprintf("this is region %q", a.Region))
	}
	if n := len(fleet.CanonicalBytes(p.job)); n > fleet.JobSpecBytesMax {
		p.refuse("Job", fmt.Sprintf("the job has %d bytes with its defaults", n), fmt.Sprintf("at most %d", fleet.JobSpecBytesMax))
	}
	a.checkModules(p, registering)
	a.checkPool(p)
	if !a.Store.View().SchedulerConfigOf(p.job.NodePool).MemoryOversubscriptionEnabled {
		p.problems = append(p.problems, fleet.MemoryMaxIgnored(p.job)...)
	}
	return p, nil
}

func (p *prepared) refuse(path, message, fix string) {
	p.problems = append(p.problems, fleet.Problem{Path: path, Message: message, Fix: fix})
}

// checkModules refuses modules that no device could get. A plan or a validation
// may come before the push, so there a missing one is only a warning.
func (a *API) checkModules(p *prepared, registering bool) {
	for i, g := range p.job.TaskGroups {
		for k, t := range g.Tasks {
			refs, err := config.Modules(t.Driver, t.Config)
			if err != nil {
				continue // fleet.Validate has refused the config
			}
			path := fmt.Sprintf("TaskGroups[%d].Tasks[%d].Config.module", i, k)
			for _, ref := range refs {
				switch {
				case ref.Kind == config.ModuleLocal:
					p.refuse(path, fmt.Sprintf("%q is a path, and devices cannot read the submitter's files", ref.Path),
						"push the file (PUT /v1/module/sha256:…) and name its digest; dunlin run does both")
				case ref.Kind == config.ModuleDigest && !a.Modules.Has(ref.Digest):
					p.problems = append(p.problems, fleet.Problem{
						Path: path, Message: "the region does not hold module " + ref.Digest,
						Fix: "push it first: PUT /v1/module/" + ref.Digest, Warning: !registering,
					})
				}
			}
		}
	}
}

// registration is what may stand beside the job in the body.
type registration struct {
	EnforceIndex   bool
	JobModifyIndex uint64
	PreserveCounts bool
	EvalPriority   int
}

func (o registration) warnings() []string {
	var out []string
	if o.PreserveCounts {
		out = append(out, "PreserveCounts is not carried out: counts are those of the job")
	}
	if o.EvalPriority != 0 {
		out = append(out, "EvalPriority is not carried out: evaluations have the job's priority")
	}
	return out
}

func (a *API) registerJob(w http.ResponseWriter, r *http.Request) error {
	body, err := a.body(w, r)
	if err != nil {
		return err
	}
	p, err := a.prepare(body, true)
	if err != nil {
		return err
	}
	if err := a.takesJobs(); err != nil {
		return err
	}
	if id := r.PathValue("id"); id != "" && id != string(p.job.ID) {
		p.refuse("ID", fmt.Sprintf("the body's job is %q, the path's %q", p.job.ID, id), "make them the same")
	}
	if err := p.problems.Err(); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	var o registration
	if err := decodeJSON(body, &o); err != nil {
		return err
	}
	if err := a.checkIndex(o, p.job.ID); err != nil {
		return err
	}
	cmd := &command.JobRegister{
		Spec: fleet.CanonicalBytes(p.job), EvalID: mint(), At: a.Now().UnixNano(),
		CheckIndex: o.EnforceIndex, JobIndex: o.JobModifyIndex,
	}
	index, err := a.propose(r.Context(), cmd)
	if err != nil {
		return err
	}
	out := api.JobRegisterResponse{
		Warnings:  strings.Join(append(p.problems.Warnings(), o.warnings()...), "\n"),
		WriteMeta: a.writeMeta(index),
	}
	out.EvalID, out.EvalCreateIndex, out.JobModifyIndex = a.outcome(cmd.EvalID, p.job.ID)
	return a.answer(w, r, index, out)
}

// checkIndex says early, and in words, what the log would refuse.
func (a *API) checkIndex(o registration, id fleet.JobID) error {
	if !o.EnforceIndex {
		return nil
	}
	j := a.Store.View().JobByID(fleet.DefaultNamespace, id)
	switch {
	case j == nil && o.JobModifyIndex != 0:
		return refuse(http.StatusConflict, "job %q is expected at index %d and does not exist; it was purged meanwhile", id, o.JobModifyIndex)
	case j != nil && o.JobModifyIndex == 0:
		return refuse(http.StatusConflict, "job %q exists already, at index %d", id, j.JobModifyIndex)
	case j != nil && j.JobModifyIndex != o.JobModifyIndex:
		return refuse(http.StatusConflict, "job %q is at index %d, not %d: someone changed it; plan again", id, j.JobModifyIndex, o.JobModifyIndex)
	}
	return nil
}

// outcome reads what a write left behind.
func (a *API) outcome(eval fleet.UUID, id fleet.JobID) (fleet.EvalID, uint64, uint64) {
	v := a.Store.View()
	var jobIndex uint64
	if j := v.JobByID(fleet.DefaultNamespace, id); j != nil {
		jobIndex = j.JobModifyIndex
	}
	if e := v.Eval(eval); e != nil {
		return fleet.EvalID(eval.String()), e.CreateIndex, jobIndex
	}
	return "", 0, jobIndex // nothing was left to schedule
}

func (a *API) deregisterJob(w http.ResponseWriter, r *http.Request) error {
	purge, err := boolParam(r, "purge")
	if err != nil {
		return err
	}
	j, err := findJob(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	cmd := &command.JobDeregister{Namespace: j.Namespace, ID: j.ID, Purge: purge, EvalID: mint(), At: a.Now().UnixNano()}
	index, err := a.propose(r.Context(), cmd)
	if err != nil {
		return err
	}
	out := api.JobDeregisterResponse{WriteMeta: a.writeMeta(index)}
	out.EvalID, out.EvalCreateIndex, out.JobModifyIndex = a.outcome(cmd.EvalID, j.ID)
	return a.answer(w, r, index, out)
}

func (a *API) evaluateJob(w http.ResponseWriter, r *http.Request) error {
	var in api.JobEvaluateRequest
	if r.ContentLength != 0 {
		if err := a.decode(w, r, &in); err != nil {
			return err
		}
	}
	if in.EvalOptions.ForceReschedule {
		return refuse(http.StatusBadRequest, "EvalOptions.ForceReschedule is not carried out; leave it out")
	}
	j, err := findJob(a.Store.View(), r.PathValue("id"))
	if err != nil {
		return err
	}
	cmd := &command.JobEvaluate{Namespace: j.Namespace, ID: j.ID, EvalID: mint(), At: a.Now().UnixNano()}
	index, err := a.propose(r.Context(), cmd)
	if err != nil {
		return err
	}
	out := api.JobRegisterResponse{WriteMeta: a.writeMeta(index)}
	out.EvalID, out.EvalCreateIndex, out.JobModifyIndex = a.outcome(cmd.EvalID, j.ID)
	return a.answer(w, r, index, out)
}

func (a *API) validateJob(w http.ResponseWriter, r *http.Request) error {
	body, err := a.body(w, r)
	if err != nil {
		return err
	}
	p, err := a.prepare(body, false)
	if err != nil {
		return err
	}
	out := api.JobValidateResponse{DriverConfigValidated: true, Warnings: strings.Join(p.problems.Warnings(), "\n")}
	for _, problem := range p.problems {
		if !problem.Warning {
			out.ValidationErrors = append(out.ValidationErrors, problem.String())
		}
	}
	if err := p.problems.Err(); err != nil {
		out.Error = err.Error()
	}
	return a.answer(w, r, a.Store.View().Index(), out)
}

func (a *API) parseJob(w http.ResponseWriter, r *http.Request) error {
	var in api.JobsParseRequest
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	var opts jobspec.Options
	if in.Variables != "" {
		opts.VarFiles = []jobspec.VarFile{{Name: "variables", Src: []byte(in.Variables)}}
	}
	parsed, diags := jobspec.Parse("job.hcl", []byte(in.JobHCL), opts)
	if err := diags.Err(); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	if parsed == nil {
		return errors.New("the job file gave neither a job nor an error")
	}
	if in.Canonicalize {
		fleet.Canonicalize(parsed.Job)
	}
	return a.answer(w, r, a.Store.View().Index(), parsed.Job)
}

func boolParam(r *http.Request, name string) (bool, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		return false, refuse(http.StatusBadRequest, "%s %q is neither true nor false", name, s)
	}
	return v, nil
}

func mint() fleet.UUID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fleet.MintUUID(b)
}
