package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/fake"
	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/edge/fingerprint"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

var (
	nodeID     = fleet.UUID{7}
	allocID    = fleet.UUID{8}
	serverAddr = netip.MustParseAddrPort("10.0.0.1:4647")
	nodeAddr   = netip.MustParseAddrPort("10.0.0.2:0")
)

// rig is a device with its real parts, except drivers and network, and a server that the test plays.
type rig struct {
	t       *testing.T
	net     *memnet.Network
	accept  link.Listener
	client  *quicnet.Endpoint
	dir     string
	tasks   *fake.Store
	driver  driver.Driver
	host    agent.Host
	agent   *agent.Agent
	stop    func()
	reprobe func(fingerprint.Pace) fingerprint.Reading
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, net: memnet.New(1, memnet.Conditions{Delay: time.Millisecond}), dir: t.TempDir(), tasks: fake.NewStore()}
	region := linktest.NewRegion(t, "testland")
	server := r.endpoint(serverAddr, quicnet.Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge)})
	r.client = r.endpoint(nodeAddr, quicnet.Options{Credentials: region.Client(region.Issue(t, trust.KindNode, nodeID.String(), time.Now()))})
	var err error
	if r.accept, err = server.Listener(trust.ProtocolEdge); err != nil {
		t.Fatal(err)
	}
	r.driver = fake.New(fake.Options{Store: r.tasks, OpenLog: func(task driver.Task, stream string) (io.WriteCloser, error) {
		return tasklog.NewWriter(tasklog.Options{Dir: task.LogDir, Task: task.Name, Stream: stream})
	}})
	t.Cleanup(func() {
		if err := errors.Join(r.client.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) endpoint(at netip.AddrPort, o quicnet.Options) *quicnet.Endpoint {
	r.t.Helper()
	s, err := r.net.Listen(at)
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := quicnet.Over(s, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *rig) config() agent.Config {
	return agent.Config{
		DataDir: filepath.Join(r.dir, "data"), Identity: trust.Identity{Region: "testland", Kind: trust.KindNode, ID: nodeID.String()},
		Name: "shop-7", Datacenter: "berlin", Servers: []string{serverAddr.String()}, Dialer: r.client,
		Probe: func(context.Context) (*fleet.Node, error) {
			return &fleet.Node{Attributes: map[string]string{"cpu.arch": "arm64"}}, nil
		},
		Reprobe: r.reprobe, Drivers: map[string]driver.Driver{"fake": r.driver}, Host: r.host, Log: slog.New(slog.DiscardHandler),
	}
}

func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a, err := agent.New(ctx, r.config())
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.agent = a
	r.stop = func() {
		r.t.Helper()
		cancel()
		if err := <-done; err != nil {
			r.t.Fatal(err)
		}
	}
}

// register takes the device's next link.
func (r *rig) register() (link.Link, wire.Register) {
	r.t.Helper()
	l, err := r.accept.Accept(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	st, err := l.AcceptStream(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var m wire.Register
	w := &wire.Welcome{RegionID: fleet.UUID{1}, Epoch: 1, ServerTime: time.Now().UnixNano(), BeatEvery: int64(30 * time.Second), ServerName: "s1"}
	if err := errors.Join(wire.Read(st, &wire.Header{}), wire.Read(st, &m), wire.Write(st, w), st.Close()); err != nil {
		r.t.Fatal(err)
	}
	return l, m
}

// told reads status batches until the allocation has a status.
func (r *rig) told(l link.Link, want string) (batches []wire.StatusBatch) {
	r.t.Helper()
	st, err := l.AcceptStream(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := wire.Read(st, &wire.Header{}); err != nil {
		r.t.Fatal(err)
	}
	for {
		var b wire.StatusBatch
		if err := errors.Join(wire.Read(st, &b), wire.Write(st, &wire.StatusAck{Seq: b.Seq})); err != nil {
			r.t.Fatal(err)
		}
		batches = append(batches, b)
		for _, a := range b.Allocs {
			if a.ID == allocID && a.Status == want {
				return batches
			}
		}
	}
}

func TestDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		l, reg := r.register()
		var node fleet.Node
		if err := json.Unmarshal(reg.Spec, &node); err != nil || node.Name != "shop-7" || node.ID != fleet.NodeID(nodeID.String()) || !node.Drivers["fake"].Healthy || node.Attributes["driver.fake"] != "1" {
			t.Fatalf("registered as %+v, %v", node, err)
		}
		j := &fleet.Job{ID: "web", TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{{Name: "main", Driver: "fake", Config: json.RawMessage(`{"stdout":"hello from ${node.unique.name}\n"}`)}}}}}
		key := wire.JobKey{Namespace: "default", ID: "web"}
		st, err := l.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ack wire.DesiredAck
		gen := wire.Generation{Epoch: 1, N: 9}
		begun := time.Now()
		if err := errors.Join(wire.Write(st, &wire.Header{Kind: wire.KindDesired, Node: nodeID}), wire.Write(st, &wire.Desired{
			RegionID: fleet.UUID{1}, Gen: gen, Full: true, Jobs: []wire.JobSpec{{Key: key, JSON: fleet.CanonicalBytes(j)}},
			Allocs: []wire.DesiredAlloc{{ID: allocID, Job: key, Group: "g"}},
		}), wire.Read(st, &ack)); err != nil || ack.Gen != gen {
			t.Fatalf("acknowledged %s: %v", ack.Gen, err)
		}
		r.told(l, fleet.ClientRunning)
		if took := time.Since(begun); took > 50*time.Millisecond {
			t.Errorf("from desired to told that it runs: %s", took)
		}
		s, err := r.agent.Status(t.Context())
		if err != nil || !s.Link.Up || s.Link.Server != "s1" || s.Generation != "1.9" || len(s.Allocs) != 1 || s.Allocs[0].Tasks["main"].State != fleet.TaskRunning {
			t.Fatalf("status: %+v, %v", s, err)
		}
		r.stop()

		// No server answers, and the agent is restarted: the task runs on. Then the link returns: still the same task.
		r.net.Isolate(serverAddr.Addr())
		r.start()
		time.Sleep(time.Hour)
		s, err = r.agent.Status(t.Context())
		if err != nil || s.Link.Up || s.Link.Reason == "" || len(s.Allocs) != 1 || s.Allocs[0].Status != fleet.ClientRunning {
			t.Fatalf("without a server: %+v, %v", s, err)
		}
		r.net.HealAll()
		l, reg = r.register()
		if reg.Held != gen || reg.RegionID != (fleet.UUID{1}) {
			t.Fatalf("it came back with %+v", reg)
		}
		if b := r.told(l, fleet.ClientRunning); !b[0].Full || b[0].Allocs[0].Tasks[0].Restarts != 0 {
			t.Fatalf("it tells %+v", b)
		}
		r.stop()
		if r.tasks.Len() != 1 {
			t.Fatalf("%d tasks are with the driver", r.tasks.Len())
		}
	})
}

