package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// API is the handler of the HTTP API.
type API struct {
	Config
	mux      *http.ServeMux
	pools    *http.ServeMux // below poolPrefix
	blocking chan struct{}  // counts queries that wait
	streams  chan struct{}  // counts streams of logs and files
	execs    chan struct{}  // counts commands beside tasks
	pushes   chan struct{}  // counts modules being taken in
}

// New prepares the API.
func New(c Config) *API {
	a := &API{
		Config:   c,
		mux:      http.NewServeMux(),
		pools:    http.NewServeMux(),
		blocking: make(chan struct{}, BlockingMax),
		streams:  make(chan struct{}, LogStreamsMax),
		execs:    make(chan struct{}, ExecsMax),
		pushes:   make(chan struct{}, PushesMax),
	}
	for path, methods := range a.routes() {
		a.mux.Handle(path, a.route(methods))
	}
	for path, why := range uncarried {
		a.mux.Handle(path, a.route(methods{anyMethod: refuseUncarried(why)}))
	}
	for path, methods := range a.poolRoutes() {
		a.pools.Handle(path, a.route(methods))
	}
	a.pools.Handle("/", a.route(methods{anyMethod: unknownPath}))
	a.mux.Handle("/", a.route(methods{anyMethod: unknownPath}))
	return a
}

// handler answers, or returns what went wrong before anything was written.
type handler func(w http.ResponseWriter, r *http.Request) error

// methods maps methods to handlers; PUT stands for POST too, as in the field.
type methods map[string]handler

const anyMethod = "*"

func (m methods) find(method string) handler {
	switch {
	case m[method] != nil:
		return m[method]
	case method == http.MethodHead:
		return m.find(http.MethodGet) // net/http drops the body
	case method == http.MethodPost:
		if h := m[http.MethodPut]; h != nil {
			return h
		}
	}
	return m[anyMethod]
}

