package agent

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/edge/runner"
	"github.com/dunlin-edge/dunlin/edge/statedb"
	"github.com/dunlin-edge/dunlin/edge/wear"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

const (
	// WearSampleEvery is how often what was written is counted while nobody asks, so that it is put to the right day. Nothing is
	// written for it.
	WearSampleEvery = time.Hour
	// wearHostTimeout bounds the question to the host.
	wearHostTimeout = 2 * time.Second
)

// Host tells what the process that holds the tasks has written; *host.Client does.
type Host interface {
	Written(ctx context.Context) (w host.Written, known bool, err error)
}

// openMeter goes on counting where the agent before left off. A count that cannot be read begins anew: it must not keep a device
// from starting.
func (a *Agent) openMeter() {
	ledger, err := wear.Read(a.db.Kept(statedb.NoteWritten))
	if err != nil {
		a.cfg.Log.Warn("what was written to this disk so far cannot be read; counting begins anew", "error", err)
	}
	a.began = time.Now().UnixNano()
	a.wear = wear.NewMeter(ledger, time.Now)
	a.wear.Named(fleet.WriteState, "last state", wear.Reading{Epoch: a.began, Count: a.db.Unnoted()})
	a.db.Note(statedb.NoteWritten, func() []byte {
		// Called before a change is written, which therefore counts in the next note; what is read again is told by Unnoted.
		a.readOwn()
		b, err := a.wear.Bytes()
		if err != nil {
			a.cfg.Log.Error("what was written to this disk cannot be kept", "error", err)
		}
		return b
	})
}

// readOwn counts what this process wrote.
func (a *Agent) readOwn() {
	n, _ := a.db.Written()
	a.wear.Named(fleet.WriteState, "state", wear.Reading{Epoch: a.began, Count: n})
	if n, ok := kernelWrites(); ok {
		a.wear.Kernel("agent", wear.Reading{Epoch: a.began, Count: n})
	}
}

// readAll counts what this process and the host wrote.
func (a *Agent) readAll(ctx context.Context) {
	a.readOwn()
	if a.cfg.Host == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wearHostTimeout)
	defer cancel()
	w, known, err := a.cfg.Host.Written(ctx)
	if err != nil {
		a.cfg.Log.Debug("the host does not say what it wrote", "error", err)
	}
	if err != nil || !known {
		return
	}
	epoch := w.Began.UnixNano()
	a.wear.Named(fleet.WriteLogs, "host", wear.Reading{Epoch: epoch, Count: w.Logs})
	if w.All != nil {
		a.wear.Kernel("host", wear.Reading{Epoch: epoch, Count: *w.All})
	}
}

// watchWear counts now and then until ctx ends.
func (a *Agent) watchWear(ctx context.Context) {
	tick := time.NewTicker(WearSampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.readAll(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// Written is what this device has written to its disk so far.
func (a *Agent) Written(ctx context.Context) *fleet.DiskWrites {
	a.readAll(ctx)
	return a.wear.View()
}

// kernelWrites is what the kernel says this process has sent to disks. Other systems and kernels without accounting do not say.
func kernelWrites() (int64, bool) {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("write_bytes:")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// counted is the module cache, with an eye on what it writes. A fetch that broke and went on later is counted when it is whole.
type counted struct {
	runner.Modules
	agent *Agent
}

// Fetch counts a module that was not here before.
func (c counted) Fetch(ctx context.Context, ref config.ModuleRef, before []string) error {
	_, had := c.Path(ref.Digest)
	if err := c.Modules.Fetch(ctx, ref, before); err != nil || had {
		return err
	}
	if path, ok := c.Path(ref.Digest); ok {
		if info, err := os.Stat(path); err == nil {
			c.agent.wear.Module(c.agent.began, info.Size())
		}
	}
	return nil
}
