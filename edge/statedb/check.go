package statedb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt maps its file into memory; reading a page beyond the end of a file that was cut short kills the process, and bbolt does
// not look. So the length that the newest valid meta page promises is compared with the file's before it is opened. The layout
// is bbolt's, which its authors keep stable.
const (
	pageHeaderBytes = 16
	metaBytes       = 64
	metaMagic       = 0xED0CDAED
	pageBytesMax    = 64 << 10
)

// checkLength finds a file that was cut short. A file that does not exist is fine.
func checkLength(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	if info.Size() == 0 {
		return nil // bbolt begins such a file anew
	}
	need, err := promised(f)
	if err != nil {
		return err
	}
	if info.Size() < need {
		return fmt.Errorf("the file has %d bytes and should have at least %d: it was cut short", info.Size(), need)
	}
	return nil
}

// promised is how long the file must be according to its newest valid meta page.
func promised(f io.ReaderAt) (int64, error) {
	first := readMeta(f, 0)
	candidates := []meta{first}
	if first.valid {
		candidates = append(candidates, readMeta(f, int64(first.pageBytes)))
	} else {
		for size := int64(1 << 10); size <= pageBytesMax; size *= 2 {
			candidates = append(candidates, readMeta(f, size))
		}
	}
	var best meta
	for _, m := range candidates {
		if m.valid && (!best.valid || m.tx > best.tx) {
			best = m
		}
	}
	if !best.valid {
		return 0, errors.New("the file has no valid meta page")
	}
	return int64(best.pages) * int64(best.pageBytes), nil
}

type meta struct {
	pageBytes uint32
	pages     uint64
	tx        uint64
	valid     bool
}

func readMeta(f io.ReaderAt, at int64) meta {
	var b [pageHeaderBytes + metaBytes]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return meta{}
	}
	// bbolt writes in the machine's byte order; all that Dunlin runs on are little-endian.
	p := b[pageHeaderBytes:]
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(p[:metaBytes-8]) //nolint:errcheck // never fails
	m := meta{pageBytes: le.Uint32(p[8:]), pages: le.Uint64(p[40:]), tx: le.Uint64(p[48:])}
	m.valid = le.Uint32(p) == metaMagic && le.Uint64(p[56:]) == sum.Sum64() &&
		m.pageBytes >= 512 && m.pageBytes <= pageBytesMax && m.pages < 1<<40
	return m
}
