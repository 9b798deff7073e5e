package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/fleet"
)

// allocsDir is the folder of all allocations in the data folder.
const allocsDir = "alloc"

func (r *Runner) allocDir(id fleet.UUID) string {
	return filepath.Join(r.opts.DataDir, allocsDir, id.String())
}

func (r *Runner) logDir(id fleet.UUID) string { return filepath.Join(r.allocDir(id), "alloc", "logs") }

// allocDirs lists the allocations that have a folder.
func (r *Runner) allocDirs() ([]fleet.UUID, error) {
	dir := filepath.Join(r.opts.DataDir, allocsDir)
	// The folder holds what tasks write: other users of the device have no business in it.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("make the folder of allocations: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of allocations: %w", err)
	}
	var ids []fleet.UUID
	for _, e := range entries {
		if id, err := fleet.ParseUUID(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// makeDirs makes a task's folders. They stay over restarts of the task.
func (r *Runner) makeDirs(t driver.Task) error {
	for _, dir := range []string{
		t.LogDir, filepath.Join(t.AllocDir, "data"), filepath.Join(t.AllocDir, "tmp"), t.TaskDir, filepath.Join(filepath.Dir(t.TaskDir), "tmp"),
	} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make task folder: %w", err)
		}
	}
	return nil
}

// removeDir removes an allocation's files after everything that was asked for its tasks.
func (r *Runner) removeDir(ctx context.Context, id fleet.UUID) {
	var before []chan struct{}
	r.mu.Lock()
	for key, end := range r.tail {
		if key.alloc == id {
			before = append(before, end)
		}
	}
	r.mu.Unlock()
	r.spawn(func() {
		for _, end := range before {
			<-end
		}
		r.retry(ctx, "remove the files of allocation "+id.String(), DestroyTriesMax, func() (bool, error) {
			err := os.RemoveAll(r.allocDir(id))
			return err == nil || errors.Is(err, fs.ErrNotExist), err
		})
	})
}
