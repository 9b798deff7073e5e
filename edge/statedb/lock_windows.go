package statedb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
)

const lockPoll = 20 * time.Millisecond

// lock holds a folder for one process, by a file in it that nobody else may open.
type lock struct{ handle windows.Handle }

func acquire(dir string, wait time.Duration) (*lock, error) {
	path, err := windows.UTF16PtrFromString(filepath.Join(dir, "device.lock"))
	if err != nil {
		return nil, fmt.Errorf("lock device state %s: %w", dir, err)
	}
	for end := time.Now().Add(wait); ; time.Sleep(lockPoll) {
		h, err := windows.CreateFile(path, windows.GENERIC_WRITE, 0, nil, windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL, 0)
		if err == nil {
			return &lock{h}, nil
		}
		if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			return nil, fmt.Errorf("lock device state %s: %w", dir, err)
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("device state in %s is in use by another process (%w); stop the other agent or choose another data folder", dir, os.ErrExist)
		}
	}
}

func (l *lock) release() { _ = windows.CloseHandle(l.handle) }
