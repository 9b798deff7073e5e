package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Small pools of IDs, so that commands often meet.
var (
	someID    = rapid.Custom(func(t *rapid.T) fleet.UUID { return uid(rapid.IntRange(0, 12).Draw(t, "id")) })
	someJob   = rapid.SampledFrom([]fleet.JobID{"a", "b", "c"})
	someTime  = rapid.Int64Range(0, 1<<60)
	someSeed  = rapid.Custom(func(t *rapid.T) (s [32]byte) { s[0] = rapid.Byte().Draw(t, "seed"); return s })
	someWord  = rapid.StringN(0, 20, 40)
	someLink  = rapid.SampledFrom([]fleet.LinkState{fleet.LinkOnline, fleet.LinkLate, fleet.LinkUnreachable, fleet.LinkLost})
	someFact  = rapid.SampledFrom([]string{"power.source", "usb.devices", "link.type", ""})
	someState = rapid.SampledFrom([]string{"pending", "running", "complete", "failed", "lost", "unknown"})
)

var somePeer = rapid.Custom(func(t *rapid.T) string {
	if rapid.IntRange(0, 5).Draw(t, "gateway") == 0 {
		return rapid.SampledFrom([]string{"gateway/sim", "operator/ann", "nobody"}).Draw(t, "other")
	}
	return fleet.PeerOfNode(someID.Draw(t, "node"))
})

var someEval = rapid.Custom(func(t *rapid.T) state.Eval {
	e := state.Eval{
		ID: someID.Draw(t, "eval"), Namespace: "default", Job: someJob.Draw(t, "job"), Type: "service",
		Trigger: fleet.TriggerQueued, Priority: rapid.IntRange(0, 100).Draw(t, "priority"),
		Status:      rapid.SampledFrom([]string{"pending", "blocked", "complete", "failed", "canceled", "odd"}).Draw(t, "status"),
		Description: someWord.Draw(t, "description"), Node: someID.Draw(t, "node"), WaitUntil: someTime.Draw(t, "wait"),
		Prev: someID.Draw(t, "prev"), Blocked: someID.Draw(t, "blocked"), Snapshot: rapid.Uint64().Draw(t, "snapshot"),
	}
	if rapid.Bool().Draw(t, "metric") {
		e.Groups = []state.GroupOutcome{{Group: "app", Placed: 2, Queued: 1, Metric: &fleet.AllocMetric{
			NodesEvaluated: 3, Refusals: []fleet.Refusal{{Rule: "cpu", Wants: someWord.Draw(t, "wants"), Nodes: 3}},
		}}}
	}
	return e
})

var someStatuses = rapid.Custom(func(t *rapid.T) NodeStatuses {
	n := NodeStatuses{Node: someID.Draw(t, "node")}
	for range rapid.IntRange(0, 3).Draw(t, "statuses") {
		n.Allocs = append(n.Allocs, wire.AllocStatus{
			ID: someID.Draw(t, "alloc"), Status: someState.Draw(t, "status"), Description: someWord.Draw(t, "description"),
			Tasks: []wire.TaskStatus{{Name: "main", ObservedTask: fleet.ObservedTask{
				State: fleet.TaskDead, Failed: true, Restarts: 2, Events: []fleet.CodedEvent{{Code: fleet.EventTerminated, Time: 5, Args: []string{"1"}}},
			}}},
		})
	}
	return n
})

