package state

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc64"
	"runtime"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// full is a region with something in every table.
func full(t testing.TB) *View {
	s := New()
	x := s.Begin()
	x.SetRegion(Region{ID: uid(1), Name: "r", Epoch: 2, CreatedAt: 3})
	n := x.PutNode(Node{ID: uid(2), Spec: &fleet.Node{Name: "n", Attributes: map[string]string{"a": "b"}}, Link: fleet.LinkLost, LinkReason: "silent"}, 1)
	j := x.PutJob(Job{Namespace: "default", ID: "x", Versions: []*JobVersion{version(x.NextJobKey(), 0, "x")}}, 1)
	gone := x.PutJob(Job{Namespace: "default", ID: "gone", Versions: []*JobVersion{version(x.NextJobKey(), 0, "gone")}}, 1)
	rows := []*Alloc{
		{ID: uid(3), Version: j.Current(), Node: n.Key, Detail: &AllocDetail{DesiredReason: "why", Followup: uid(4)}},
		{ID: uid(5), Version: gone.Current(), Node: n.Key, Desired: DesiredStop, Group: 1, Exceeds: true},
		{ID: uid(7), Version: j.Current(), Node: n.Key, Detail: &AllocDetail{PreemptedBy: uid(8), Preempted: []fleet.UUID{uid(3), uid(5)}}},
	}
	if err := x.InsertAllocs(rows, 1); err != nil {
		t.Fatal(err)
	}
	x.DeleteJob(gone)
	x.PutEval(Eval{ID: uid(6), Namespace: "default", Job: "x", Status: fleet.EvalBlocked, Groups: []GroupOutcome{
		{Group: "a", Queued: 2, Metric: &fleet.AllocMetric{NodesEvaluated: 1}},
	}}, 1)
	x.PutModule(fleet.Module{Digest: "sha256:0", SizeBytes: 1})
	x.PutInvite(fleet.Invite{TokenHash: "h"})
	x.PutIdentity(&fleet.NodeIdentity{Peer: fleet.PeerOfNode(uid(2)), KeyHash: "k", Standing: fleet.StandingRevoked, Reason: "stolen"}, 1)
	x.PutIdentity(&fleet.NodeIdentity{Peer: fleet.PeerOfNode(uid(9)), Standing: fleet.StandingApproved}, 1)
	x.PutNodePool(fleet.NodePool{Name: "shops", Meta: map[string]string{"a": "b"}, SchedulerConfiguration: &fleet.NodePoolScheduler{SchedulerAlgorithm: "spread"}}, 1)
	x.SetSchedulerConfig(fleet.SchedulerConfiguration{SchedulerAlgorithm: "binpack", PauseEvalBroker: true}, 1)
	x.PutDeployment(Deployment{ID: uid(7), Job: j.Key, Spec: &fleet.Deployment{
		ID: fleet.DeploymentID(uid(7).String()), JobID: "x", Status: fleet.DeploymentRunning,
		TaskGroups: map[string]*fleet.DeploymentState{"a": {DesiredCanaries: 2, PlacedCanaries: []fleet.AllocID{fleet.AllocID(uid(3).String())}}},
	}}, 1)
	x.Fold([]byte("x"))
	return x.Commit(1)
}

func TestVersionsOfPurgedJobsAreKept(t *testing.T) {
	v, err := ReadCheckpoint(bytes.NewReader(checkpointBytes(t, full(t))))
	if err != nil {
		t.Fatal(err)
	}
	if a := v.AllocByID(uid(5)); a == nil || a.Name() != "gone.b[0]" || !a.Exceeds || v.AllocByID(uid(3)).Exceeds {
		t.Errorf("allocation of a purged job: %+v", a)
	}
	if v.JobByID("default", "gone") != nil || v.Hash() == 0 || v.Region().Epoch != 2 {
		t.Errorf("restored region: %+v", v.Region())
	}
}

