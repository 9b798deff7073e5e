package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// poolPrefix is where single pools are. It crosses /v1/node/{id}/…, of which
// neither is the more special, so it has a mux of its own: as in the field, a node
// named "pool" is reached by its ID.
const poolPrefix = "/v1/node/pool/"

func (a *API) poolRoutes() map[string]methods {
	return map[string]methods{
		poolPrefix + "{name}": {
			http.MethodGet: a.getPool, http.MethodPut: a.putPool, http.MethodDelete: a.deletePool,
		},
		poolPrefix + "{name}/nodes": {http.MethodGet: a.poolNodes},
		poolPrefix + "{name}/jobs":  {http.MethodGet: a.poolJobs},
	}
}

var poolTopics = []state.Topic{{Table: state.TableNodePools}}

func poolIndex(_ *state.View, p fleet.NodePool) uint64 { return p.ModifyIndex }

func poolView(_ *state.View, p fleet.NodePool) *fleet.NodePool { return &p }

func (a *API) listPools(w http.ResponseWriter, r *http.Request) error {
	prefix := r.URL.Query().Get("prefix")
	s := source[fleet.NodePool]{topics: poolTopics, index: poolIndex, rows: func(v *state.View) ([]fleet.NodePool, error) {
		rows := withPrefix(prefix, v.NodePools(), func(p fleet.NodePool) string { return p.Name })
		slices.SortFunc(rows, func(a, b fleet.NodePool) int { return strings.Compare(b.Name, a.Name) }) // list shows the last first
		return rows, nil
	}}
	return list(a, w, r, s, poolView)
}

// findPool names those there are when there is no such one.
func findPool(v *state.View, name string) (fleet.NodePool, error) {
	if p, ok := v.NodePool(name); ok {
		return p, nil
	}
	return fleet.NodePool{}, refuse(http.StatusNotFound, "%s", noPool(v, name))
}

func noPool(v *state.View, name string) string {
	var names []string
	for p := range v.NodePools() {
		if len(names) < SuggestionsMax {
			names = append(names, p.Name)
		}
	}
	return fmt.Sprintf("there is no node pool %q; there are %s", name, strings.Join(names, ", "))
}

func (a *API) getPool(w http.ResponseWriter, r *http.Request) error {
	s := source[fleet.NodePool]{topics: poolTopics, index: poolIndex, rows: single(func(v *state.View) (fleet.NodePool, error) {
		return findPool(v, r.PathValue("name"))
	})}
	return one(a, w, r, s, poolView)
}

func (a *API) putPool(w http.ResponseWriter, r *http.Request) error {
	var p fleet.NodePool
	if err := a.decode(w, r, &p); err != nil {
		return err
	}
	if name := r.PathValue("name"); name != "" && name != p.Name {
		return refuse(http.StatusBadRequest, "the body's pool is %q, the path's %q; make them the same", p.Name, name)
	}
	if err := p.Validate().Err(); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	raw, err := json.Marshal(&p)
	if err != nil {
		return fmt.Errorf("node pool %q: %w", p.Name, err)
	}
	index, err := a.propose(r.Context(), &command.NodePoolPut{Pool: raw})
	if err != nil {
		return err
	}
	return a.answer(w, r, index, a.writeMeta(index))
}

func (a *API) deletePool(w http.ResponseWriter, r *http.Request) error {
	index, err := a.propose(r.Context(), &command.NodePoolDelete{Name: r.PathValue("name")})
	if err != nil {
		return err
	}
	return a.answer(w, r, index, a.writeMeta(index))
}

func (a *API) poolNodes(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	s := source[*state.Node]{topics: append(poolTopics, nodeTopics...), index: nodeIndex, rows: func(v *state.View) ([]*state.Node, error) {
		if _, err := findPool(v, name); err != nil {
			return nil, err
		}
		var rows []*state.Node
		for n := range v.Nodes() {
			if n.Spec.InPool(name) {
				rows = append(rows, n)
			}
		}
		slices.SortFunc(rows, byName)
		return rows, nil
	}}
	return list(a, w, r, s, func(_ *state.View, n *state.Node) fleet.NodeListStub { return n.View().Stub() })
}

func (a *API) poolJobs(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	s := source[*state.Job]{topics: jobTopics, index: jobIndex, rows: func(v *state.View) ([]*state.Job, error) {
		if _, err := findPool(v, name); err != nil {
			return nil, err
		}
		var rows []*state.Job
		for j := range v.Jobs() {
			if j.Current().Spec.NodePool == name {
				rows = append(rows, j)
			}
		}
		slices.Reverse(rows)
		return rows, nil
	}}
	return list(a, w, r, s, jobStub)
}

func schedulerIndex(_ *state.View, c fleet.SchedulerConfiguration) uint64 { return c.ModifyIndex }

func (a *API) getScheduler(w http.ResponseWriter, r *http.Request) error {
	s := source[fleet.SchedulerConfiguration]{topics: []state.Topic{{Table: state.TableScheduler}}, index: schedulerIndex,
		rows: single(func(v *state.View) (fleet.SchedulerConfiguration, error) { return v.SchedulerConfig(), nil })}
	return one(a, w, r, s, func(v *state.View, c fleet.SchedulerConfiguration) *api.SchedulerConfigurationResponse {
		return &api.SchedulerConfigurationResponse{SchedulerConfig: &c, WriteMeta: a.writeMeta(c.ModifyIndex)}
	})
}

func (a *API) setScheduler(w http.ResponseWriter, r *http.Request) error {
	var in fleet.SchedulerConfiguration
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	in.Canonicalize()
	problems := in.Validate()
	if err := problems.Err(); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	cmd := &command.SchedulerSet{}
	if cas := r.URL.Query().Get("cas"); cas != "" {
		n, err := strconv.ParseUint(cas, 10, 64)
		if err != nil {
			return refuse(http.StatusBadRequest, "cas %q is not an index", cas)
		}
		cmd.CheckIndex, cmd.Index = true, n
	}
	var err error
	if cmd.Config, err = json.Marshal(&in); err != nil {
		return fmt.Errorf("scheduler configuration: %w", err)
	}
	index, result, err := a.proposeFor(r.Context(), cmd)
	if err != nil {
		return err
	}
	out := api.SchedulerSetConfigurationResponse{WriteMeta: a.writeMeta(index), Warnings: strings.Join(problems.Warnings(), "\n")}
	if is, ok := result.(command.SchedulerIs); ok {
		out.Updated = is.Updated
		if is.Updated {
			a.Logger.Warn("an operator changed how the region schedules", "algorithm", is.SchedulerAlgorithm,
				"paused", is.PauseEvalBroker, "rejects_jobs", is.RejectJobRegistration)
		}
	}
	return a.answer(w, r, index, out)
}

// takesJobs refuses a registration while the region takes none.
func (a *API) takesJobs() error {
	if a.Store.View().SchedulerConfig().RejectJobRegistration {
		return refuse(http.StatusForbidden, "the region takes no jobs now; an operator lets it: dunlin operator scheduler set-config -reject-job-registration=false")
	}
	return nil
}

// checkPool refuses a pool that is not there.
func (a *API) checkPool(p *prepared) {
	v := a.Store.View()
	if fleet.CheckPoolName(p.job.NodePool) != nil {
		return // fleet.Validate has refused it
	}
	if _, known := v.NodePool(p.job.NodePool); !known {
		p.refuse("NodePool", noPool(v, p.job.NodePool), "make it with dunlin node pool apply, or use default")
	}
}
