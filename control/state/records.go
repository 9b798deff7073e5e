package state

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// WordBytesMax bounds names, addresses and other short strings of a row.
const WordBytesMax = 256

const wordMax = WordBytesMax

// MetricBytesMax bounds the explanation of one group in an evaluation, as JSON.
// A longer one is cut down to its counters when it is encoded: refusing it would
// make a job impossible to place because the reason is too long.
const MetricBytesMax = 32 << 10

func (t *tables) appendRegion(b []byte) []byte {
	b = codec.AppendUint(binary.BigEndian.AppendUint64(b, t.hash), t.index)
	b = codec.AppendString(append(b, t.region.ID[:]...), t.region.Name)
	b = codec.AppendInt(codec.AppendUint(b, t.region.Epoch), t.region.CreatedAt)
	b = codec.AppendUint(codec.AppendUint(b, uint64(t.nextNode)), uint64(t.nextJob))
	return codec.AppendUint(codec.AppendUint(b, uint64(t.nextAlloc)), uint64(t.nextEval))
}

func (t *tables) readRegion(r *codec.Reader) {
	if h := r.Raw(8); h != nil {
		t.hash = binary.BigEndian.Uint64(h)
	}
	t.index = r.Uint()
	t.region = Region{ID: r.UUID(), Name: r.String("a region", wordMax), Epoch: r.Uint(), CreatedAt: r.Int()}
	t.nextNode, t.nextJob = NodeKey(r.Uint()), JobKey(r.Uint())
	t.nextAlloc, t.nextEval = AllocKey(r.Uint()), EvalKey(r.Uint())
}

func appendNode(b []byte, n *Node) []byte {
	b = append(codec.AppendUint(b, uint64(n.Key)), n.ID[:]...)
	b = codec.AppendString(codec.AppendString(b, n.Link), n.LinkReason)
	b = codec.AppendString(codec.AppendBool(codec.AppendInt(b, n.LinkSince), n.Ineligible), n.Addr)
	b = codec.AppendUint(codec.AppendUint(b, n.CreateIndex), n.ModifyIndex)
	b = codec.AppendInt(codec.AppendUint(b, n.CapacityAt), n.RegisteredAt)
	return appendJSON(b, n.Spec)
}

func readNode(r *codec.Reader) (*Node, error) {
	n := &Node{Key: NodeKey(r.Uint()), ID: r.UUID()}
	n.Link, n.LinkReason = fleet.LinkState(r.String("a link state", wordMax)), r.String("a reason", EvalDescMax)
	n.LinkSince, n.Ineligible, n.Addr = r.Int(), r.Bool(), r.String("an address", wordMax)
	n.CreateIndex, n.ModifyIndex, n.CapacityAt, n.RegisteredAt = r.Uint(), r.Uint(), r.Uint(), r.Int()
	n.Spec = &fleet.Node{}
	return n, restJSON(r, n.Spec)
}

func restJSON(r *codec.Reader, v any) error {
	rest := r.Raw(r.Left())
	if err := r.Err(); err != nil {
		return err
	}
	return json.Unmarshal(rest, v)
}

func appendVersion(b []byte, v *JobVersion) []byte {
	b = codec.AppendUint(codec.AppendUint(b, uint64(v.Job)), v.Version)
	b = codec.AppendUint(codec.AppendInt(b, v.SubmitTime), v.Index)
	return append(b, v.JSON...)
}

func readVersion(r *codec.Reader) (*JobVersion, error) {
	job, version, submit, index := JobKey(r.Uint()), r.Uint(), r.Int(), r.Uint()
	raw := append([]byte(nil), r.Raw(r.Left())...)
	if err := r.Err(); err != nil {
		return nil, err
	}
	spec, err := fleetJob(raw)
	if err != nil {
		return nil, err
	}
	return NewJobVersion(job, version, spec, raw, submit, index), nil
}

