//go:build unix

package statedb

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a lock that another process holds is tried.
const lockPoll = 20 * time.Millisecond

// lock holds a folder for one process. The kernel lets go of it when the process ends, however it ends.
type lock struct{ dir *os.File }

// acquire locks the folder itself: a file for it could not be made on a disk that takes nothing.
func acquire(dir string, wait time.Duration) (*lock, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open device state: %w", err)
	}
	for end := time.Now().Add(wait); ; time.Sleep(lockPoll) {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &lock{d}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			d.Close() //nolint:errcheck // the first error is the one to report
			return nil, fmt.Errorf("lock device state %s: %w", dir, err)
		}
		if time.Now().After(end) {
			d.Close() //nolint:errcheck // the first error is the one to report
			return nil, fmt.Errorf("device state in %s is in use by another process; stop the other agent or choose another data folder", dir)
		}
	}
}

func (l *lock) release() { _ = l.dir.Close() } // which unlocks it