// TestFactsChange: a fact that changes reaches the region without a new registration, what tasks are told of the node follows, and
// what changes while there is no link goes with the next one.
func TestFactsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var mu sync.Mutex
		source, slow := "mains", 0
		set := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			source = s
		}
		r.reprobe = func(pace fingerprint.Pace) fingerprint.Reading {
			mu.Lock()
			defer mu.Unlock()
			if pace == fingerprint.Slow {
				slow++
			}
			return fingerprint.Reading{Pace: pace, Attrs: map[string]string{"power.source": source}}
		}
		r.start()
		l, _ := r.register()
		next := func() (link.Stream, wire.Facts) {
			for {
				st, err := l.AcceptStream(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var h wire.Header
				if err := wire.Read(st, &h); err != nil {
					t.Fatal(err)
				}
				if h.Kind == wire.KindStatus { // the first batch is all there is
					var b wire.StatusBatch
					if err := errors.Join(wire.Read(st, &b), wire.Write(st, &wire.StatusAck{Seq: b.Seq})); err != nil {
						t.Fatal(err)
					}
					continue
				}
				var m wire.Facts
				if err := wire.Read(st, &m); err != nil {
					t.Fatal(err)
				}
				return st, m
			}
		}
		st, m := next()
		told := map[string]string{}
		for _, a := range m.Set {
			told[a.Name] = a.Value
		}
		if rtt, ok := told["link.rtt_ms"]; told["power.source"] != "mains" || !ok || rtt == "0" {
			t.Errorf("told %v", told)
		}
		if err := wire.Write(st, &wire.FactsAck{Seq: 1}); err != nil {
			t.Fatal(err)
		}
		set("battery")
		m = wire.Facts{}
		if err := errors.Join(wire.Read(st, &m), wire.Write(st, &wire.FactsAck{Seq: 2})); err != nil || len(m.Set) != 1 || m.Set[0].Value != "battery" {
			t.Fatalf("told %+v, %v", m, err)
		}
		if n := r.agent.Node(); n.Attributes["power.source"] != "battery" || n.Attributes["cpu.arch"] != "arm64" || n.Attributes["driver.fake"] != "1" {
			t.Errorf("the node's attributes are %v", n.Attributes)
		}
		r.net.Isolate(serverAddr.Addr())
		time.Sleep(2 * time.Hour)
		set("mains")
		time.Sleep(time.Hour)
		r.net.HealAll()
		var reg wire.Register
		l, reg = r.register()
		var node fleet.Node
		if err := json.Unmarshal(reg.Spec, &node); err != nil || node.Attributes["power.source"] != "mains" {
			t.Errorf("registered with %v, %v", node.Attributes, err)
		}
		mu.Lock()
		if slow != 3 {
			t.Errorf("%d slow probes in a bit more than three hours", slow)
		}
		mu.Unlock()
		r.stop()
	})
}

