package command

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// DeploymentBytesMax bounds an encoded deployment: a line per group and the IDs of
// its canaries.
const DeploymentBytesMax = 1 << 20

// DeploymentPut stores a deployment of a job's version, new or as it is now. Which
// canaries are placed is not taken from it: plans say that, in the log's order. Nor
// is a promotion taken back.
type DeploymentPut struct {
	Deployment []byte // fleet.Deployment as JSON
	EvalID     fleet.UUID
	At         int64
}

// DeploymentStatus changes how a deployment is, or promotes groups of it. One that
// is over stays as it is.
type DeploymentStatus struct {
	ID          fleet.UUID
	Status      string
	Description string
	Promote     []string // groups
	EvalID      fleet.UUID
	At          int64
}

func (DeploymentPut) code() byte { return codeDeploymentPut }

func (c DeploymentPut) append(b []byte) []byte {
	return codec.AppendInt(appendUUID(codec.AppendBytes(b, c.Deployment), c.EvalID), c.At)
}

func readDeploymentPut(r *codec.Reader) DeploymentPut {
	return DeploymentPut{Deployment: r.Bytes("a deployment", DeploymentBytesMax), EvalID: r.UUID(), At: r.Int()}
}

func (DeploymentStatus) code() byte { return codeDeploymentStatus }

func (c DeploymentStatus) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(appendUUID(b, c.ID), c.Status), c.Description)
	b = codec.AppendUint(b, uint64(len(c.Promote)))
	for _, g := range c.Promote {
		b = codec.AppendString(b, g)
	}
	return codec.AppendInt(appendUUID(b, c.EvalID), c.At)
}

func readDeploymentStatus(r *codec.Reader) DeploymentStatus {
	c := DeploymentStatus{ID: r.UUID(), Status: r.String("a status", wordMax), Description: r.String("a description", reasonMax)}
	for range r.Count("promoted groups", fleet.GroupsMax, 1) {
		c.Promote = append(c.Promote, r.String("a group", wordMax))
	}
	c.EvalID, c.At = r.UUID(), r.Int()
	return c
}

// DeploymentStored is the result of both commands.
type DeploymentStored struct{ Deployment *fleet.Deployment }

func applyDeploymentPut(x *state.Txn, index uint64, c DeploymentPut) (DeploymentStored, error) {
	var spec fleet.Deployment
	if err := json.Unmarshal(c.Deployment, &spec); err != nil {
		return DeploymentStored{}, fmt.Errorf("%w: the deployment: %v", ErrInvalid, err)
	}
	id, err := fleet.ParseUUID(string(spec.ID))
	if err != nil {
		return DeploymentStored{}, fmt.Errorf("%w: the deployment's ID: %v", ErrInvalid, err)
	}
	j, err := findJob(x, spec.Namespace, spec.JobID)
	if err != nil {
		return DeploymentStored{}, err
	}
	v := j.Version(spec.JobVersion)
	if v == nil {
		return DeploymentStored{}, fmt.Errorf("job %s version %d: %w", spec.JobID, spec.JobVersion, ErrNoSuchVersion)
	}
	if err := spec.Validate(v.Spec); err != nil {
		return DeploymentStored{}, fmt.Errorf("%w: deployment %s: %v", ErrInvalid, spec.ID, err)
	}
	old := x.Deployment(id)
	if old != nil && (old.Job != j.Key || old.Spec.JobVersion != spec.JobVersion) {
		return DeploymentStored{}, fmt.Errorf("deployment %s: %w, of version %d of job %s", spec.ID, ErrExists, old.Spec.JobVersion, old.Spec.JobID)
	}
	for name, s := range spec.TaskGroups {
		s.PlacedCanaries = nil
		if old != nil && old.Spec.TaskGroups[name] != nil {
			was := old.Spec.TaskGroups[name]
			s.PlacedCanaries, s.Promoted = was.PlacedCanaries, s.Promoted || was.Promoted
		}
	}
	return storeDeployment(x, index, j, state.Deployment{ID: id, Job: j.Key, Spec: &spec}, c.EvalID, c.At)
}

func applyDeploymentStatus(x *state.Txn, index uint64, c DeploymentStatus) (DeploymentStored, error) {
	d := x.Deployment(c.ID)
	if d == nil {
		return DeploymentStored{}, fmt.Errorf("deployment %s: %w", c.ID, ErrNoSuchDeployment)
	}
	if d.Spec.Over() {
		return DeploymentStored{}, fmt.Errorf("%w: deployment %s is %s, and stays so", ErrInvalid, c.ID, d.Spec.Status)
	}
	j := x.Job(d.Job)
	v := j.Version(d.Spec.JobVersion)
	if v == nil {
		return DeploymentStored{}, fmt.Errorf("job %s version %d: %w", j.ID, d.Spec.JobVersion, ErrNoSuchVersion)
	}
	spec := *d.Spec
	spec.Status, spec.StatusDescription = c.Status, c.Description
	spec.TaskGroups = maps.Clone(spec.TaskGroups)
	for _, name := range c.Promote {
		if spec.TaskGroups[name] == nil {
			return DeploymentStored{}, fmt.Errorf("%w: deployment %s is not about group %q", ErrInvalid, c.ID, name)
		}
		s := *spec.TaskGroups[name]
		s.Promoted = true
		spec.TaskGroups[name] = &s
	}
	if err := spec.Validate(v.Spec); err != nil {
		return DeploymentStored{}, fmt.Errorf("%w: deployment %s: %v", ErrInvalid, c.ID, err)
	}
	return storeDeployment(x, index, j, state.Deployment{ID: d.ID, Job: d.Job, Spec: &spec}, c.EvalID, c.At)
}

func storeDeployment(x *state.Txn, index uint64, j *state.Job, d state.Deployment, eval fleet.UUID, at int64) (DeploymentStored, error) {
	if err := newEvalID(x, eval); err != nil {
		return DeploymentStored{}, err
	}
	if d.Spec.CreateTime == 0 {
		d.Spec.CreateTime = at
	}
	d.Spec.ModifyTime = at
	row := x.PutDeployment(d, index)
	if !j.Stop {
		x.PutEval(pendingEval(j, eval, fleet.TriggerDeployment, at), index)
	}
	return DeploymentStored{row.Spec}, nil
}

// canaries notes which of a plan's placements are canaries: what is placed of a
// version whose canaries nobody promoted is one, unless it takes the place of what
// is none.
func (p *planner) canaries() {
	if p.version == nil {
		return
	}
	j := p.x.Job(p.version.Job)
	if j == nil || j.Current() != p.version {
		return
	}
	d := p.x.DeploymentOf(j)
	if d == nil || d.Spec.Over() {
		return
	}
	placed := map[string][]fleet.UUID{}
	for _, row := range p.rows {
		s := d.Spec.TaskGroups[row.GroupName()]
		if row.Version == p.version && s.Canarying() && (row.Prev.IsZero() || s.HasCanary(row.Prev)) {
			placed[row.GroupName()] = append(placed[row.GroupName()], row.ID)
		}
	}
	for _, g := range p.version.Spec.TaskGroups {
		if len(placed[g.Name]) > 0 {
			d = p.x.PlaceCanaries(d, g.Name, placed[g.Name], p.index)
		}
	}
}
