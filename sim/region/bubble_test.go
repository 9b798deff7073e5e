package region

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/consensus"
	"github.com/dunlin-edge/dunlin/control/leader"
	controlsession "github.com/dunlin-edge/dunlin/control/session"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/control/worker"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/fake"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// The second tier: real shells, real raft and real QUIC over memnet in a bubble.
// The seed fixes the faults, not the schedule of goroutines.

const (
	bubbleNodes  = 3
	bubbleBeat   = 5 * time.Second
	bubbleFaults = 6
)

// bubble is a region of one server and a few devices.
type bubble struct {
	t      *testing.T
	dir    string
	net    *memnet.Network
	trust  *linktest.Region
	server func() // ends it
	store  *state.Store
	node   *consensus.Node
	agents []*bubbleAgent
}

// bubbleAgent is a device; its tasks outlive its agent.
type bubbleAgent struct {
	id    fleet.UUID
	host  netip.Addr
	tasks *counting
	stop  func()
}

// counting is the fake driver with its starts counted.
type counting struct {
	*fake.Driver
	mu     sync.Mutex
	starts int
}

// Start counts and starts.
func (c *counting) Start(ctx context.Context, t driver.Task) (driver.Handle, error) {
	c.mu.Lock()
	c.starts++
	c.mu.Unlock()
	return c.Driver.Start(ctx, t)
}

func (b *bubble) starts() (n int) {
	for _, a := range b.agents {
		a.tasks.mu.Lock()
		n += a.tasks.starts
		a.tasks.mu.Unlock()
	}
	return n
}

var bubbleServer = netip.MustParseAddrPort("10.0.0.1:4647")

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (b *bubble) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bubble) endpoint(at netip.AddrPort, o quicnet.Options) *quicnet.Endpoint {
	b.t.Helper()
	s, err := b.net.Listen(at)
	b.must(err)
	e, err := quicnet.Over(s, o)
	b.must(err)
	return e
}

// committer is the node's log for those who bring commands.
type committer struct{ node *consensus.Node }

func (c committer) Propose(ctx context.Context, cmd any) (uint64, any, error) {
	return c.node.Propose(ctx, command.Encode(cmd.(command.Command)))
}

type plainCommitter struct{ committer }

func (c plainCommitter) Propose(ctx context.Context, cmd any) (any, error) {
	_, result, err := c.committer.Propose(ctx, cmd)
	return result, err
}

// startServer wires the server's shells, as control/server does.
func (b *bubble) startServer() {
	b.t.Helper()
	b.store = state.New()
	material := b.trust.Issue(b.t, trust.KindServer, "s1", time.Now())
	end := b.endpoint(bubbleServer, quicnet.Options{ServerTLS: b.trust.ServerTLS(b.t, material, trust.ProtocolEdge)})
	listener, err := end.Listener(trust.ProtocolEdge)
	b.must(err)
	b.node, err = consensus.Open(consensus.Config{
		Dir: filepath.Join(b.dir, "raft"), Server: consensus.Server{ID: "s1", Addr: "s1"}, Store: b.store, Logger: quiet(),
	})
	b.must(err)
	lead := leader.New(leader.Config{Store: b.store, Log: committer{b.node}, Logger: quiet(), Term: bubbleTerm()})
	sessions := controlsession.New(controlsession.Config{
		Store: b.store, Log: plainCommitter{committer{b.node}}, Liveness: lead, ServerName: "s1", BeatEvery: bubbleBeat,
		Now: time.Now, Logger: quiet(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		_ = b.node.Lead(ctx, func(term context.Context) { _ = lead.RunTerm(term) })
	})
	all.Go(func() { worker.Run(ctx, worker.Config{Leader: lead, Workers: 2, Logger: quiet()}) })
	all.Go(func() {
		if err := sessions.Serve(ctx, listener); err != nil {
			b.t.Error(err)
		}
	})
	node := b.node
	b.server = func() {
		cancel()
		all.Wait()
		b.must(errors.Join(node.Close(), end.Close()))
	}
	b.until("the server leads", func() bool { return node.IsLeader() && node.Barrier(b.t.Context()) == nil })
}

func bubbleTerm() term.Config {
	var c term.Config
	c.Liveness.BeatEvery, c.Liveness.LostMin, c.Liveness.LostMax = bubbleBeat, 2*time.Minute, 3*time.Minute
	return c
}

func (b *bubble) addAgent(i int) {
	b.t.Helper()
	a := &bubbleAgent{id: fleet.UUID{9, byte(i)}, host: netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)})}
	a.tasks = &counting{Driver: fake.New(fake.Options{Store: fake.NewStore()})}
	b.agents = append(b.agents, a)
	b.startAgent(a)
}

