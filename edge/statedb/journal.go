package statedb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
)

// journal is one copy: a file and how far it can be trusted.
type journal struct {
	path    string
	written *atomic.Int64 // bytes that were handed to the disk

	file *os.File // open for writing; nil until something is written
	next uint64   // number of the record that comes next
	good int64    // bytes that are whole
	sum  uint32   // checksum of the last record
	torn bool     // there may be more than good in the file
	bad  bool     // it has to be made anew
}

// scan is what was found in a file.
type scan struct {
	rows   *rows
	next   uint64
	good   int64
	last   int64 // bytes of the last record
	sum    uint32
	absent bool
	damage error // why it cannot be trusted beyond good; nil: it ends as it should
}

// read reads a journal as far as it can be trusted. The error is one of the disk, or errNewer.
func read(path string) (scan, error) {
	s := scan{rows: newRows()}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.absent = true
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read device state: %w", err)
	}
	first, sum, err := readHeader(b)
	if errors.Is(err, errNewer) {
		return s, fmt.Errorf("device state %s: %w; install the newer version again", path, err)
	}
	if err != nil {
		s.damage = err
		return s, nil
	}
	s.next, s.sum, s.good = first, sum, headerBytes
	for int(s.good) < len(b) {
		payload, sum, err := readRecord(b[s.good:], s.sum)
		if err == nil {
			err = s.rows.apply(payload)
		}
		if err != nil {
			s.damage = fmt.Errorf("at byte %d: %w", s.good, err)
			break
		}
		s.last = recordHeadBytes + int64(len(payload))
		s.next, s.sum, s.good = s.next+1, sum, s.good+s.last
	}
	return s, nil
}

// usable says that there is something to trust: a header and at least one record.
func (s *scan) usable() bool { return s.good > headerBytes }

func (j *journal) adopt(s *scan) {
	j.next, j.good, j.sum, j.torn, j.bad = s.next, s.good, s.sum, s.damage != nil, !s.usable()
}

// append adds a record and syncs it. After an error the record is not there.
func (j *journal) append(payload []byte) error {
	if err := j.open(); err != nil {
		return err
	}
	record, sum := appendRecord(make([]byte, 0, recordHeadBytes+len(payload)), j.sum, payload)
	j.torn = true
	n, err := j.file.WriteAt(record, j.good)
	j.written.Add(int64(n))
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// A block that does not hold what it is given will not hold it the next time either: other blocks may.
		j.bad = errors.Is(err, syscall.EIO)
		return errors.Join(err, j.trim())
	}
	j.torn = false
	j.next, j.good, j.sum = j.next+1, j.good+int64(len(record)), sum
	return nil
}

// back takes the last record back, whose beginning is at good.
func (j *journal) back(next uint64, good int64, sum uint32) error {
	j.next, j.good, j.sum, j.torn = next, good, sum, true
	return j.trim()
}

// open opens the file for writing and removes what is not to be trusted at its end.
func (j *journal) open() error {
	if j.file == nil {
		f, err := os.OpenFile(j.path, os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		j.file = f
	}
	return j.trim()
}

func (j *journal) trim() error {
	if !j.torn {
		return nil
	}
	if err := j.file.Truncate(j.good); err != nil {
		return err
	}
	j.torn = false
	return nil
}

// renew replaces the file by one record that says everything. A crash leaves the old file or the new one.
func (j *journal) renew(all []byte, next uint64) error {
	b, sum := appendHeader(nil, next-1)
	b, sum = appendRecord(b, sum, all)
	tmp := j.path + tmpSuffix
	if err := writeSynced(tmp, b); err != nil {
		return errors.Join(err, ignoreAbsent(os.Remove(tmp)))
	}
	j.written.Add(int64(len(b)))
	j.close()
	if err := os.Rename(tmp, j.path); err != nil {
		return errors.Join(err, ignoreAbsent(os.Remove(tmp)))
	}
	j.next, j.good, j.sum, j.torn, j.bad = next, int64(len(b)), sum, false, false
	return syncDir(filepath.Dir(j.path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // which has no sync of folders
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // all that counts was synced
		j.file = nil
	}
}