func TestDeploymentsSurviveACheckpoint(t *testing.T) {
	v, err := ReadCheckpoint(bytes.NewReader(checkpointBytes(t, full(t))))
	if err != nil {
		t.Fatal(err)
	}
	d := v.DeploymentOf(v.JobByID("default", "x"))
	if d == nil || d != v.Deployment(uid(7)) || !d.Spec.TaskGroups["a"].HasCanary(uid(3)) || d.Spec.CreateIndex != 1 {
		t.Fatalf("%+v", d)
	}
}

// Of a job's deployments the newest stay, and none outlives the job.
func TestDeploymentsOfAJob(t *testing.T) {
	s := New()
	x := s.Begin()
	j := x.PutJob(Job{Namespace: "default", ID: "x", Versions: []*JobVersion{version(x.NextJobKey(), 0, "x")}}, 1)
	other := x.PutJob(Job{Namespace: "default", ID: "y", Versions: []*JobVersion{version(x.NextJobKey(), 0, "y")}}, 1)
	x.PutDeployment(Deployment{ID: uid(90), Job: other.Key, Spec: &fleet.Deployment{}}, 1)
	for i := range DeploymentsKeptMax + 3 {
		x.PutDeployment(Deployment{ID: uid(i + 1), Job: j.Key, Spec: &fleet.Deployment{}}, uint64(i+1))
	}
	x.PutDeployment(Deployment{ID: uid(5), Job: j.Key, Spec: &fleet.Deployment{Status: fleet.DeploymentFailed}}, 40)
	n := 0
	for range x.Deployments(j.Key) {
		n++
	}
	if n != DeploymentsKeptMax || x.Deployment(uid(3)) != nil || x.Deployment(uid(4)) == nil {
		t.Fatalf("%d are kept", n)
	}
	if d := x.Deployment(uid(5)); d.Spec.CreateIndex != 5 || d.Spec.ModifyIndex != 40 || x.DeploymentOf(j).ID != uid(DeploymentsKeptMax+3) {
		t.Fatalf("%+v", d.Spec)
	}
	x.DeleteJob(j)
	if x.DeploymentOf(j) != nil || x.Deployment(uid(5)) != nil || x.Deployment(uid(90)) == nil {
		t.Fatal("a purged job has deployments, or took another's with it")
	}
}

func TestIdentitiesSurviveACheckpoint(t *testing.T) {
	v, err := ReadCheckpoint(bytes.NewReader(checkpointBytes(t, full(t))))
	if err != nil {
		t.Fatal(err)
	}
	if n := v.NodeByID(uid(2)); !n.Identity.Revoked() || n.Identity.Reason != "stolen" || n.Identity != v.Identity(fleet.PeerOfNode(uid(2))) {
		t.Errorf("the node's identity: %+v", n.Identity)
	}
	// A device that joined and never came has an identity and no row; it gets it later.
	s := New()
	s.Replace(v)
	x := s.Begin()
	if n := x.PutNode(Node{ID: uid(9), Spec: &fleet.Node{}}, 2); n.Identity == nil || n.Identity != x.Identity(fleet.PeerOfNode(uid(9))) {
		t.Errorf("a new row's identity: %+v", n.Identity)
	}
}