var somePlan = rapid.Custom(func(t *rapid.T) Plan {
	p := Plan{
		Eval: someID.Draw(t, "eval"), Namespace: "default", Job: someJob.Draw(t, "job"),
		Version: rapid.Uint64Range(0, 2).Draw(t, "version"), Priority: 50, Snapshot: rapid.Uint64().Draw(t, "snapshot"), At: someTime.Draw(t, "at"),
	}
	if n := rapid.IntRange(0, 3).Draw(t, "placed"); n > 0 {
		g := Placements{}
		for range n {
			g.Nodes = append(g.Nodes, state.NodeKey(rapid.IntRange(1, 4).Draw(t, "node")))
			g.Names = append(g.Names, rapid.Uint32().Draw(t, "name"))
			g.IDs = append(g.IDs, uid(rapid.IntRange(0, 40).Draw(t, "id")))
			g.Prevs = append(g.Prevs, Replaced{Alloc: someID.Draw(t, "prev"), Reschedule: rapid.Bool().Draw(t, "counts"), Delay: 7})
		}
		if rapid.Bool().Draw(t, "no prevs") {
			g.Prevs = nil
		}
		p.Groups = []Placements{g}
	}
	for range rapid.IntRange(0, 2).Draw(t, "stops") {
		p.Stops = append(p.Stops, Stop{
			Alloc: someID.Draw(t, "stop"), Desired: state.Desired(rapid.IntRange(0, 2).Draw(t, "desired")),
			Lost: rapid.Bool().Draw(t, "lost"), Reason: someWord.Draw(t, "reason"), Followup: someID.Draw(t, "followup"),
		})
	}
	p.Updates = rapid.SliceOfN(someID, 0, 1).Draw(t, "updates")
	p.Evals = rapid.SliceOfN(someEval, 0, 2).Draw(t, "evals")
	return p
})

