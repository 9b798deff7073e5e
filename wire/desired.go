package wire

import (
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Limits of one Desired message. A device with more allocations is told in
// several, the last of which carries the generation.
const (
	DesiredAllocsMax = 20_000
	DesiredJobsMax   = 5_000
	// AfterMax is for how many others one allocation may wait.
	AfterMax = 1_000
)

// JobKey names one version of a job.
type JobKey struct {
	Namespace string
	ID        fleet.JobID
	Version   uint64
	// Sum is of the specification's bytes. A job that was purged and registered again
	// begins with version 0 again, and a restored region gives numbers out a second
	// time; neither may be taken for what the device has under the same number.
	Sum uint64
}

// String formats k for people.
func (k JobKey) String() string { return fmt.Sprintf("%s version %d", k.ID, k.Version) }

func (k JobKey) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(b, k.Namespace), k.ID)
	return codec.AppendUint(codec.AppendUint(b, k.Version), k.Sum)
}

func readJobKey(r *codec.Reader) JobKey {
	return JobKey{
		Namespace: r.String("a namespace", fleet.JobIDBytesMax),
		ID:        fleet.JobID(r.String("a job's ID", fleet.JobIDBytesMax)),
		Version:   r.Uint(),
		Sum:       r.Uint(),
	}
}

// JobSpec is one version of a job, as canonical JSON.
type JobSpec struct {
	Key  JobKey
	JSON []byte
}

// DesiredAlloc is what the region wants of one allocation.
type DesiredAlloc struct {
	ID         fleet.UUID
	Job        JobKey
	Group      string
	Index      uint32 // of the allocation's name, job.group[index]
	Stop       bool
	Exceeds    bool `json:",omitempty"` // its tasks may take up to their memory_max
	StopReason string
	CreateTime int64 // Unix nanoseconds
	// After are others of the device that have to end before this one starts: it was given their room.
	After []fleet.UUID `json:",omitempty"`
	// Granted is what it alone holds of the node. What is to be stopped holds it until it has ended.
	Granted Granted `json:",omitempty"`
}

// Name is the allocation's name: job.group[index].
func (a *DesiredAlloc) Name() string { return fmt.Sprintf("%s.%s[%d]", a.Job.ID, a.Group, a.Index) }

// Desired is a difference: from the generation the device holds to Gen. When
// Full is set it is everything, and what the device runs beyond it is an orphan,
// which keeps running.
type Desired struct {
	RegionID fleet.UUID
	Gen      Generation
	Full     bool
	Jobs     []JobSpec // versions that Allocs name and the device may lack
	Allocs   []DesiredAlloc
	Forget   []fleet.UUID // ended and reaped in the region: remove their folders
	Mark     uint64       // the stretch of the region's log that Gen is of; see Register
}

// Type implements [Message].
func (*Desired) Type() byte { return typeDesired }

// Append implements [Message].
func (m *Desired) Append(b []byte) []byte {
	b = m.Gen.append(append(b, m.RegionID[:]...))
	b = codec.AppendBool(b, m.Full)
	b = codec.AppendUint(b, uint64(len(m.Jobs)))
	for _, j := range m.Jobs {
		b = codec.AppendBytes(j.Key.append(b), j.JSON)
	}
	b = codec.AppendUint(b, uint64(len(m.Allocs)))
	for i := range m.Allocs {
		b = m.Allocs[i].append(b)
	}
	b = codec.AppendUint(b, uint64(len(m.Forget)))
	for _, id := range m.Forget {
		b = append(b, id[:]...)
	}
	return m.appendColumns(codec.AppendUint(b, m.Mark))
}

// appendColumns adds what waits for others and what holds something, as columns of their own: few do, and without them the message is
// byte by byte what older devices read. What they do not know they refuse. The first is there whenever the second is.
func (m *Desired) appendColumns(b []byte) []byte {
	n, holds := 0, false
	for i := range m.Allocs {
		n += min(1, len(m.Allocs[i].After))
		holds = holds || m.Allocs[i].Granted != ""
	}
	if n == 0 && !holds {
		return b
	}
	b = codec.AppendUint(b, uint64(n))
	for i := range m.Allocs {
		after := m.Allocs[i].After
		if len(after) == 0 {
			continue
		}
		b = codec.AppendUint(codec.AppendUint(b, uint64(i)), uint64(len(after)))
		for _, id := range after {
			b = append(b, id[:]...)
		}
	}
	return AppendGrantedOf(b, len(m.Allocs), func(i int) Granted { return m.Allocs[i].Granted })
}

