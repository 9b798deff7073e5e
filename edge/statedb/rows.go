package statedb

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// rows are what a journal adds up to: everything as it is on disk, by key. They live only while a journal is read or written
// anew; the device core has its own form of them.
type rows struct {
	facts  []byte
	notes  notes
	jobs   map[string][]byte
	allocs map[[16]byte][]byte
}

func newRows() *rows {
	return &rows{notes: notes{}, jobs: map[string][]byte{}, allocs: map[[16]byte][]byte{}}
}

// apply adds a payload. The rows share its memory.
func (s *rows) apply(payload []byte) error {
	r := codec.NewReader(payload)
	for r.Left() > 0 && r.Err() == nil {
		switch kind := r.Byte(); kind {
		case rowFacts:
			s.facts = r.Bytes("the device's facts", rowBytesMax)
		case rowJob:
			key := string(r.Bytes("a job's key", jobKeyBytesMax))
			s.jobs[key] = r.Bytes("a job", rowBytesMax)
		case rowDropJob:
			delete(s.jobs, string(r.Bytes("a job's key", jobKeyBytesMax)))
		case rowAlloc:
			id := r.UUID()
			s.allocs[id] = r.Bytes("an allocation", rowBytesMax)
		case rowDropAlloc:
			delete(s.allocs, r.UUID())
		case rowWritten, rowTraffic:
			s.notes[Note(kind)] = r.Bytes("a note", rowBytesMax)
		default:
			r.Fail(fmt.Errorf("a row of kind %d", kind))
		}
	}
	return r.Close()
}

// payload is one record that says all of it.
func (s *rows) payload() []byte {
	b := codec.AppendBytes([]byte{rowFacts}, s.facts)
	for _, key := range slices.Sorted(maps.Keys(s.jobs)) {
		b = codec.AppendBytes(codec.AppendBytes(append(b, rowJob), []byte(key)), s.jobs[key])
	}
	for _, id := range s.ids() {
		b = codec.AppendBytes(append(append(b, rowAlloc), id[:]...), s.allocs[id])
	}
	return s.notes.append(b)
}

func (s *rows) ids() [][16]byte {
	return slices.SortedFunc(maps.Keys(s.allocs), func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
}

// state reads what the rows mean.
func (s *rows) state() (device.State, error) {
	var out device.State
	if s.facts != nil {
		if err := json.Unmarshal(s.facts, &out.Facts); err != nil {
			return out, fmt.Errorf("the device's facts: %w", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.jobs)) {
		k, err := parseJobKey([]byte(key))
		if err != nil {
			return out, fmt.Errorf("the key of a job: %w", err)
		}
		out.Jobs = append(out.Jobs, wire.JobSpec{Key: k, JSON: slices.Clone(s.jobs[key])})
	}
	for _, id := range s.ids() {
		var rec device.Record
		if err := json.Unmarshal(s.allocs[id], &rec); err != nil {
			return out, fmt.Errorf("allocation %x: %w", id, err)
		}
		out.Allocs = append(out.Allocs, rec)
	}
	return out, nil
}