func (m methods) names() string {
	var names []string
	for name := range m {
		names = append(names, name)
		if name == http.MethodPut && m[http.MethodPost] == nil {
			names = append(names, http.MethodPost)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (a *API) routes() map[string]methods {
	get := func(h handler) methods { return methods{http.MethodGet: h} }
	put := func(h handler) methods { return methods{http.MethodPut: h} }
	return map[string]methods{
		"/v1/jobs":                             {http.MethodGet: a.listJobs, http.MethodPut: a.registerJob},
		"/v1/jobs/parse":                       put(a.parseJob),
		"/v1/validate/job":                     put(a.validateJob),
		"/v1/job/{id}":                         {http.MethodGet: a.getJob, http.MethodPut: a.registerJob, http.MethodDelete: a.deregisterJob},
		"/v1/job/{id}/allocations":             get(a.jobAllocations),
		"/v1/job/{id}/evaluations":             get(a.jobEvaluations),
		"/v1/job/{id}/versions":                get(a.jobVersions),
		"/v1/job/{id}/summary":                 get(a.jobSummary),
		"/v1/job/{id}/plan":                    put(a.planJob),
		"/v1/job/{id}/explain":                 get(a.explainJob),
		"/v1/job/{id}/evaluate":                put(a.evaluateJob),
		"/v1/job/{id}/deployments":             get(a.noDeployments),
		"/v1/job/{id}/deployment":              get(a.noDeployment),
		"/v1/deployments":                      get(a.noDeployments),
		"/v1/allocations":                      get(a.listAllocations),
		"/v1/allocation/{id}":                  get(a.getAllocation),
		"/v1/evaluations":                      {http.MethodGet: a.listEvaluations, http.MethodDelete: a.deleteEvaluations},
		"/v1/evaluation/{id}":                  get(a.getEvaluation),
		"/v1/evaluation/{id}/allocations":      get(a.evaluationAllocations),
		"/v1/nodes":                            get(a.listNodes),
		"/v1/nodes/invite":                     put(a.invite),
		"/v1/nodes/traffic":                    get(a.nodesTraffic),
		"/v1/nodes/invites":                    get(a.listInvites),
		"/v1/nodes/invite/{id}":                {http.MethodDelete: a.revokeInvite},
		"/v1/node/{id}/standing":               put(a.setStanding),
		"/v1/node/{id}":                        get(a.getNode),
		"/v1/node/{id}/allocations":            get(a.nodeAllocations),
		"/v1/node/{id}/traffic":                get(a.nodeTraffic),
		"/v1/node/{id}/eligibility":            put(a.setEligibility),
		"/v1/node/{id}/written":                get(a.nodeWritten),
		"/v1/node/{id}/drain":                  put(a.setDrain),
		"/v1/gateways":                         get(a.listGateways),
		"/v1/gateway/{id}/revoke":              put(a.revokeGateway),
		"/v1/client/fs/logs/{id}":              get(a.logs),
		"/v1/client/fs/ls/{id}":                get(a.listFiles),
		"/v1/client/fs/stat/{id}":              get(a.statFile),
		"/v1/client/fs/cat/{id}":               get(a.catFile),
		"/v1/client/fs/readat/{id}":            get(a.readFileAt),
		"/v1/client/fs/stream/{id}":            get(a.streamFile),
		"/v1/client/allocation/{id}/exec":      get(a.exec),
		"/v1/allocation/{id}/stop":             put(a.stopAllocation),
		"/v1/allocation/{id}/adopt":            put(a.adoptAllocation),
		"/v1/node/pools":                       {http.MethodGet: a.listPools, http.MethodPut: a.putPool},
		"/v1/system/gc":                        put(a.collect),
		"/v1/operator/scheduler/configuration": {http.MethodGet: a.getScheduler, http.MethodPut: a.setScheduler},
		"/v1/operator/epoch":                   {http.MethodGet: a.getEpoch, http.MethodPut: a.raiseEpoch},
		"/v1/operator/loss-brake":              {http.MethodGet: a.getLossBrake, http.MethodDelete: a.releaseLossBrake},
		"/v1/modules":                          get(a.listModules),
		"/v1/module/{digest}":                  {http.MethodGet: a.getModule, http.MethodPut: a.pushModule},
		"/v1/module/{digest}/content":          get(a.moduleContent),
		"/v1/status/leader":                    get(a.leader),
		"/v1/status/peers":                     get(a.peers),
		"/v1/regions":                          get(a.regions),
		"/v1/agent/self":                       get(a.self),
		"/v1/agent/members":                    get(a.members),
		"/v1/agent/health":                     get(a.health),
		"/v1/metrics":                          get(a.metrics),
	}
}

// ServeHTTP lets a request in and answers it.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, poolPrefix) {
		a.pools.ServeHTTP(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

func (a *API) route(m methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.serve(w, r, m); err != nil {
			a.fail(w, r, err)
		}
	})
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, m methods) error {
	if err := a.allow(r); err != nil {
		return err
	}
	if region := r.URL.Query().Get("region"); region != "" && region != a.Region {
		return refuse(http.StatusBadRequest, "there is no way from here to region %q; this is region %q", region, a.Region)
	}
	h := m.find(r.Method)
	if h == nil {
		w.Header().Set("Allow", m.names())
		return refuse(http.StatusMethodNotAllowed, "%s does not go with %s; use %s", r.Method, r.URL.Path, m.names())
	}
	return h(w, r)
}

// fail is the one place where an error becomes an answer.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if p, ok := errors.AsType[*refusal](err); ok {
		status = p.status
	} else if r.Context().Err() != nil {
		// The client left, or the server stops. Nothing written would be a success.
		status, err = http.StatusServiceUnavailable, errors.New("this server stops; ask another, or try again")
	} else {
		a.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintln(w, err)
}

// refusal is an error that says which status it deserves.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

func unknownPath(_ http.ResponseWriter, r *http.Request) error {
	return refuse(http.StatusNotFound, "%s is not a path of this API; paths begin with /v1/, for example /v1/jobs", r.URL.Path)
}

// take counts one more user of something bounded; done gives the place back.
func take(places chan struct{}, what string) (done func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, refuse(http.StatusTooManyRequests, "%d %s are open already; try again later", cap(places), what)
	}
}