// someCommands has one generator for each row of the table.
var someCommands = map[byte]func(*rapid.T) Command{
	codeRegionFound: func(t *rapid.T) Command {
		return RegionFound{ID: uid(1), Name: "r", Epoch: rapid.Uint64Range(0, 5).Draw(t, "epoch"), At: someTime.Draw(t, "at")}
	},
	codeJobRegister: func(t *rapid.T) Command {
		kind := rapid.SampledFrom([]string{"service", "batch"}).Draw(t, "type")
		return JobRegister{
			Spec:   jobSpec(someJob.Draw(t, "job"), kind, rapid.IntRange(0, 5).Draw(t, "count"), rapid.IntRange(1, 500).Draw(t, "cpu")),
			EvalID: uid(rapid.IntRange(1, 1000).Draw(t, "eval")), At: someTime.Draw(t, "at"),
			CheckIndex: rapid.IntRange(0, 9).Draw(t, "check") == 0, JobIndex: rapid.Uint64Range(0, 3).Draw(t, "index"),
		}
	},
	codeJobDeregister: func(t *rapid.T) Command {
		return JobDeregister{
			Namespace: "default", ID: someJob.Draw(t, "job"), Purge: rapid.Bool().Draw(t, "purge"),
			EvalID: uid(rapid.IntRange(1, 1000).Draw(t, "eval")), At: someTime.Draw(t, "at"),
		}
	},
	codeJobEvaluate: func(t *rapid.T) Command {
		return JobEvaluate{Namespace: "default", ID: someJob.Draw(t, "job"), EvalID: uid(rapid.IntRange(1, 1000).Draw(t, "eval"))}
	},
	codeNodeRegister: func(t *rapid.T) Command {
		return NodeRegister{
			ID: someID.Draw(t, "node"), Spec: nodeSpec(someWord.Draw(t, "name"), 4000), Addr: someWord.Draw(t, "addr"),
			At: someTime.Draw(t, "at"), Seed: someSeed.Draw(t, "seed"),
		}
	},
	codeNodeLinks: func(t *rapid.T) Command {
		c := NodeLinks{At: someTime.Draw(t, "at"), Seed: someSeed.Draw(t, "seed")}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			c.Changes = append(c.Changes, LinkChange{someID.Draw(t, "node"), someLink.Draw(t, "link"), someWord.Draw(t, "why")})
		}
		return c
	},
	codeNodeEligibility: func(t *rapid.T) Command {
		return NodeEligibility{Node: someID.Draw(t, "node"), Eligible: rapid.Bool().Draw(t, "eligible"), At: someTime.Draw(t, "at")}
	},
	codeNodeFacts: func(t *rapid.T) Command {
		c := NodeFacts{Node: someID.Draw(t, "node"), At: someTime.Draw(t, "at"), Seed: someSeed.Draw(t, "seed")}
		for range rapid.IntRange(0, 3).Draw(t, "set") {
			c.Set = append(c.Set, wire.Attribute{Name: someFact.Draw(t, "name"), Value: someWord.Draw(t, "value")})
		}
		c.Unset = rapid.SliceOfN(someFact, 0, 2).Draw(t, "unset")
		return c
	},
	codeEvalsPut: func(t *rapid.T) Command {
		return EvalsPut{Evals: rapid.SliceOfN(someEval, 0, 3).Draw(t, "evals"), At: someTime.Draw(t, "at")}
	},
	codeStatuses: func(t *rapid.T) Command {
		return Statuses{Nodes: rapid.SliceOfN(someStatuses, 0, 3).Draw(t, "nodes"), At: someTime.Draw(t, "at"), Seed: someSeed.Draw(t, "seed")}
	},
	codePlan: func(t *rapid.T) Command { return somePlan.Draw(t, "plan") },
	codePlanGranted: func(t *rapid.T) Command {
		p := somePlan.Draw(t, "plan")
		for i := range p.Groups {
			p.Groups[i].Granted = rapid.SliceOfN(rapid.Custom(someGranted), 0, len(p.Groups[i].IDs)).Draw(t, "granted")
			if len(p.Groups[i].Granted) == 0 {
				p.Groups[i].Granted = nil
			}
		}
		return p
	},
	codeNodeOrphansGranted: func(t *rapid.T) Command {
		c := NodeOrphans{Node: someID.Draw(t, "node"), At: someTime.Draw(t, "at")}
		for range rapid.IntRange(1, 3).Draw(t, "orphans") {
			c.Orphans = append(c.Orphans, wire.Orphan{
				ID: someID.Draw(t, "orphan"), Job: wire.JobKey{Namespace: "default", ID: someJob.Draw(t, "job")},
				Group: "app", Status: someState.Draw(t, "status"), Granted: someGranted(t),
			})
		}
		return c
	},
	codeModulePut: func(t *rapid.T) Command {
		digest := "sha256:" + strings.Repeat(fmt.Sprintf("%02x", rapid.IntRange(0, 3).Draw(t, "digest")), 32)
		return ModulePut{fleet.Module{Digest: digest, SizeBytes: 9, Name: someWord.Draw(t, "name"), PushedAt: someTime.Draw(t, "at")}}
	},
	codeInvitePut: func(t *rapid.T) Command {
		return InvitePut{fleet.Invite{
			TokenHash: rapid.SampledFrom([]string{"aa", "bb"}).Draw(t, "hash"), Name: someWord.Draw(t, "name"), ExpiresAt: someTime.Draw(t, "expires"),
			Count: rapid.IntRange(0, 3).Draw(t, "count"), Pool: someWord.Draw(t, "pool"),
		}, someTime.Draw(t, "at")}
	},
	codeInviteUse: func(t *rapid.T) Command {
		return InviteUse{TokenHash: rapid.SampledFrom([]string{"aa", "bb"}).Draw(t, "hash"), Node: someID.Draw(t, "node"), At: someTime.Draw(t, "at")}
	},
	codeInviteRevoke: func(t *rapid.T) Command {
		return InviteRevoke{TokenHash: rapid.SampledFrom([]string{"aa", "bb"}).Draw(t, "hash")}
	},
	codeIdentitySeen: func(t *rapid.T) Command {
		return IdentitySeen{
			Peer: somePeer.Draw(t, "peer"), KeyHash: rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "key"),
			ExpiresAt: someTime.Draw(t, "expires"), Renewal: rapid.Bool().Draw(t, "renewal"), At: someTime.Draw(t, "at"),
		}
	},
	codeIdentityStanding: func(t *rapid.T) Command {
		return IdentityStanding{
			Peer: somePeer.Draw(t, "peer"), Reason: someWord.Draw(t, "reason"), At: someTime.Draw(t, "at"), Seed: someSeed.Draw(t, "seed"),
			Standing: rapid.SampledFrom([]string{fleet.StandingApproved, fleet.StandingQuarantined, fleet.StandingRevoked, "odd"}).Draw(t, "standing"),
		}
	},
	codeIdentityClone: func(t *rapid.T) Command {
		return IdentityClone{somePeer.Draw(t, "peer"), fleet.NodeClone{Addr: someWord.Draw(t, "addr"), Linked: someWord.Draw(t, "linked"), At: someTime.Draw(t, "at")}}
	},
	codeMarkBegin: func(t *rapid.T) Command {
		return MarkBegin{ID: rapid.Uint64Range(0, 3).Draw(t, "mark"), After: rapid.Uint64Range(0, 20).Draw(t, "after"), At: someTime.Draw(t, "at")}
	},
	codeEpochRaise: func(t *rapid.T) Command {
		return EpochRaise{
			Epoch: rapid.Uint64Range(0, 5).Draw(t, "epoch"), Operator: rapid.Bool().Draw(t, "operator"), Node: someID.Draw(t, "node"),
			Held: wire.Generation{Epoch: rapid.Uint64Range(0, 5).Draw(t, "held"), N: rapid.Uint64Range(0, 90).Draw(t, "n")},
			Mark: rapid.Uint64Range(0, 3).Draw(t, "mark"), At: someTime.Draw(t, "at"),
		}
	},
	codeNodeOrphans: func(t *rapid.T) Command {
		c := NodeOrphans{Node: someID.Draw(t, "node"), At: someTime.Draw(t, "at")}
		for range rapid.IntRange(0, 3).Draw(t, "orphans") {
			c.Orphans = append(c.Orphans, wire.Orphan{
				ID: someID.Draw(t, "orphan"), Job: wire.JobKey{Namespace: "default", ID: someJob.Draw(t, "job"), Sum: rapid.Uint64Range(0, 2).Draw(t, "sum")},
				Group: "app", Index: 1, Status: someState.Draw(t, "status"),
			})
		}
		return c
	},
	codeAllocStop: func(t *rapid.T) Command {
		return AllocStop{Alloc: someID.Draw(t, "alloc"), Gone: rapid.Bool().Draw(t, "gone"), EvalID: uid(rapid.IntRange(1, 1000).Draw(t, "eval"))}
	},
	codeAllocAdopt: func(t *rapid.T) Command {
		return AllocAdopt{Alloc: someID.Draw(t, "alloc"), EvalID: uid(rapid.IntRange(1, 1000).Draw(t, "eval")), At: someTime.Draw(t, "at")}
	},
	codeNodePoolPut: func(t *rapid.T) Command {
		return NodePoolPut{Pool: rapid.SampledFrom([][]byte{[]byte(`{"Name":"shops"}`), []byte(`{"Name":"default"}`), []byte(`{`)}).Draw(t, "pool")}
	},
	codeNodePoolDelete: func(t *rapid.T) Command {
		return NodePoolDelete{Name: rapid.SampledFrom([]string{"shops", "all", "none"}).Draw(t, "pool")}
	},
	codeSchedulerSet: func(t *rapid.T) Command {
		return SchedulerSet{
			Config:     rapid.SampledFrom([][]byte{[]byte(`{"SchedulerAlgorithm":"spread"}`), []byte(`{"PauseEvalBroker":true}`), []byte(`[]`)}).Draw(t, "config"),
			CheckIndex: rapid.Bool().Draw(t, "check"), Index: rapid.Uint64Range(0, 20).Draw(t, "index"),
		}
	},
	codeNodeDrain: func(t *rapid.T) Command {
		return NodeDrain{
			Node: someID.Draw(t, "node"), Drain: rapid.Bool().Draw(t, "drain"), Limit: fleet.Duration(rapid.IntRange(-1, 9).Draw(t, "limit")),
			IgnoreSystem: rapid.Bool().Draw(t, "ignore"), Eligible: rapid.Bool().Draw(t, "eligible"), At: someTime.Draw(t, "at"),
		}
	},
	codeDrainStep: func(t *rapid.T) Command {
		c := DrainStep{At: someTime.Draw(t, "at"), Seed: someSeed.Draw(t, "seed")}
		for range rapid.IntRange(0, 2).Draw(t, "marks") {
			m := DrainMark{Node: someID.Draw(t, "node"), Force: rapid.Bool().Draw(t, "force")}
			for range rapid.IntRange(0, 3).Draw(t, "allocs") {
				m.Allocs = append(m.Allocs, someID.Draw(t, "alloc"))
			}
			c.Marks = append(c.Marks, m)
		}
		for range rapid.IntRange(0, 2).Draw(t, "done") {
			c.Done = append(c.Done, DrainDone{Node: someID.Draw(t, "node"), StartedAt: someTime.Draw(t, "started")})
		}
		return c
	},
	codeReap: func(t *rapid.T) Command {
		c := Reap{At: someTime.Draw(t, "at")}
		for _, ids := range []*[]fleet.UUID{&c.Allocs, &c.Evals, &c.Nodes} {
			*ids = append(*ids, rapid.SliceOfN(someID, 0, 3).Draw(t, "rows")...)
		}
		for range rapid.IntRange(0, 2).Draw(t, "jobs") {
			c.Jobs = append(c.Jobs, ReapedJob{state.JobKey(rapid.IntRange(0, 4).Draw(t, "job")), rapid.Uint64Range(0, 40).Draw(t, "index")})
		}
		return c
	},
	codeDeploymentPut: func(t *rapid.T) Command {
		return DeploymentPut{
			Deployment: rapid.SampledFrom([][]byte{
				[]byte(`{"ID":"00000100-0000-4000-8000-000000000001","Namespace":"default","JobID":"a","Status":"running","TaskGroups":{"app":{"DesiredCanaries":2}}}`),
				[]byte(`{"ID":"00000200-0000-4000-8000-000000000001","Namespace":"default","JobID":"b","JobVersion":1,"Status":"paused","TaskGroups":{"app":{"Promoted":true}}}`),
				[]byte(`{"ID":"00000100-0000-4000-8000-000000000001","Namespace":"default","JobID":"b","Status":"odd"}`), []byte(`[]`),
			}).Draw(t, "deployment"),
			EvalID: uid(rapid.IntRange(1, 1000).Draw(t, "eval")), At: someTime.Draw(t, "at"),
		}
	},
	codeDeploymentStatus: func(t *rapid.T) Command {
		return DeploymentStatus{
			ID:      rapid.SampledFrom([]fleet.UUID{{1: 0, 2: 1, 6: 0x40, 8: 0x80, 15: 1}, {1: 0, 2: 2, 6: 0x40, 8: 0x80, 15: 1}, {}}).Draw(t, "id"),
			Status:  rapid.SampledFrom([]string{fleet.DeploymentRunning, fleet.DeploymentFailed, "odd"}).Draw(t, "status"),
			Promote: rapid.SliceOfN(rapid.SampledFrom([]string{"app", "none"}), 0, 2).Draw(t, "promote"),
			EvalID:  uid(rapid.IntRange(1, 1000).Draw(t, "eval")), At: someTime.Draw(t, "at"), Description: someWord.Draw(t, "why"),
		}
	},
	codePlanBack: func(t *rapid.T) Command {
		p := somePlan.Draw(t, "plan")
		if len(p.Groups) == 0 {
			p.Groups = []Placements{{Nodes: []state.NodeKey{1}, Names: []uint32{7}, IDs: []fleet.UUID{someID.Draw(t, "id")}}}
		}
		p.Groups[0].Back = uint8(rapid.IntRange(1, state.JobVersionsMax-1).Draw(t, "back"))
		return p
	},
	codePlanEvict: func(t *rapid.T) Command {
		p := somePlan.Draw(t, "plan")
		if len(p.Groups) > 0 && rapid.IntRange(0, 3).Draw(t, "older") == 0 {
			p.Groups[0].Back = 1
		}
		for range rapid.IntRange(1, 2).Draw(t, "evictions") {
			e := Eviction{Alloc: someID.Draw(t, "evicted"), By: someID.Draw(t, "by")}
			if len(p.Groups) > 0 {
				e.By = p.Groups[0].IDs[0]
			}
			p.Evictions = append(p.Evictions, e)
		}
		return p
	},
	codeEvalsDelete: func(t *rapid.T) Command {
		return EvalsDelete{rapid.SliceOfN(someID, 0, 3).Draw(t, "evals")}
	},
	codeBrakeSet: func(t *rapid.T) Command {
		return BrakeSet{On: rapid.Bool().Draw(t, "on"), Forget: rapid.Bool().Draw(t, "forget"), Reason: someWord.Draw(t, "why"), At: someTime.Draw(t, "at")}
	},
}

