package state

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// The checkpoint is a stream: the magic, then records, each a varint length, one
// byte of kind and the record, and last an end record with the number of records
// and the CRC-64 (ECMA) of all bytes before it. Records refer only backwards.

// Limits of a checkpoint.
const (
	checkpointMagic = "dunlin-state-1\n"
	RecordBytesMax  = 16 << 20 // above the largest evaluation, whose explanations may grow when re-encoded
)

const (
	recRegion     = 1
	recNode       = 2
	recVersion    = 3
	recJob        = 4
	recEval       = 5
	recAlloc      = 6
	recModule     = 7
	recInvite     = 8
	recIdentity   = 35
	recRegionX    = 40 // extras of the region
	recNodeX      = 41 // extras of a node
	recNodePool   = 50
	recScheduler  = 51
	recGranted    = 60 // of the allocation before
	recExceeds    = 65 // the allocation before may exceed its memory
	recDeployment = 75
	recEnd        = 255
)

var crcTable = crc64.MakeTable(crc64.ECMA)

type checkpointWriter struct {
	w       io.Writer
	sum     hash.Hash64
	records uint64
	buf     []byte
	err     error
}

func (c *checkpointWriter) record(kind byte, body func(b []byte) []byte) {
	if c.err != nil {
		return
	}
	c.buf = body(append(c.buf[:0], kind))
	if len(c.buf) > RecordBytesMax {
		c.err = fmt.Errorf("a checkpoint record has %d bytes; at most %d", len(c.buf), RecordBytesMax)
		return
	}
	head := binary.AppendUvarint(nil, uint64(len(c.buf)))
	if _, c.err = c.w.Write(head); c.err == nil {
		_, c.err = c.w.Write(c.buf)
	}
	c.records++
}

// WriteCheckpoint streams the view. It may run while newer states are made.
func (v *View) WriteCheckpoint(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 256<<10)
	c := &checkpointWriter{sum: crc64.New(crcTable)}
	c.w = io.MultiWriter(buffered, c.sum)
	if _, err := io.WriteString(c.w, checkpointMagic); err != nil {
		return err
	}
	v.writeRecords(c)
	records := c.records
	crc := c.sum.Sum64()
	c.record(recEnd, func(b []byte) []byte {
		return binary.BigEndian.AppendUint64(codec.AppendUint(b, records), crc)
	})
	if c.err != nil {
		return c.err
	}
	return buffered.Flush()
}

func (v *View) writeRecords(c *checkpointWriter) {
	t := v.t
	c.record(recRegion, t.appendRegion)
	c.record(recRegionX, func(b []byte) []byte { return appendJSON(b, t.region.extras()) })
	for n := range v.Nodes() {
		c.record(recNode, func(b []byte) []byte { return appendNode(b, n) })
		if x, some := n.extras(); some {
			c.record(recNodeX, func(b []byte) []byte { return appendJSON(b, x) })
		}
	}
	written := map[*JobVersion]bool{}
	version := func(ver *JobVersion) {
		if !written[ver] {
			written[ver] = true
			c.record(recVersion, func(b []byte) []byte { return appendVersion(b, ver) })
		}
	}
	for j := range scan(t.jobs) {
		for _, ver := range j.Versions {
			version(ver)
		}
		c.record(recJob, func(b []byte) []byte { return appendJob(b, j) })
	}
	for e := range v.Evals() {
		c.record(recEval, func(b []byte) []byte { return binary.AppendUvarint(AppendEval(b, e), uint64(e.Key)) })
	}
	for a := range v.Allocs() {
		version(a.Version)
		c.record(recAlloc, func(b []byte) []byte { return appendAlloc(b, a) })
		if a.Exceeds { // in a record of its own: it is rare, and older versions read the rows
			c.record(recExceeds, func(b []byte) []byte { return codec.AppendUint(b, uint64(a.Key)) })
		}
		if g := v.Granted(a); g != "" {
			c.record(recGranted, func(b []byte) []byte { return wire.AppendGranted(codec.AppendUint(b, uint64(a.Key)), g) })
		}
	}
	for m := range v.Modules() {
		c.record(recModule, func(b []byte) []byte { return appendJSON(b, m) })
	}
	for i := range v.Invites() {
		c.record(recInvite, func(b []byte) []byte { return appendJSON(b, i) })
	}
	for i := range v.Identities() {
		c.record(recIdentity, func(b []byte) []byte { return appendJSON(b, i) })
	}
	for p := range scan(t.pools) {
		c.record(recNodePool, func(b []byte) []byte { return appendJSON(b, p) })
	}
	for d := range scan(t.deployments) {
		c.record(recDeployment, func(b []byte) []byte { return appendJSON(b, deploymentRecord{d.Job, d.Spec}) })
	}
	if t.scheduler.ModifyIndex != 0 {
		c.record(recScheduler, func(b []byte) []byte { return appendJSON(b, t.scheduler) })
	}
}

func appendJSON(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic("state: a stored noun must encode: " + err.Error())
	}
	return append(b, j...)
}

// ErrCheckpoint says that a checkpoint is damaged or not one of ours.
var ErrCheckpoint = errors.New("not a usable checkpoint")

// ReadCheckpoint reads what WriteCheckpoint wrote. A damaged stream gives an
// error and no view.
func ReadCheckpoint(r io.Reader) (*View, error) {
	c := &checkpointReader{r: bufio.NewReaderSize(r, 256<<10), sum: crc64.New(crcTable)}
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(c.r, magic); err != nil || string(magic) != checkpointMagic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrCheckpoint, checkpointMagic)
	}
	c.sum.Write(magic)
	l := newLoader()
	for {
		body, err := c.next()
		if err != nil {
			return nil, fmt.Errorf("%w: record %d: %v", ErrCheckpoint, c.records, err)
		}
		if body[0] == recEnd {
			if err := c.checkEnd(body[1:]); err != nil {
				return nil, fmt.Errorf("%w: %v", ErrCheckpoint, err)
			}
			return l.finish()
		}
		if err := l.load(body); err != nil {
			return nil, fmt.Errorf("%w: record %d: %v", ErrCheckpoint, c.records, err)
		}
	}
}

type checkpointReader struct {
	r       *bufio.Reader
	sum     hash.Hash64
	before  uint64 // sum of all bytes before the record that was read last
	records uint64
}

func (c *checkpointReader) next() ([]byte, error) {
	n, err := binary.ReadUvarint(c.r)
	if err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	if n == 0 || n > RecordBytesMax {
		return nil, fmt.Errorf("its length is %d", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	c.before = c.sum.Sum64()
	c.sum.Write(binary.AppendUvarint(nil, n))
	c.sum.Write(body)
	c.records++
	return body, nil
}

func (c *checkpointReader) checkEnd(body []byte) error {
	r := codec.NewReader(body)
	records := r.Uint()
	crc := r.Raw(8)
	if err := r.Close(); err != nil {
		return err
	}
	if records != c.records-1 || binary.BigEndian.Uint64(crc) != c.before {
		return errors.New("its checksum or its number of records is wrong")
	}
	return nil
}

// fleetJob decodes a job. Its bytes may have been canonical for an older version
// of the program; in memory it is canonical for this one.
func fleetJob(b []byte) (*fleet.Job, error) {
	var j fleet.Job
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, err
	}
	spec := j.Spec()
	fleet.Canonicalize(spec)
	return spec, nil
}
