package statedb

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// A journal is a header (magic, format, number of its first record, checksum) and records (length, checksum, payload). Integers
// outside payloads are big-endian.
const (
	magic           = "DNLN"
	format          = 2 // 1 was a bbolt file
	headerBytes     = 4 + 4 + 8 + 4
	recordHeadBytes = 4 + 4
	RecordBytesMax  = 256 << 20 // one record; a device's whole state is far smaller
	rowBytesMax     = 64 << 20
	jobKeyBytesMax  = 2 * (fleet.JobIDBytesMax + 16)
)

// Kinds of rows in a payload. They are on disk: never renumber.
const (
	rowFacts     = 1
	rowJob       = 2
	rowDropJob   = 3
	rowAlloc     = 4
	rowDropAlloc = 5
	rowWritten   = 6
	rowTraffic   = 7
)

// Note is what somebody else wants kept along with the state: it is written when something else is, and never for its own sake.
type Note byte

// The notes.
const (
	NoteWritten Note = rowWritten // what was written to the disk
	NoteTraffic Note = rowTraffic // what the links carried
)

var allNotes = []Note{NoteWritten, NoteTraffic}

// notes are the newest of each; the rows' bytes belong to a journal that was read.
type notes map[Note][]byte

func (n notes) append(b []byte) []byte {
	for _, kind := range allNotes {
		if n[kind] != nil {
			b = codec.AppendBytes(append(b, byte(kind)), n[kind])
		}
	}
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errChecksum = errors.New("its checksum is wrong")
	errNewer    = errors.New("it was written by a newer version")
)

// chain is the checksum of what follows something with the checksum before.
func chain(before uint32, parts ...[]byte) uint32 {
	sum := crc32.Checksum(binary.BigEndian.AppendUint32(nil, before), castagnoli)
	for _, p := range parts {
		sum = crc32.Update(sum, castagnoli, p)
	}
	return sum
}

func appendHeader(b []byte, first uint64) (header []byte, sum uint32) {
	start := len(b)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, format)
	b = binary.BigEndian.AppendUint64(b, first)
	sum = chain(0, b[start:])
	return binary.BigEndian.AppendUint32(b, sum), sum
}

func readHeader(b []byte) (first uint64, sum uint32, err error) {
	if len(b) < headerBytes || string(b[:4]) != magic {
		return 0, 0, errors.New("it is not a journal of device state")
	}
	sum = binary.BigEndian.Uint32(b[16:])
	if sum != chain(0, b[:16]) {
		return 0, 0, fmt.Errorf("the header: %w", errChecksum)
	}
	if v := binary.BigEndian.Uint32(b[4:]); v > format {
		return 0, 0, fmt.Errorf("%w: it has format %d and this version reads up to %d", errNewer, v, format)
	}
	return binary.BigEndian.Uint64(b[8:]), sum, nil
}

// appendRecord appends a record whose predecessor has the checksum before, and returns its own.
func appendRecord(b []byte, before uint32, payload []byte) (record []byte, sum uint32) {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	sum = chain(before, head, payload)
	b = append(b, head...)
	return append(binary.BigEndian.AppendUint32(b, sum), payload...), sum
}

// readRecord reads the record at the beginning of b.
func readRecord(b []byte, before uint32) (payload []byte, sum uint32, err error) {
	if len(b) < recordHeadBytes {
		return nil, 0, fmt.Errorf("%d bytes are left where a record begins", len(b))
	}
	n := binary.BigEndian.Uint32(b)
	if n > RecordBytesMax || int64(n) > int64(len(b)-recordHeadBytes) {
		return nil, 0, fmt.Errorf("a record of %d bytes was begun and %d are there", n, len(b)-recordHeadBytes)
	}
	payload, sum = b[recordHeadBytes:recordHeadBytes+int(n)], binary.BigEndian.Uint32(b[4:])
	if sum != chain(before, b[:4], payload) {
		return nil, 0, fmt.Errorf("a record of %d bytes: %w", n, errChecksum)
	}
	return payload, sum, nil
}

// encode makes a payload of a change and the newest notes.
func encode(p *device.Persist, n notes) ([]byte, error) {
	b, err := appendJSON(nil, rowFacts, nil, p.Facts)
	if err != nil {
		return nil, err
	}
	for _, k := range p.DropJobs {
		b = codec.AppendBytes(append(b, rowDropJob), jobKeyBytes(k))
	}
	for i := range p.DropAllocs {
		b = append(append(b, rowDropAlloc), p.DropAllocs[i][:]...)
	}
	for _, spec := range p.Jobs {
		b = codec.AppendBytes(codec.AppendBytes(append(b, rowJob), jobKeyBytes(spec.Key)), spec.JSON)
	}
	for i := range p.Allocs {
		if b, err = appendJSON(b, rowAlloc, p.Allocs[i].Desired.ID[:], &p.Allocs[i]); err != nil {
			return nil, err
		}
	}
	b = n.append(b)
	if len(b) > RecordBytesMax {
		return nil, fmt.Errorf("a change of %d bytes is more than the %d that one record may have", len(b), RecordBytesMax)
	}
	return b, nil
}

func appendJSON(b []byte, kind byte, key []byte, v any) ([]byte, error) {
	row, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return codec.AppendBytes(append(append(b, kind), key...), row), nil
}

func jobKeyBytes(k wire.JobKey) []byte {
	b := codec.AppendString(codec.AppendString(nil, k.Namespace), k.ID)
	return codec.AppendUint(codec.AppendUint(b, k.Version), k.Sum)
}

func parseJobKey(b []byte) (wire.JobKey, error) {
	r := codec.NewReader(b)
	k := wire.JobKey{
		Namespace: r.String("a namespace", fleet.JobIDBytesMax),
		ID:        fleet.JobID(r.String("a job's ID", fleet.JobIDBytesMax)),
		Version:   r.Uint(),
		Sum:       r.Uint(),
	}
	return k, r.Close()
}
