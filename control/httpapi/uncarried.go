package httpapi

import "net/http"

// uncarried names paths of the field's API that are understood and not carried
// out, with what to do instead. They are refused rather than unknown: a client
// that uses one should learn why it does not work here.
var uncarried = map[string]string{
	"/v1/system/reconcile/summaries":    "summaries are counted when read and need no repair",
	"/v1/jobs/statuses":                 "read /v1/jobs",
	"/v1/job/{id}/dispatch":             "parameterized jobs are not carried out",
	"/v1/job/{id}/revert":               "register the earlier version again; /v1/job/ID/versions has it",
	"/v1/job/{id}/scale":                "register the job with another count",
	"/v1/job/{id}/stable":               "versions have no stability",
	"/v1/job/{id}/periodic/force":       "periodic jobs are not carried out",
	"/v1/job/{id}/submission":           "the text of job files is not kept; /v1/job/ID has the job",
	"/v1/allocation/{id}/services":      "services are not registered",
	"/v1/allocation/{id}/checks":        "services are not registered, and their checks do not run",
	"/v1/client/allocation/{id}/{what}": "of allocations devices tell logs and files and run commands: /v1/client/fs/logs/ID, /v1/client/fs/ls/ID, /v1/client/allocation/ID/exec",
	"/v1/client/fs/{what}/{id}":         "of files devices tell ls, stat, cat, readat, stream and logs",
	"/v1/client/stats":                  "devices do not tell what they use now",
	"/v1/client/gc":                     "devices keep what ended by their own limits",
	"/v1/node/{id}/purge":               "nodes are not forgotten",
	"/v1/node/{id}/evaluate":            "evaluate the job: /v1/job/ID/evaluate",
	"/v1/deployment/{rest...}":          "a new version replaces its allocations at once, without a deployment",
	"/v1/search":                        "lists take ?prefix=",
	"/v1/search/fuzzy":                  "lists take ?prefix=",
	"/v1/event/stream":                  "use blocking queries: ?index= and ?wait=",
	"/v1/acl/{rest...}":                 "access is by management token or client certificate",
	"/v1/namespaces":                    "there is one namespace, default",
	"/v1/namespace/{rest...}":           "there is one namespace, default",
	"/v1/services":                      "services are not registered",
	"/v1/service/{rest...}":             "services are not registered",
	"/v1/vars":                          "variables are not stored",
	"/v1/var/{rest...}":                 "variables are not stored",
	"/v1/volumes":                       "volumes are not mounted",
	"/v1/volumes/{rest...}":             "volumes are not mounted",
	"/v1/volume/{rest...}":              "volumes are not mounted",
	"/v1/plugins":                       "plugins are not run",
	"/v1/scaling/{rest...}":             "counts change only when a job is registered",
	"/v1/quotas":                        "quotas are not kept",
	"/v1/sentinel/{rest...}":            "policies are not run",
	"/v1/operator/{rest...}":            "the region is not operated over HTTP",
	"/v1/agent/monitor":                 "logs of agents are not served",
	"/v1/agent/servers":                 "devices keep their servers' addresses in their own configuration",
	"/v1/agent/join":                    "devices join with an invite: POST /v1/nodes/invite",
	"/v1/agent/force-leave":             "servers do not gossip",
	"/v1/agent/host":                    "a host is not described; read /v1/node/ID",
	"/v1/agent/pprof/{rest...}":         "profiles are not served",
	"/v1/agent/keyring/{rest...}":       "there is no keyring",
	"/v1/agent/schedulers":              "read /v1/operator/scheduler/configuration",
	"/v1/agent/schedulers/config":       "schedulers are set in the server's configuration",
}

func refuseUncarried(why string) handler {
	return func(_ http.ResponseWriter, r *http.Request) error {
		return refuse(http.StatusNotImplemented, "%s is not carried out: %s", r.URL.Path, why)
	}
}