func TestPoolsAndSchedulerSurviveACheckpoint(t *testing.T) {
	v, err := ReadCheckpoint(bytes.NewReader(checkpointBytes(t, full(t))))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for p := range v.NodePools() {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "all default shops" {
		t.Errorf("pools %s", got)
	}
	if c := v.SchedulerConfig(); !c.PauseEvalBroker || c.ModifyIndex != 1 {
		t.Errorf("scheduler %+v", c)
	}
	if c := v.SchedulerConfigOf("shops"); c.SchedulerAlgorithm != "spread" || !c.PauseEvalBroker {
		t.Errorf("scheduler of shops: %+v", c)
	}
	if c := v.SchedulerConfigOf("default"); c.SchedulerAlgorithm != "binpack" {
		t.Errorf("scheduler of the default pool: %+v", c)
	}
	// A region of before has neither.
	old := New().View()
	if _, known := old.NodePool("shops"); known || old.SchedulerConfig() != fleet.DefaultSchedulerConfiguration() {
		t.Error("an empty region has what nobody made")
	}
	if nodes, jobs := v.NodePoolUse("default"); nodes != 1 || jobs != 1 {
		t.Errorf("the default pool is used by %d nodes and %d jobs", nodes, jobs)
	}
}

func TestLongExplanationsAreCut(t *testing.T) {
	e := Eval{ID: uid(1), Namespace: "n", Job: "j", Groups: []GroupOutcome{{Group: "a", Metric: &fleet.AllocMetric{
		NodesFiltered: 7, ConstraintFiltered: map[string]int{strings.Repeat("<", MetricBytesMax): 7},
	}}}}
	r := codec.NewReader(AppendEval(nil, &e))
	got := ReadEval(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if m := got.Groups[0].Metric; m.NodesFiltered != 7 || len(m.ConstraintFiltered) != 0 {
		t.Errorf("cut explanation: %+v", m)
	}
}

// reseal gives a damaged checkpoint a right end record, so that the fuzzer gets
// past the checksum to the records.
func reseal(body []byte, records uint64) []byte {
	out := append([]byte(checkpointMagic), body...)
	end := binary.BigEndian.AppendUint64(codec.AppendUint([]byte{recEnd}, records), crc64.Checksum(out, crcTable))
	return append(binary.AppendUvarint(out, uint64(len(end))), end...)
}

// FuzzReadCheckpoint reads the bytes as they are, and as records with a right
// checksum.
func FuzzReadCheckpoint(f *testing.F) {
	whole := checkpointBytes(f, full(f))
	f.Add(whole, uint64(0))
	body := bytes.TrimPrefix(whole, []byte(checkpointMagic))
	for n := range uint64(12) {
		f.Add(body[:len(body)-12], n)
	}
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, records uint64) {
		for _, in := range [][]byte{b, reseal(b, records)} {
			v, err := ReadCheckpoint(bytes.NewReader(in))
			if (err == nil) == (v == nil) || err != nil && !errors.Is(err, ErrCheckpoint) {
				t.Fatalf("view %v, error %v", v, err)
			}
			if err != nil {
				continue
			}
			for a := range v.Allocs() {
				if _, err := json.Marshal(v.Allocation(a)); err != nil {
					t.Fatal(err)
				}
			}
			for j := range v.Jobs() {
				v.JobView(j)
				v.Summary(j)
			}
		}
	})
}

// BenchmarkMemory holds a million allocations on ten thousand nodes, inserted as
// plans of a thousand, each of which was then reported running.
func BenchmarkMemory(b *testing.B) {
	const nodes, plans, perPlan = 10_000, 1000, 1000
	for b.Loop() {
		before := heap()
		s := New()
		x := s.Begin()
		for i := range nodes {
			x.PutNode(Node{ID: fleet.UUID{0: byte(i >> 8), 1: byte(i)}, Spec: &fleet.Node{}}, 1)
		}
		j := x.PutJob(Job{Namespace: "default", ID: "x", Versions: []*JobVersion{version(x.NextJobKey(), 0, "x")}}, 1)
		x.Commit(1)
		base := heap()
		for p := range uint64(plans) {
			fill(b, s, j.Current(), p, perPlan, nodes)
		}
		b.ReportMetric(float64(heap()-base)/(plans*perPlan), "bytes/alloc")
		b.ReportMetric(float64(base-before)/nodes, "bytes/node")
		runtime.KeepAlive(s)
	}
}

func fill(b *testing.B, s *Store, v *JobVersion, p uint64, perPlan, nodes int) {
	x := s.Begin()
	rows := make([]*Alloc, perPlan)
	for i := range rows {
		n := p*uint64(perPlan) + uint64(i)
		id := fleet.UUID{}
		binary.BigEndian.PutUint64(id[:], n*0x9e3779b97f4a7c15)
		rows[i] = &Alloc{ID: id, Version: v, Node: NodeKey(n*7%uint64(nodes) + 1), Index: uint32(n)}
	}
	if err := x.InsertAllocs(rows, p+2); err != nil {
		b.Fatal(err)
	}
	for _, old := range rows {
		c := *old
		c.Observed = ObservedRunning
		x.UpdateAlloc(old, c, p+2)
	}
	x.Commit(p + 2)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
