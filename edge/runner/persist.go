package runner

import (
	"context"
	"time"

	"github.com/dunlin-edge/dunlin/edge/device"
)

// persist writes until it is written. A device whose disk refuses must not acknowledge or start anything, so there is nothing better
// to do than to wait; but it goes on answering what is asked of it, because that is when somebody looks.
func (r *Runner) persist(ctx context.Context, p device.Persist) bool {
	defer func() { r.unwritten = nil }()
	for pause := RetryMin; ; pause = min(2*pause, RetryMax) {
		err := r.opts.Store.Save(p)
		if err == nil {
			return true
		}
		if r.unwritten == nil {
			r.opts.Log.Warn("the device's state cannot be written, so nothing new is started: trying again until it works", "error", err)
		}
		r.unwritten = err
		if !r.answer(ctx, time.After(pause)) {
			return false
		}
	}
}

// answer serves questions until the time has come, and puts events aside for the loop in their order. It reports false when ctx
// ended.
func (r *Runner) answer(ctx context.Context, until <-chan time.Time) bool {
	for {
		inbox := r.inbox
		if len(r.aside) == InboxMax {
			inbox = nil // their senders wait, as for a full inbox
		}
		select {
		case <-until:
			return true
		case <-ctx.Done():
			return false
		case m := <-inbox:
			if m.ask == nil {
				r.aside = append(r.aside, m)
				continue
			}
			r.handle(ctx, m)
		}
	}
}
