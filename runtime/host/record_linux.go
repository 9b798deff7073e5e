package host

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// recordVersion is the version of a record on disk. Records of a newer version are left alone and not answered for.
const recordVersion = 1

// record is what survives the host: one small file per task, written at its start and at its end. It is not fsynced: after a
// power cut no task runs, and a lost record reads as ErrTaskGone, which says the same.
type record struct {
	Version   int
	ID        string
	Kind      Kind
	PID       int    `json:",omitempty"`
	Start     uint64 `json:",omitempty"` // of the leader, in clock ticks after boot
	Boot      string // boot ID at the start
	StartedAt time.Time
	Exit      *Exit `json:",omitempty"`
}

func (r record) status() TaskStatus {
	s := TaskStatus{ID: r.ID, Kind: r.Kind, PID: r.PID, StartedAt: r.StartedAt, Exit: r.Exit}
	if s.Exit != nil {
		s.PID = 0
	}
	return s
}

// records is the directory of records.
type records struct{ dir string }

const recordSuffix = ".json"

// path hashes the ID, which holds slashes and may be longer than a file's name.
func (r records) path(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(r.dir, hex.EncodeToString(sum[:16])+recordSuffix)
}

func (r records) write(rec record) error {
	rec.Version = recordVersion
	text, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record of task %q: %w", rec.ID, err)
	}
	path := r.path(rec.ID)
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, text, 0o600); err != nil {
		return fmt.Errorf("write record of task %q: %w", rec.ID, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write record of task %q: %w", rec.ID, err)
	}
	return nil
}

func (r records) remove(id string) error {
	if err := os.Remove(r.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove record of task %q: %w", id, err)
	}
	return nil
}

// load reads all records. What cannot be read is removed and reported: half a file tells nothing, and would be met again at
// each start.
func (r records) load() ([]record, []error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, []error{fmt.Errorf("make record directory: %w", err)}
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, []error{fmt.Errorf("read record directory: %w", err)}
	}
	var list []record
	var problems []error
	for _, e := range entries {
		path := filepath.Join(r.dir, e.Name())
		rec, err := readRecord(path)
		switch {
		case err != nil:
			problems = append(problems, errors.Join(fmt.Errorf("record %s: %w", e.Name(), err), os.Remove(path)))
		case rec.Version > recordVersion:
			problems = append(problems, fmt.Errorf("record %s has version %d, newer than %d; left alone", e.Name(), rec.Version, recordVersion))
		case len(list) >= TasksMax:
			problems = append(problems, fmt.Errorf("record %s: over the limit of %d tasks; left alone", e.Name(), TasksMax))
		default:
			list = append(list, rec)
		}
	}
	return list, problems
}

func readRecord(path string) (record, error) {
	if !strings.HasSuffix(path, recordSuffix) {
		return record{}, errors.New("not finished when its host died")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return record{}, err
	}
	return parseRecord(text)
}

func parseRecord(text []byte) (record, error) {
	var rec record
	if err := json.Unmarshal(text, &rec); err != nil {
		return record{}, err
	}
	if rec.ID == "" || rec.Version < 1 {
		return record{}, errors.New("it names no task")
	}
	return rec, nil
}
