package httpapi

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
)

// moves says which modules would go to which classes of devices. Devices that the plan gives nothing new are left out, and so
// are modules that come from URLs, whose bytes are not the region's.
func moves(v *state.View, job *fleet.Job, placed map[string][]state.NodeKey) []api.PlanModule {
	m := mover{view: v, job: job, digests: map[*fleet.Task]string{}}
	out := []api.PlanModule{}
	for i := range job.TaskGroups {
		g := &job.TaskGroups[i]
		for k := range g.Tasks {
			digest := m.digest(&g.Tasks[k])
			if digest == "" || len(placed[g.Name]) == 0 {
				continue
			}
			out = append(out, api.PlanModule{
				TaskGroup: g.Name, Task: g.Tasks[k].Name, Digest: digest,
				Devices: m.classes(digest, g.Name, g.Tasks[k].Name, placed[g.Name]),
			})
		}
	}
	return out
}

type mover struct {
	view    *state.View
	job     *fleet.Job
	digests map[*fleet.Task]string // rows share the nouns of their job's version
}

// digest is the module of a task that the region holds; "" if it has none.
func (m *mover) digest(t *fleet.Task) string {
	d, known := m.digests[t]
	if !known {
		// A config that does not decode is refused before it comes here, except in versions of long ago.
		if refs, err := config.Modules(t.Driver, t.Config); err == nil {
			for _, r := range refs {
				if r.Kind == config.ModuleDigest {
					d = r.Digest
				}
			}
		}
		m.digests[t] = d
	}
	return d
}

// classes counts each device once, also when several allocations go to it.
func (m *mover) classes(digest, group, task string, nodes []state.NodeKey) []api.PlanDevices {
	counts := map[api.PlanDevices]int{}
	seen := map[state.NodeKey]bool{}
	for _, key := range nodes {
		if n := m.view.Node(key); n != nil && !seen[key] {
			seen[key] = true
			c := m.held(digest, group, task, key)
			if n.Spec != nil {
				c.Arch = n.Spec.Attributes["cpu.arch"]
			}
			counts[c]++
		}
	}
	out := make([]api.PlanDevices, 0, len(counts))
	for c, n := range counts {
		c.Count = n
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b api.PlanDevices) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Base, b.Base))
	})
	return out
}

// held is what a device has that matters: the module itself, or that of the task's newest version there.
func (m *mover) held(digest, group, task string, key state.NodeKey) (c api.PlanDevices) {
	newest := uint64(0)
	for a := range m.view.AllocsByNode(key) {
		g := &a.Version.Spec.TaskGroups[a.Group]
		for i := range g.Tasks {
			d := m.digest(&g.Tasks[i])
			kin := a.Version.Spec.ID == m.job.ID && a.Version.Spec.Namespace == m.job.Namespace && g.Name == group && g.Tasks[i].Name == task
			switch {
			case d == digest:
				return api.PlanDevices{Base: digest}
			case d != "" && kin && a.Version.Version >= newest:
				newest, c.Base = a.Version.Version, d
			}
		}
	}
	return c
}

// moduleContent gives a module's bytes, for whoever computes with them: plan wants to know the size of a patch.
func (a *API) moduleContent(w http.ResponseWriter, r *http.Request) error {
	digest, err := digestOf(r)
	if err != nil {
		return err
	}
	if !a.Modules.Has(digest) {
		return refuse(http.StatusNotFound, "the region does not hold module %s", digest)
	}
	done, err := take(a.pushes, "transfers of modules")
	if err != nil {
		return err
	}
	defer done()
	f, size, err := a.Modules.Open(digest)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/wasm")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	control := http.NewResponseController(w)
	for left := size; left > 0 && err == nil && r.Method != http.MethodHead; {
		_ = control.SetWriteDeadline(time.Now().Add(PushStallTimeout))
		var n int64
		n, err = io.CopyN(w, f, min(left, 256<<10))
		left -= n
	}
	_ = control.SetWriteDeadline(time.Time{})
	if err = errors.Join(err, f.Close()); err != nil {
		a.Logger.Debug("a module was not read to its end", "digest", digest, "error", err)
	}
	return nil
}