func (b *bubble) startAgent(a *bubbleAgent) {
	b.t.Helper()
	end := b.endpoint(netip.AddrPortFrom(a.host, 0), quicnet.Options{
		Credentials: b.trust.Client(b.trust.Issue(b.t, trust.KindNode, a.id.String(), time.Now())),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ag, err := agent.New(ctx, agent.Config{
		DataDir:  filepath.Join(b.dir, a.id.String()),
		Identity: trust.Identity{Region: linktest.RegionName, Kind: trust.KindNode, ID: a.id.String()},
		Name:     "device-" + a.host.String(), Datacenter: "dc1", Servers: []string{bubbleServer.String()}, Dialer: end,
		Probe: func(context.Context) (*fleet.Node, error) {
			var n fleet.Node
			n.Attributes = map[string]string{"cpu.arch": "arm64"}
			n.NodeResources.CPU.CPUShares, n.NodeResources.Memory.MemoryMB = 1000, 1024
			return &n, nil
		},
		Drivers: map[string]driver.Driver{fake.Name: a.tasks}, Log: quiet(),
	})
	b.must(err)
	done := make(chan error, 1)
	go func() { done <- ag.Run(ctx) }()
	a.stop = func() {
		cancel()
		b.must(errors.Join(<-done, end.Close()))
	}
}

// until waits in the bubble's time.
func (b *bubble) until(what string, ok func() bool) {
	b.t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.t.Fatalf("not after five minutes: %s", what)
}

// running counts what the region knows to run and want.
func (b *bubble) running() (n int) {
	for a := range b.store.View().Allocs() {
		if a.Holds() && a.Observed == state.ObservedRunning {
			n++
		}
	}
	return n
}

func (b *bubble) online() bool {
	n := 0
	for row := range b.store.View().Nodes() {
		if row.Link == fleet.LinkOnline {
			n++
		}
	}
	return n == len(b.agents)
}

// fault is one trouble shorter than the region's patience; the tasks must not
// notice.
func (b *bubble) fault(rng *rand.Rand) {
	a := b.agents[rng.IntN(len(b.agents))]
	lasts := time.Second + time.Duration(rng.Int64N(int64(40*time.Second)))
	switch rng.IntN(4) {
	case 0:
		b.net.Cut(a.host, bubbleServer.Addr())
		time.Sleep(lasts)
		b.net.Heal(a.host, bubbleServer.Addr())
	case 1:
		a.stop()
		time.Sleep(lasts)
		b.startAgent(a)
	case 2:
		b.server()
		time.Sleep(lasts)
		b.startServer()
	case 3:
		b.net.Isolate(bubbleServer.Addr())
		time.Sleep(lasts)
		b.net.HealAll()
	}
	time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Second))))
}

// TestBubble plays faults on real shells: nothing that runs is restarted.
func TestBubble(t *testing.T) {
	if *oneSeed >= 0 {
		t.Skip("one seed of the first tier is replayed")
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playBubble(t, seed) })
		})
	}
}

func playBubble(t *testing.T, seed uint64) {
	b := &bubble{t: t, dir: t.TempDir(), trust: linktest.NewRegion(t, linktest.RegionName)}
	b.net = memnet.New(seed, memnet.Conditions{Delay: 5 * time.Millisecond})
	b.startServer()
	defer func() { b.server() }()
	_, _, err := committer{b.node}.Propose(t.Context(), command.RegionFound{ID: fleet.UUID{1}, Name: linktest.RegionName, Epoch: 1, At: time.Now().UnixNano()})
	b.must(err)
	for i := range bubbleNodes {
		b.addAgent(i)
	}
	defer func() {
		for _, a := range b.agents {
			a.stop()
		}
	}()
	b.until("all devices are online", b.online)

	const count = 5
	j := &fleet.Job{ID: "web", TaskGroups: []fleet.TaskGroup{{
		Name: "g", Count: fleet.Ptr(count), Tasks: []fleet.Task{{
			Name: "main", Driver: fake.Name, Config: json.RawMessage(`{}`),
			Resources: &fleet.Resources{CPU: fleet.Ptr(100), MemoryMB: fleet.Ptr(100)},
		}},
	}}}
	_, _, err = committer{b.node}.Propose(t.Context(), command.JobRegister{Spec: fleet.CanonicalBytes(j), EvalID: fleet.UUID{2}, At: time.Now().UnixNano()})
	b.must(err)
	b.until("the job runs", func() bool { return b.running() == count })
	if n := b.starts(); n != count {
		t.Fatalf("%d tasks were started for a count of %d", n, count)
	}

	rng := rand.New(rand.NewPCG(seed, 1))
	for range bubbleFaults {
		b.fault(rng)
	}
	b.until("all devices are online again", b.online)
	b.until("the job is known to run", func() bool { return b.running() == count })
	if n := b.starts(); n != count {
		t.Fatalf("after the faults %d tasks were started; want the %d of the beginning", n, count)
	}
}
