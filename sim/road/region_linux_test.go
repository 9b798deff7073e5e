package road

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/edge/agent"
	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/fleet"
)

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// region is a server and its devices, each in a process of its own.
type region struct {
	*rig
	quic      string
	lostAfter time.Duration
	server    *daemon
	client    *api.Client
}

const beatEvery = time.Second

// newRegion starts a server. lostAfter is long where nothing is meant to be lost: a busy machine may hold a beat up.
func newRegion(r *rig, lostAfter time.Duration) *region {
	r.Helper()
	g := &region{rig: r, quic: freeUDP(r), lostAfter: lostAfter}
	http := freeTCP(r)
	r.addr = "http://" + http
	r.write("server.hcl", fmt.Sprintf(`
name     = "hub"
data_dir = %q
server {
  enabled       = true
  beat_interval = %q
  lost_after    = %q
}
`, r.path("server"), beatEvery, lostAfter))
	var err error
	if g.client, err = api.New(api.Config{Address: r.addr}); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(g.client.Close)
	g.startServer()
	g.waitServer()
	return g
}

func (g *region) startServer() {
	g.Helper()
	g.server = g.start("server", "agent", "-config", g.path("server.hcl"), "-http", strings.TrimPrefix(g.addr, "http://"), "-quic", g.quic)
}

func (g *region) waitServer() {
	g.Helper()
	until(g, startLimit, "a leader", func() error {
		if err := g.server.ended(); err != nil {
			g.Fatal(err)
		}
		ctx, cancel := shortly()
		defer cancel()
		leader, err := g.client.Leader(ctx)
		if err == nil && leader == "" {
			err = errorf("no leader yet")
		}
		return err
	})
}

// shortly bounds one request.
func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 10*time.Second)
}

// device is one device with its agent.
type device struct {
	r         *region
	name, dir string
	local     string // where its agent tells its state
	id        fleet.NodeID
	agent     *daemon
}

// join lets a device in by an invite and starts its agent.
func (g *region) join(name string, flags ...string) *device {
	g.Helper()
	d := &device{r: g, name: name, dir: g.path(name), local: freeTCP(g)}
	line := g.ok("node", "invite", "-name", name)
	invite, ok := strings.CutPrefix(strings.TrimSpace(line), "dunlin join ")
	if !ok {
		g.Fatalf("the invite is not a command line: %q", line)
	}
	out := g.ok(append([]string{"join", invite, "-data-dir", d.dir, "-http", d.local, "-no-start"}, flags...)...)
	if !strings.Contains(out, "as "+name) {
		g.Errorf("join does not say who joined: %s", out)
	}
	d.start()
	d.waitOnline()
	return d
}

func (d *device) start() {
	d.r.Helper()
	d.agent = d.r.start(d.name, "agent", "-config", filepath.Join(d.dir, "agent.hcl"))
}

func (d *device) waitOnline() {
	d.r.Helper()
	until(d.r, startLimit, d.name+" online", func() error {
		ctx, cancel := shortly()
		defer cancel()
		n, _, err := d.r.client.Node(ctx, fleet.NodeID(d.name), nil)
		if err != nil {
			return err
		}
		d.id = n.ID
		if n.LinkState != fleet.LinkOnline {
			return errorf("it is %s", n.LinkState)
		}
		return nil
	})
}

// state asks the device's own agent.
func (d *device) state() (*agent.Status, error) {
	ctx, cancel := shortly()
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.local+"/v1/agent/device", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errorf("%s", resp.Status)
	}
	var s agent.Status
	return &s, json.NewDecoder(resp.Body).Decode(&s)
}

// waitState waits until the device's own agent answers as wanted.
func (d *device) waitState(what string, f func(*agent.Status) error) *agent.Status {
	d.r.Helper()
	var s *agent.Status
	until(d.r, settleLimit, d.name+": "+what, func() (err error) {
		if err := d.agent.ended(); err != nil {
			d.r.Fatal(err)
		}
		if s, err = d.state(); err != nil {
			return err
		}
		return f(s)
	})
	return s
}

// allocs are a job's allocations.
func (g *region) allocs(job string) ([]*fleet.AllocationListStub, error) {
	ctx, cancel := shortly()
	defer cancel()
	out, _, err := g.client.JobAllocations(ctx, fleet.JobID(job), nil)
	return out, err
}

// waitAlloc waits for an allocation of a job that satisfies f.
func (g *region) waitAlloc(job, what string, f func(*fleet.AllocationListStub) bool) *fleet.AllocationListStub {
	g.Helper()
	var found *fleet.AllocationListStub
	until(g, settleLimit, "an allocation of "+job+" that "+what, func() error {
		all, err := g.allocs(job)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, f)
		if i < 0 {
			return errorf("there are %s", describe(all))
		}
		found = all[i]
		return nil
	})
	return found
}

func running(a *fleet.AllocationListStub) bool {
	return a.DesiredStatus == fleet.DesiredRun && a.ClientStatus == fleet.ClientRunning
}

func ended(a *fleet.AllocationListStub) bool { return fleet.ClientTerminal(a.ClientStatus) }

func describe(all []*fleet.AllocationListStub) string {
	if len(all) == 0 {
		return "none"
	}
	var out []string
	for _, a := range all {
		out = append(out, fmt.Sprintf("%s %s on %s v%d desired %s (%s) is %s (%s)", a.ID[:8], a.Name, a.NodeName, a.JobVersion,
			a.DesiredStatus, a.DesiredDescription, a.ClientStatus, a.ClientDescription))
	}
	return strings.Join(out, "\n  ")
}

// waitLog waits until a job's output has a text.
func (g *region) waitLog(job, text string) {
	g.Helper()
	until(g, settleLimit, fmt.Sprintf("%q in the log of %s", text, job), func() error {
		if x := g.dunlin("logs", job); !strings.Contains(x.out, text) {
			return errorf("%v", x)
		}
		return nil
	})
}

// tiny writes one of the small modules beside the job files.
func (r *rig) tiny(name string, wasm []byte) { r.write(name+".wasm", string(wasm)) }

// module copies a built guest beside the job files.
func (r *rig) module(name string) {
	r.Helper()
	r.copy(guests.Build(r, name), name+".wasm")
}

func (r *rig) copy(from, name string) {
	r.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		r.Fatal(err)
	}
	r.write(name, string(b))
}

// wasmJob is a small job file of one Wasm task.
func wasmJob(name, kind, module, more string) string {
	return fmt.Sprintf(`
job %q {
  type   = %q
  driver = "wasm"
  config {
    module = "./%s.wasm"
  }
  resources {
    cpu    = 20
    memory = 16
  }
%s
}
`, name, kind, module, more)
}