func appendJob(b []byte, j *Job) []byte {
	b = codec.AppendString(codec.AppendString(codec.AppendUint(b, uint64(j.Key)), j.Namespace), j.ID)
	b = codec.AppendUint(codec.AppendBool(b, j.Stop), j.CreateIndex)
	b = codec.AppendUint(codec.AppendUint(b, j.ModifyIndex), j.JobModifyIndex)
	b = codec.AppendUint(b, uint64(len(j.Versions)))
	for _, v := range j.Versions {
		b = codec.AppendUint(b, v.Version)
	}
	return b
}

// AppendEval appends the binary form of an evaluation, as commands carry it.
// Its key is not part of it.
func AppendEval(b []byte, e *Eval) []byte {
	b = codec.AppendString(codec.AppendString(append(b, e.ID[:]...), e.Namespace), e.Job)
	b = codec.AppendString(codec.AppendString(b, e.Type), e.Trigger)
	b = codec.AppendString(codec.AppendUint(b, uint64(e.Priority)), e.Status)
	b = codec.AppendInt(append(codec.AppendString(b, e.Description), e.Node[:]...), e.WaitUntil)
	b = append(append(append(b, e.Prev[:]...), e.Next[:]...), e.Blocked[:]...)
	b = codec.AppendUint(codec.AppendUint(b, e.Snapshot), e.JobIndex)
	b = codec.AppendUint(codec.AppendUint(b, e.CreateIndex), e.ModifyIndex)
	b = codec.AppendInt(codec.AppendInt(b, e.CreateTime), e.ModifyTime)
	b = codec.AppendUint(b, uint64(len(e.Groups)))
	for _, g := range e.Groups {
		b = codec.AppendUint(codec.AppendUint(codec.AppendString(b, g.Group), uint64(g.Placed)), uint64(g.Queued))
		var metric []byte
		if g.Metric != nil {
			metric = metricJSON(g.Metric)
		}
		b = codec.AppendBytes(b, metric)
	}
	return b
}

func metricJSON(m *fleet.AllocMetric) []byte {
	j := appendJSON(nil, m)
	if len(j) <= MetricBytesMax {
		return j
	}
	return appendJSON(nil, &fleet.AllocMetric{
		NodesEvaluated: m.NodesEvaluated, NodesFiltered: m.NodesFiltered, NodesInPool: m.NodesInPool,
		NodesExhausted: m.NodesExhausted, CoalescedFailures: m.CoalescedFailures, AllocationTime: m.AllocationTime,
	})
}

// ReadEval reads what AppendEval wrote.
func ReadEval(r *codec.Reader) Eval {
	e := Eval{ID: r.UUID(), Namespace: r.String("a namespace", wordMax), Job: fleet.JobID(r.String("a job", wordMax))}
	e.Type, e.Trigger = r.String("a type", wordMax), r.String("a trigger", wordMax)
	e.Priority, e.Status = int(r.UintMax("a priority", 1000)), r.String("a status", wordMax)
	e.Description, e.Node, e.WaitUntil = r.String("a description", EvalDescMax), r.UUID(), r.Int()
	e.Prev, e.Next, e.Blocked = r.UUID(), r.UUID(), r.UUID()
	e.Snapshot, e.JobIndex, e.CreateIndex, e.ModifyIndex = r.Uint(), r.Uint(), r.Uint(), r.Uint()
	e.CreateTime, e.ModifyTime = r.Int(), r.Int()
	for range r.Count("groups", fleet.GroupsMax, 4) {
		g := GroupOutcome{Group: r.String("a group", wordMax)}
		g.Placed = int(r.UintMax("placed", fleet.GroupCountMax))
		g.Queued = int(r.UintMax("queued", fleet.GroupCountMax))
		if raw := r.Bytes("a metric", MetricBytesMax); len(raw) > 0 {
			g.Metric = &fleet.AllocMetric{}
			if err := json.Unmarshal(raw, g.Metric); err != nil {
				r.Fail(err)
			}
		}
		e.Groups = append(e.Groups, g)
	}
	return e
}

