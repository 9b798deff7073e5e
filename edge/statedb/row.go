package statedb

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errChecksum says that a row is not what was written.
var errChecksum = errors.New("a row's checksum is wrong")

// seal prefixes a row with its checksum, which covers the key too: bbolt has checksums for its meta pages only.
func seal(key, row []byte) []byte {
	b := make([]byte, 4, 4+len(row))
	binary.BigEndian.PutUint32(b, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, row))
	return append(b, row...)
}

// unseal returns a copy of the row: bbolt's memory is gone with the transaction.
func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, fmt.Errorf("row %x has %d bytes: %w", key, len(sealed), errChecksum)
	}
	row := sealed[4:]
	if binary.BigEndian.Uint32(sealed) != crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, row) {
		return nil, fmt.Errorf("row %x: %w", key, errChecksum)
	}
	return append([]byte(nil), row...), nil
}

func sealJSON(key []byte, v any) ([]byte, error) {
	row, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return seal(key, row), nil
}

func unsealJSON(key, sealed []byte, v any) error {
	row, err := unseal(key, sealed)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(row, v); err != nil {
		return fmt.Errorf("row %x is not a %T: %w", key, v, err)
	}
	return nil
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
