package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/module"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// Log commits commands. When Propose returns, this server's view has the
// command's effect. What the state refuses is an error that wraps one of
// package command.
type Log interface {
	Propose(ctx context.Context, cmd any) (index uint64, result any, err error)
}

// Sessions reach devices that are linked to this server.
type Sessions interface {
	Connected(node fleet.UUID) bool
	Logs(ctx context.Context, node fleet.UUID, req wire.LogRequest) (io.ReadCloser, error)
	// Files asks a device about files of an allocation. After an answer to wire.FsRead, next gives the pieces, and io.EOF at the end.
	// All ends with ctx.
	Files(ctx context.Context, node fleet.UUID, req wire.FsRequest) (answer *wire.FsAnswer, next func() (*wire.FsPiece, error), err error)
	// Exec runs a command beside a task. give gives it input and take its output, up to the message of its end. All ends with ctx.
	Exec(ctx context.Context, node fleet.UUID, req wire.ExecRequest) (give func(*wire.ExecInput) error, take func() (*wire.ExecOutput, error), err error)
	// Traffic is what was counted here; false: the node had no link. AskTraffic asks the device for its own account.
	Traffic(node fleet.UUID) (traffic.Book, bool)
	AskTraffic(ctx context.Context, node fleet.UUID) (*wire.TrafficAnswer, error)
	Written(ctx context.Context, node fleet.UUID) (*fleet.DiskWrites, error)
}

// Modules is the region's module store. Put checks the bytes against the digest
// and the kind of file, and records the module in the log.
type Modules interface {
	Put(ctx context.Context, digest, name string, sizeBytes int64, r io.Reader) (fleet.Module, error)
	Has(digest string) bool
	Inspect(digest string) (module.Info, error)
	Open(digest string) (io.ReadSeekCloser, int64, error)
}

// Enroll makes invites.
type Enroll interface {
	Invite(ctx context.Context, r *api.InviteRequest) (*api.InviteResponse, error)
}

// Info knows the servers.
type Info interface {
	Leader() (address string, known bool)
	LastContact() time.Duration // since the leader was heard of; 0 on the leader
	Peers() []string            // addresses of voters
	Members() []*api.AgentMember
	Self() *api.AgentSelf
	Health() *api.AgentHealth
	Refusing(n state.NodeKey) *fleet.RefusedPlans // nil: it does not, as far as this server knows
}

// Planner says what registering a canonical job would do, on the newest view.
type Planner interface {
	Plan(ctx context.Context, job *fleet.Job) (*PlanResult, error)
	// Why says where a job's work could go; with a node, whether it could go there.
	Why(v *state.View, job *state.Job, only *state.Node) *fleet.JobExplanation
}

// PlanResult is what a registration would do.
type PlanResult struct {
	Updates map[string]*api.DesiredUpdates // by group
	Failed  map[string]*fleet.AllocMetric  // groups that do not fit
	Ranked  map[string]*fleet.AllocMetric  // how nodes fared for each group that places any
	Evals   []*fleet.Evaluation            // that would follow
	Placed  map[string][]state.NodeKey     // where new allocations would go, by group

	Preempted []*fleet.AllocationListStub // of other jobs, that would give way
}

// Config is what the API needs of its server.
type Config struct {
	Region     string
	ServerName string
	Datacenter string
	Store      *state.Store
	Log        Log
	Sessions   Sessions
	Modules    Modules
	Enroll     Enroll
	Info       Info
	Planner    Planner
	Metrics    http.Handler // the Prometheus text format
	Access     Access
	Now        func() time.Time
	Logger     *slog.Logger
}
