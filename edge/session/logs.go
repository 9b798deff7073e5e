package session

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// serveLogs answers one request from the task's files. What is wrong with the request is said in the answer; the link stays.
func (s *Session) serveLogs(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // the reader is gone or has all
	var req wire.LogRequest
	if err := readSoon(st, &req); err != nil {
		if isReset(err) || ctx.Err() != nil {
			return nil
		}
		return protocolErrorf("a request for logs cannot be read: %v", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(st.Context(), cancel)() // the one who follows has gone
	r, err := s.openLog(ctx, &req, &wg)
	if err != nil {
		s.answerLog(st, err)
		return nil
	}
	defer r.Close() //nolint:errcheck // read only
	if err := wire.Write(st, &wire.LogAnswer{}); err != nil {
		return nil // gone
	}
	if _, err := io.Copy(&paced{st, ctx, s.opts.Meter, traffic.Logs}, r); err != nil && ctx.Err() == nil {
		s.opts.Log.Warn("a task's log could not be sent to its end", "alloc", fleet.UUID(req.Alloc), "task", req.Task, "error", err)
		st.Reset(link.CodeInternal)
	}
	return nil
}

func (s *Session) answerLog(st link.Stream, err error) {
	if err := wire.Write(st, &wire.LogAnswer{Error: bounded(err)}); err != nil {
		s.opts.Log.Debug("nobody waits for the answer about a log any more", "error", err)
	}
}

func (s *Session) openLog(ctx context.Context, req *wire.LogRequest, wg *sync.WaitGroup) (*tasklog.Reader, error) {
	dir, task, err := s.opts.Device.Logs(ctx, req.Alloc, req.Task)
	if err != nil {
		return nil, err
	}
	o := tasklog.ReadOptions{
		Offset: int64(min(req.Offset, math.MaxInt64)), FromEnd: req.FromEnd, TailLines: int(min(req.TailLines, math.MaxInt32)), Follow: req.Follow,
	}
	if req.Follow {
		done := make(chan struct{})
		o.Done = done
		wg.Go(func() { s.awaitEnd(ctx, req.Alloc, task, done) })
	}
	r, err := tasklog.Open(ctx, dir, task, req.Stream, o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the task has not been started yet, so it has no logs")
	}
	return r, err
}

// awaitEnd closes done when the task has ended, or ctx has.
func (s *Session) awaitEnd(ctx context.Context, alloc fleet.UUID, task string, done chan struct{}) {
	defer close(done)
	for !s.opts.Device.Ended(ctx, alloc, task) {
		select {
		case <-time.After(EndedPoll):
		case <-ctx.Done():
			return
		}
	}
}