func someGranted(t *rapid.T) wire.Granted {
	g := wire.Grants{Ports: []wire.GrantedPort{{Label: "http", Number: rapid.Uint16Range(1, 9).Draw(t, "port")}}}
	return g.Pack()
}

func someCommand(t *rapid.T) Command {
	f := rapid.SampledFrom(families).Draw(t, "family")
	return someCommands[f.code](t)
}

func TestRoundTrip(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, rapid.MakeCheck(func(t *rapid.T) {
			c := someCommands[f.code](t)
			entry := Encode(c)
			got, err := Decode(entry)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("decoded differently (-want +got):\n%s", diff)
			}
			if !bytes.Equal(Encode(got), entry) {
				t.Fatal("encoding what was decoded gives other bytes")
			}
			if n := len(entry); n > 2 {
				if _, err := Decode(entry[:rapid.IntRange(0, n-1).Draw(t, "cut")]); err == nil {
					t.Fatal("a cut entry decodes")
				}
			}
		}))
	}
}

// furnished is how a log begins that has something for all commands to meet:
// most of them would be refused by an empty region.
func furnished() (log []Command) {
	var g Placements
	for i := 1; i <= 4; i++ {
		log = append(log, NodeRegister{ID: uid(i), Spec: nodeSpec("n", 4000), At: 1})
		g.Nodes, g.Names, g.IDs = append(g.Nodes, state.NodeKey(i)), append(g.Names, uint32(i)), append(g.IDs, uid(i))
	}
	for i, job := range []fleet.JobID{"a", "b"} {
		log = append(log, JobRegister{Spec: jobSpec(job, "service", 4, 100), EvalID: uid(2000 + i)})
		log = append(log, Plan{Namespace: "default", Job: job, Groups: []Placements{g}})
		g.IDs = []fleet.UUID{uid(5), uid(6), uid(7), uid(8)}
	}
	return log
}