func TestConfigMistakes(t *testing.T) {
	for want, change := range map[string]func(*agent.Config){
		"node ID":       func(c *agent.Config) { c.Identity.ID = "seven" },
		"absolute path": func(c *agent.Config) { c.DataDir = "data" },
		"probe this device: no memory": func(c *agent.Config) {
			c.Probe = func(context.Context) (*fleet.Node, error) { return nil, errors.New("no memory") }
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newRig(t).config()
			change(&c)
			if _, err := agent.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestUsualDrivers(t *testing.T) {
	for raw, want := range map[bool]int{false: 1, true: 2} {
		u, err := agent.Drivers(agent.DriverOptions{DataDir: t.TempDir(), RawExec: raw, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Drivers) != want || u.Drivers["wasm"] == nil || (u.Drivers["raw_exec"] != nil) != raw {
			t.Errorf("raw_exec %v: drivers are %v", raw, u.Drivers)
		}
		if err := u.Host.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestServersAreKeptOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		l, _ := r.register()
		st, err := l.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told := &wire.Servers{Addresses: []string{serverAddr.String(), "10.0.0.9:4647", "10.0.0.9:443/tcp"}}
		if err := errors.Join(wire.Write(st, &wire.Header{Kind: wire.KindServers, Node: nodeID}), wire.Write(st, told), st.Close()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.stop()
		file := filepath.Join(r.config().DataDir, "servers.json")
		if got, err := os.ReadFile(file); err != nil || string(got) != `["10.0.0.1:4647","10.0.0.9:4647","10.0.0.9:443/tcp"]`+"\n" {
			t.Errorf("kept: %s, %v", got, err)
		}
		// A damaged file costs nothing but what it held.
		if err := os.WriteFile(file, []byte(`["10.0.`), 0o600); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.register()
		r.stop()
	})
}
