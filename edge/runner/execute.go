package runner

import (
	"context"
	"errors"
	"time"

	"github.com/dunlin-edge/dunlin/edge/device"
)

// execute carries actions out in their order and returns those that were. It ends early when ctx ends while the disk refuses.
func (r *Runner) execute(ctx context.Context, actions []device.Action) []device.Action {
	for i, a := range actions {
		switch a := a.(type) {
		case device.Note:
			r.note(a)
		case device.Persist:
			if !r.persist(ctx, a) {
				return actions[:i]
			}
		case device.PinModules:
			r.opts.Modules.Pin(a.Digests)
		case device.FetchModule:
			r.spawn(func() { r.fetch(ctx, a) })
		case device.PrepareTask:
			r.spawn(func() { r.prepare(ctx, a.Start) })
		case device.StartTask:
			r.queue(a.Instance, func() { r.start(ctx, a) })
		case device.RecoverTask:
			r.queue(a.Instance, func() { r.recoverTask(ctx, a) })
		case device.StopTask:
			r.queue(a.Instance, func() { r.stop(ctx, a) })
		case device.DestroyTask:
			r.queue(a.Instance, func() { r.destroy(ctx, a) })
		case device.RemoveAllocDir:
			r.removeDir(ctx, a.Alloc)
		case device.SendStatus:
			r.send(a)
		case device.WakeAt:
			r.timer.Reset(max(0, a.At.Sub(r.opts.Now())))
		case device.AckDesired, device.RefuseDesired, device.RefuseLink: // read by whoever gave the event
		}
	}
	return actions
}

func (r *Runner) note(n device.Note) {
	if n.Warn {
		r.opts.Log.Warn(n.Text)
	} else {
		r.opts.Log.Info(n.Text)
	}
}

// send hands a batch to the link. The core has one batch under way at a time and the channel holds one, so there is room.
func (r *Runner) send(a device.SendStatus) {
	select {
	case r.statuses <- a.Batch:
	default:
		r.opts.Log.Error("a status batch had no room on its link; it is sent with the next link", "seq", a.Batch.Seq)
	}
}

func (r *Runner) fetch(ctx context.Context, a device.FetchModule) {
	select {
	case r.fetches <- struct{}{}:
	case <-ctx.Done():
		return
	}
	begun := time.Now()
	err := r.opts.Modules.Fetch(ctx, a.Ref, a.Bases)
	<-r.fetches
	if err == nil {
		r.opts.Log.Debug("module is here", "digest", a.Ref.Digest, "took", time.Since(begun))
		r.post(ctx, device.ModuleReady{Digest: a.Ref.Digest})
		return
	}
	final, ok := errors.AsType[interface {
		error
		Permanent() bool
	}](err)
	r.post(ctx, device.ModuleFailed{Digest: a.Ref.Digest, Err: err.Error(), Permanent: ok && final.Permanent()})
}

// spawn runs f in a goroutine that Run waits for.
func (r *Runner) spawn(f func()) {
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		f()
	}()
}

// queue runs f after everything that was queued for the same task before it.
func (r *Runner) queue(in device.Instance, f func()) {
	key := taskKey{in.Alloc, in.Task}
	end := make(chan struct{})
	r.mu.Lock()
	before := r.tail[key]
	r.tail[key] = end
	r.mu.Unlock()
	r.spawn(func() {
		if before != nil {
			<-before // ends with ctx at the latest, because each operation does
		}
		f()
		r.mu.Lock()
		if r.tail[key] == end {
			delete(r.tail, key)
		}
		r.mu.Unlock()
		close(end)
	})
}