// TestEqualLogsGiveEqualStates runs one log on two states: command by command on
// the first, in batches and over a checkpoint on the second.
func TestEqualLogsGiveEqualStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := state.New(), state.New()
		n := rapid.IntRange(1, 60).Draw(t, "commands")
		cut := rapid.IntRange(0, n).Draw(t, "restart")
		batch := b.Begin()
		commands := furnished()
		n += len(commands)
		for i := range n {
			index := uint64(i + 1)
			var c Command
			if i < len(commands) {
				c = commands[i]
			} else {
				c = someCommand(t)
			}
			entry := Encode(c)
			txn := a.Begin()
			before := checkpointOf(t, &txn.View)
			_, errA := Apply(txn, index, entry)
			if errA != nil && !bytes.Equal(before, checkpointOf(t, &txn.View)) {
				t.Fatalf("%T was refused (%v) and changed the state", c, errA)
			}
			txn.Commit(index)
			_, errB := Apply(batch, index, entry)
			if fmt.Sprint(errA) != fmt.Sprint(errB) {
				t.Fatalf("%T: one says %v, the other %v", c, errA, errB)
			}
			if i == cut {
				restored, err := state.ReadCheckpoint(bytes.NewReader(checkpointOf(t, batch.Commit(index))))
				if err != nil {
					t.Fatal(err)
				}
				b = state.New()
				b.Replace(restored)
				batch = b.Begin()
			}
		}
		batch.Commit(uint64(n))
		if a.View().Hash() != b.View().Hash() {
			t.Fatal("the hashes differ")
		}
		if !bytes.Equal(checkpointOf(t, a.View()), checkpointOf(t, b.View())) {
			t.Fatal("the checkpoints differ")
		}
	})
}

