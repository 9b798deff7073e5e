package wire

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// OrphansMax bounds the orphans one device tells of; of more it tells the first,
// by ID.
const OrphansMax = 1_000

// Orphan is an allocation that a device has and its region does not know.
type Orphan struct {
	ID         fleet.UUID
	Job        JobKey
	Group      string
	Index      uint32 // of its name, job.group[index]
	Status     string // as in AllocStatus
	CreateTime int64  // Unix nanoseconds
	// Granted is what it holds of its node, and the region must give to nobody else.
	Granted Granted `json:",omitempty"`
}

// Name is the allocation's name: job.group[index].
func (o *Orphan) Name() string { return fmt.Sprintf("%s.%s[%d]", o.Job.ID, o.Group, o.Index) }

// AppendOrphans appends the binary form of a list, without what they hold, which
// AppendGrantedOf does at the end of a message. Replicated commands use the same
// form.
func AppendOrphans(b []byte, list []Orphan) []byte {
	b = codec.AppendUint(b, uint64(len(list)))
	for i := range list {
		o := &list[i]
		b = o.Job.append(append(b, o.ID[:]...))
		b = codec.AppendUint(codec.AppendString(b, o.Group), uint64(o.Index))
		b = codec.AppendInt(appendWord(b, clientStatuses, o.Status), o.CreateTime)
	}
	return b
}

// ReadOrphans reads what AppendOrphans wrote.
func ReadOrphans(r *codec.Reader) (list []Orphan) {
	for range r.Count("orphans", OrphansMax, 24) {
		list = append(list, Orphan{
			ID: r.UUID(), Job: readJobKey(r), Group: r.String("a group's name", fleet.JobIDBytesMax),
			Index: uint32(r.UintMax("an allocation's index", 1<<31)), Status: readWord(r, "client status", clientStatuses), CreateTime: r.Int(),
		})
	}
	return list
}
