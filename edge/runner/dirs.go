package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/logstore"
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
		if err := r.opts.Logs.Keep(id, r.logDir(id)); err != nil {
			r.opts.Log.Warn("the logs of an allocation that is gone cannot be kept", "alloc", id, "error", err)
		}
		r.retry(ctx, "remove the files of allocation "+id.String(), DestroyTriesMax, func() (bool, error) {
			err := os.RemoveAll(r.allocDir(id))
			return err == nil || errors.Is(err, fs.ErrNotExist), err
		})
		select {
		case r.gone <- struct{}{}:
		default: // it is going to look already
		}
	})
}

// watchLogs keeps the device's logs within their quota: when allocations go, and while rings of what runs grow. It only looks,
// unless there is too much.
func (r *Runner) watchLogs(ctx context.Context) {
	for {
		r.fitLogs(ctx)
		select {
		case <-time.After(FitLogsEvery):
		case <-r.gone:
			select { // what goes together is looked at once
			case <-time.After(FitLogsPause):
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// fitLogs removes logs of what is gone or has ended, if there are too many.
func (r *Runner) fitLogs(ctx context.Context) {
	type answer struct {
		running []string
		ended   []logstore.Ended
	}
	a, err := ask(ctx, r, func(d *device.Device) (a answer) {
		for _, id := range d.Ended() {
			a.ended = append(a.ended, logstore.Ended{Alloc: id, Dir: r.logDir(id)})
		}
		for _, id := range d.Live() {
			a.running = append(a.running, r.logDir(id))
		}
		return a
	})
	if err != nil {
		return // the agent ends; the next one looks again
	}
	over, err := r.opts.Logs.Fit(a.running, a.ended)
	if err != nil {
		r.opts.Log.Warn("old logs of tasks cannot be removed", "error", err)
	}
	if over > 0 && r.logsOver == 0 {
		r.opts.Log.Warn("the logs of what runs are more than the quota of this device by themselves, so none of the past are kept; lower max_files or max_file_size in the jobs' logs blocks, or raise client.logs.quota",
			"over_bytes", over, "quota_bytes", r.opts.Logs.Quota())
	}
	r.logsOver = over
}