func checkpointOf(t *rapid.T, v *state.View) []byte {
	var b bytes.Buffer
	if err := v.WriteCheckpoint(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// FuzzApply gives any bytes to a region that has something of everything.
func FuzzApply(f *testing.F) {
	w := newWorld(f)
	w.job("a", "service", 1)
	node := w.node(2)
	w.place("a", node, 5, 6)
	for _, g := range someCommands {
		for seed := range 3 {
			f.Add(Encode(rapid.Custom(g).Example(seed)))
		}
	}
	f.Add(Encode(JobRegister{Spec: []byte(`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Resources":{"CPU":-5}}]}]}`), EvalID: uid(77)}))
	f.Add(Encode(JobRegister{Spec: []byte(`{"ID":"x","TaskGroups":[null,{"Count":null,"Tasks":[null]}]}`), EvalID: uid(78)}))
	before := checkpoint(f, w.store.View())
	f.Fuzz(func(t *testing.T, entry []byte) {
		txn := w.store.Begin()
		if _, err := Apply(txn, 99, entry); err != nil {
			if !bytes.Equal(before, checkpoint(t, &txn.View)) {
				t.Fatalf("refused (%v), but the state changed", err)
			}
			return
		}
		after := checkpoint(t, &txn.View)
		v, err := state.ReadCheckpoint(bytes.NewReader(after))
		if err != nil {
			t.Fatalf("applied, but the state cannot be restored: %v", err)
		}
		if !bytes.Equal(after, checkpoint(t, v)) {
			t.Fatal("a restored state writes another checkpoint")
		}
	})
}

// BenchmarkPlan applies a plan of 1,000 placements to a region of 1,000 nodes and
// 100,000 allocations.
func BenchmarkPlan(b *testing.B) {
	const nodes, placements, before = 1000, 1000, 100_000
	store, index := state.New(), uint64(1)
	apply := func(entries ...[]byte) {
		txn := store.Begin()
		for _, e := range entries {
			if _, err := Apply(txn, index, e); err != nil {
				b.Fatal(err)
			}
		}
		txn.Commit(index)
		index++
	}
	apply(Encode(JobRegister{Spec: jobSpec("web", "batch", 1000, 1), EvalID: uid(1)}))
	for i := range nodes {
		apply(Encode(NodeRegister{ID: uid(i + 1), Spec: nodeSpec("n", 1<<30)}))
	}
	next := 1
	plan := func() []byte {
		g := Placements{}
		for i := range placements {
			g.Nodes, g.Names = append(g.Nodes, state.NodeKey(i*7%nodes+1)), append(g.Names, uint32(i))
			g.IDs = append(g.IDs, fleet.MintUUID([16]byte{byte(next * 167), byte(next * 13), byte(next), byte(next >> 8), byte(next >> 16), byte(next >> 24)}))
			next++
		}
		return Encode(Plan{Namespace: "default", Job: "web", Groups: []Placements{g}, At: 1})
	}
	for range before / placements {
		apply(plan())
	}
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		entry := plan()
		size = len(entry)
		b.StartTimer()
		apply(entry)
	}
	b.ReportMetric(float64(size), "bytes/plan")
}

// TestSpecIsKeptAsItCame: see putVersion.
func TestSpecIsKeptAsItCame(t *testing.T) {
	w := newWorld(t)
	raw := []byte(`{"ID":"old","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"wasm"}]}]}`)
	do[JobRegistered](w, JobRegister{Spec: raw, EvalID: uid(1)})
	v := w.store.View().JobByID("default", "old").Current()
	if !bytes.Equal(v.JSON, raw) || *v.Spec.Priority != fleet.DefaultPriority || v.Asks[0].CPU != fleet.DefaultCPUMHz {
		t.Errorf("version: %s, %+v", v.JSON, v.Asks)
	}
	restored := state.New()
	view, err := state.ReadCheckpoint(bytes.NewReader(checkpoint(t, w.store.View())))
	if err != nil {
		t.Fatal(err)
	}
	restored.Replace(view)
	a, _ := json.Marshal(v.Spec)
	b, _ := json.Marshal(restored.View().JobByID("default", "old").Current().Spec)
	if !bytes.Equal(a, b) {
		t.Errorf("restored as %s, was %s", b, a)
	}
}