func (m *Desired) readAfter(r *codec.Reader) {
	next, count := uint64(0), r.Count("allocations that wait for others", DesiredAllocsMax, 18)
	if count == 0 && r.Left() == 0 {
		r.Fail(errors.New("nothing waits for others or holds something, and the message says so"))
	}
	for range count {
		i := r.UintMax("an allocation that waits", DesiredAllocsMax)
		if r.Err() == nil && (i < next || i >= uint64(len(m.Allocs))) {
			r.Fail(fmt.Errorf("allocation %d of %d waits for others, after %d", i, len(m.Allocs), next))
		}
		var after []fleet.UUID
		for range r.Count("what an allocation waits for", AfterMax, 16) {
			after = append(after, r.UUID())
		}
		if r.Err() != nil {
			return
		}
		if len(after) == 0 {
			r.Fail(fmt.Errorf("allocation %d waits for no others, and says so", i))
			return
		}
		m.Allocs[i].After, next = after, i+1
	}
}

func (a *DesiredAlloc) append(b []byte) []byte {
	b = a.Job.append(append(b, a.ID[:]...))
	b = codec.AppendUint(codec.AppendString(b, a.Group), uint64(a.Index))
	b = codec.AppendString(append(b, a.flags()), a.StopReason)
	return codec.AppendInt(b, a.CreateTime)
}

// Flags of a desired allocation, in the byte that was a boolean: to stop. An allocation that nothing new is said of is byte by
// byte what older devices read, and what they do not know they refuse.
const (
	flagStop    = 1 << 0
	flagExceeds = 1 << 6
	flagsKnown  = flagStop | flagExceeds
)

func (a *DesiredAlloc) flags() (f byte) {
	if a.Stop {
		f |= flagStop
	}
	if a.Exceeds {
		f |= flagExceeds
	}
	return f
}

// Decode implements [Message].
func (m *Desired) Decode(r *codec.Reader) {
	m.RegionID = r.UUID()
	m.Gen = readGeneration(r)
	m.Full = r.Bool()
	m.Jobs, m.Allocs, m.Forget = nil, nil, nil
	for range r.Count("jobs", DesiredJobsMax, 4) {
		m.Jobs = append(m.Jobs, JobSpec{Key: readJobKey(r), JSON: r.Bytes("a job", fleet.JobSpecBytesMax)})
	}
	for range r.Count("allocations", DesiredAllocsMax, 22) {
		m.Allocs = append(m.Allocs, readDesiredAlloc(r))
	}
	for range r.Count("forgotten allocations", DesiredAllocsMax, 16) {
		m.Forget = append(m.Forget, r.UUID())
	}
	m.Mark = r.Uint()
	if r.Err() == nil && r.Left() > 0 {
		m.readAfter(r)
		ReadGrantedOf(r, len(m.Allocs), func(i int, g Granted) { m.Allocs[i].Granted = g })
	}
}

func readDesiredAlloc(r *codec.Reader) DesiredAlloc {
	a := DesiredAlloc{
		ID:    r.UUID(),
		Job:   readJobKey(r),
		Group: r.String("a group's name", fleet.JobIDBytesMax),
		Index: uint32(r.UintMax("an allocation's index", 1<<31)),
	}
	f := r.Byte()
	if f&^flagsKnown != 0 {
		r.Fail(fmt.Errorf("an allocation has flags %#x, and this version knows %#x", f, flagsKnown))
	}
	a.Stop, a.Exceeds = f&flagStop != 0, f&flagExceeds != 0
	a.StopReason, a.CreateTime = r.String("a reason", ErrorBytesMax), r.Int()
	return a
}

// DesiredAck says that the device has that generation on disk.
type DesiredAck struct{ Gen Generation }

// Type implements [Message].
func (*DesiredAck) Type() byte { return typeDesiredAck }

// Append implements [Message].
func (m *DesiredAck) Append(b []byte) []byte { return m.Gen.append(b) }

// Decode implements [Message].
func (m *DesiredAck) Decode(r *codec.Reader) { m.Gen = readGeneration(r) }
