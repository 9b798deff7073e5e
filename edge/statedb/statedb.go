package statedb

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/wire"
)

// FileName is the file's name in the data folder.
const FileName = "device.db"

// BrokenSuffix ends the name of a file that was moved aside. Only the newest is kept.
const BrokenSuffix = ".broken"

// LockWaitMax is how long Open waits for another process that has the file open.
const LockWaitMax = 2 * time.Second

// format is the version of the file's contents.
const format = 1

var (
	bucketFacts  = []byte("facts")
	bucketJobs   = []byte("jobs")
	bucketAllocs = []byte("allocs")
	keyFacts     = []byte("facts")
	keyFormat    = []byte("format")
)

// errBroken wraps every reason not to trust the file.
var errBroken = errors.New("device state is broken")

// DB is an open file.
type DB struct {
	bolt *bbolt.DB
	path string
}

// Open opens or makes the file in dir and reads all of it.
func Open(dir string, log *slog.Logger) (*DB, device.State, error) {
	path := filepath.Join(dir, FileName)
	db, state, err := open(path)
	if !errors.Is(err, errBroken) {
		return db, state, err
	}
	aside := path + BrokenSuffix
	if renameErr := os.Rename(path, aside); renameErr != nil {
		return nil, device.State{}, fmt.Errorf("%w; and it cannot be moved aside: %w", err, renameErr)
	}
	log.Error("device state is broken and was moved aside; this device starts empty and asks its region for everything; tasks that run are not touched",
		"file", path, "aside", aside, "cause", err)
	return open(path)
}

func open(path string) (db *DB, state device.State, err error) {
	if err := checkLength(path); err != nil {
		return nil, state, fmt.Errorf("%w: %s: %w", errBroken, path, err)
	}
	// A page that makes no sense shows as a panic in bbolt or as a fault in the mapping.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			db, state, err = nil, device.State{}, fmt.Errorf("%w: %s: %v", errBroken, path, p)
		}
	}()
	bolt, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: LockWaitMax, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, state, fmt.Errorf("device state %s is in use by another process; stop the other agent or choose another data folder", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, state, fmt.Errorf("%w: %s: %w", errBroken, path, err)
	case err != nil:
		return nil, state, fmt.Errorf("open device state %s: %w", path, err)
	}
	db = &DB{bolt: bolt, path: path}
	opened := false
	defer func() {
		if !opened {
			bolt.Close() //nolint:errcheck // the reason to give up is the error to report
		}
	}()
	if state, err = db.load(); err != nil {
		return nil, device.State{}, err
	}
	opened = true
	return db, state, nil
}

func (db *DB) load() (device.State, error) {
	var s device.State
	fresh := false
	err := db.bolt.View(func(tx *bbolt.Tx) error {
		facts := tx.Bucket(bucketFacts)
		if facts == nil {
			fresh = true
			return nil
		}
		var version int
		if err := unsealJSON(keyFormat, facts.Get(keyFormat), &version); err != nil {
			return fmt.Errorf("%w: %s: %w", errBroken, db.path, err)
		}
		if version > format {
			return fmt.Errorf("device state %s has format %d and this version reads up to %d; install the newer version again", db.path, version, format)
		}
		if err := read(tx, &s); err != nil {
			return fmt.Errorf("%w: %s: %w", errBroken, db.path, err)
		}
		return nil
	})
	if err == nil && fresh {
		err = db.begin()
	}
	return s, err
}

// begin makes the buckets of a new file.
func (db *DB) begin() error {
	return db.bolt.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketFacts, bucketJobs, bucketAllocs} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("begin device state %s: %w", db.path, err)
			}
		}
		if err := put(tx, bucketFacts, keyFormat, format); err != nil {
			return err
		}
		return put(tx, bucketFacts, keyFacts, device.Facts{})
	})
}

func read(tx *bbolt.Tx, s *device.State) error {
	jobs, allocs := tx.Bucket(bucketJobs), tx.Bucket(bucketAllocs)
	if jobs == nil || allocs == nil {
		return errors.New("a bucket is missing")
	}
	if err := unsealJSON(keyFacts, tx.Bucket(bucketFacts).Get(keyFacts), &s.Facts); err != nil {
		return err
	}
	err := jobs.ForEach(func(k, v []byte) error {
		key, err := parseJobKey(k)
		if err != nil {
			return fmt.Errorf("key of a job: %w", err)
		}
		row, err := unseal(k, v)
		s.Jobs = append(s.Jobs, wire.JobSpec{Key: key, JSON: row})
		return err
	})
	if err != nil {
		return err
	}
	return allocs.ForEach(func(k, v []byte) error {
		var rec device.Record
		if err := unsealJSON(k, v, &rec); err != nil {
			return err
		}
		s.Allocs = append(s.Allocs, rec)
		return nil
	})
}

// Save writes p in one transaction. When it returns nil, p is durable; otherwise nothing of it is there.
func (db *DB) Save(p device.Persist) error {
	err := db.bolt.Update(func(tx *bbolt.Tx) error {
		if err := put(tx, bucketFacts, keyFacts, p.Facts); err != nil {
			return err
		}
		jobs, allocs := tx.Bucket(bucketJobs), tx.Bucket(bucketAllocs)
		for _, k := range p.DropJobs {
			if err := jobs.Delete(jobKeyBytes(k)); err != nil {
				return err
			}
		}
		for _, id := range p.DropAllocs {
			if err := allocs.Delete(id[:]); err != nil {
				return err
			}
		}
		for _, spec := range p.Jobs {
			key := jobKeyBytes(spec.Key)
			if err := jobs.Put(key, seal(key, spec.JSON)); err != nil {
				return err
			}
		}
		for i := range p.Allocs {
			if err := put(tx, bucketAllocs, p.Allocs[i].Desired.ID[:], &p.Allocs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write device state %s: %w", db.path, err)
	}
	return nil
}

func put(tx *bbolt.Tx, bucket, key []byte, v any) error {
	row, err := sealJSON(key, v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(key, row)
}

// Close lets go of the file.
func (db *DB) Close() error {
	if err := db.bolt.Close(); err != nil {
		return fmt.Errorf("close device state %s: %w", db.path, err)
	}
	return nil
}