func appendAlloc(b []byte, a *Alloc) []byte {
	b = append(codec.AppendUint(b, uint64(a.Key)), a.ID[:]...)
	b = codec.AppendUint(codec.AppendUint(b, uint64(a.Version.Job)), a.Version.Version)
	b = append(append(append(b, a.Eval[:]...), a.Prev[:]...), a.Next[:]...)
	b = codec.AppendUint(codec.AppendUint(b, uint64(a.Node)), uint64(a.Index))
	b = append(codec.AppendUint(b, uint64(a.Group)), byte(a.Desired), byte(a.Observed))
	b = codec.AppendUint(codec.AppendUint(codec.AppendUint(b, a.CreateIndex), a.ModifyIndex), a.DesiredIndex)
	b = codec.AppendInt(codec.AppendInt(b, a.CreateTime), a.ModifyTime)
	if a.Detail == nil {
		return codec.AppendBool(b, false)
	}
	return a.Detail.append(codec.AppendBool(b, true))
}

func (d *AllocDetail) append(b []byte) []byte {
	b = append(codec.AppendString(b, d.DesiredReason), d.Followup[:]...)
	// The device's report is stored as the device sends it, status included,
	// though the row has that too: one codec for tasks instead of two.
	s := wire.AllocStatus{Status: fleet.ClientPending, Description: d.Description, Tasks: d.Report.Tasks()}
	b = wire.AppendAllocStatus(b, &s)
	b = codec.AppendUint(b, uint64(len(d.Past)))
	for _, p := range d.Past {
		b = codec.AppendString(codec.AppendInt(b, p.RescheduleTime), p.PrevAllocID)
		b = codec.AppendInt(codec.AppendString(b, p.PrevNodeID), int64(p.Delay))
	}
	if d.PreemptedBy.IsZero() && len(d.Preempted) == 0 {
		return b // as it was written before anything could give way
	}
	b = codec.AppendUint(append(b, d.PreemptedBy[:]...), uint64(len(d.Preempted)))
	for _, id := range d.Preempted {
		b = append(b, id[:]...)
	}
	return b
}

func readDetail(r *codec.Reader) *AllocDetail {
	d := &AllocDetail{DesiredReason: r.String("a reason", EvalDescMax), Followup: r.UUID()}
	s := wire.ReadAllocStatus(r)
	d.Description, d.Report = s.Description, ReportOf(s.Tasks)
	for range r.Count("reschedules", fleet.ReschedulePastMax, 4) {
		d.Past = append(d.Past, fleet.ReschedulePast{
			RescheduleTime: r.Int(), PrevAllocID: fleet.AllocID(r.String("an allocation", wordMax)),
			PrevNodeID: fleet.NodeID(r.String("a node", wordMax)), Delay: fleet.Duration(r.Int()),
		})
	}
	if r.Err() == nil && r.Left() > 0 {
		d.PreemptedBy = r.UUID()
		for range r.Count("allocations that gave way", PreemptedMax, 16) {
			d.Preempted = append(d.Preempted, r.UUID())
		}
	}
	return d
}

func (l *loader) readAlloc(r *codec.Reader) (*Alloc, error) {
	a := &Alloc{Key: AllocKey(r.Uint()), ID: r.UUID()}
	ver := versionKey{JobKey(r.Uint()), r.Uint()}
	a.Eval, a.Prev, a.Next = r.UUID(), r.UUID(), r.UUID()
	a.Node, a.Index, a.Group = NodeKey(r.Uint()), uint32(r.Uint()), uint16(r.Uint())
	a.Desired, a.Observed = Desired(r.Byte()), Observed(r.Byte())
	a.CreateIndex, a.ModifyIndex, a.DesiredIndex = r.Uint(), r.Uint(), r.Uint()
	a.CreateTime, a.ModifyTime = r.Int(), r.Int()
	if r.Bool() {
		a.Detail = readDetail(r)
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	a.Version = l.versions[ver]
	if a.Version == nil || int(a.Group) >= len(a.Version.Asks) {
		return nil, fmt.Errorf("allocation %s names a job version or group that the checkpoint lacks", a.ID)
	}
	return a, nil
}
