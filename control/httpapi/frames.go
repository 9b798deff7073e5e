package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// piece is one read of a device's stream.
type piece struct {
	data  []byte
	event string // what became of the file, in the field's words
	err   error
}

// framing is a device's stream as it is to be passed on.
type framing struct {
	file  string // named in each frame
	alloc fleet.UUID
	from  int64        // where in the file the first piece is from
	next  func() piece // the next one; blocks
	stop  func() error // ends a blocked next
}

// sendFrames passes the bytes on in the framed JSON that clients of the field
// read, with heartbeats while the task is silent. A stream that breaks off is
// aborted: the frames have no place for an error, and an orderly end would claim
// that there was no more output.
func (a *API) sendFrames(ctx context.Context, w http.ResponseWriter, f framing) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush() // so that a follower of a silent task knows it is served
	ctx, cancel := context.WithCancel(ctx)
	pieces := make(chan piece)
	var wg sync.WaitGroup
	wg.Go(func() { pump(ctx, f.next, pieces) })
	broken := a.frames(ctx, w, rc, f, pieces)
	cancel()
	_ = f.stop()
	wg.Wait()
	if broken != nil {
		a.brokeOff(f.alloc, f.file, broken)
		panic(http.ErrAbortHandler)
	}
}

func pump(ctx context.Context, next func() piece, pieces chan<- piece) {
	for {
		p := next()
		select {
		case pieces <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil {
			return
		}
	}
}

// frames returns nil when the output has ended.
func (a *API) frames(ctx context.Context, w io.Writer, rc *http.ResponseController, f framing, pieces <-chan piece) error {
	beat := time.NewTicker(LogHeartbeatEvery)
	defer beat.Stop()
	frame := func(f api.StreamFrame) error {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		return send(w, rc, b)
	}
	offset := f.from
	for {
		select {
		case p := <-pieces:
			if p.event == api.FileTruncated {
				offset = 0
			}
			if len(p.data) > 0 || p.event != "" {
				offset += int64(len(p.data)) // of the frame's end, as the field counts
				if err := frame(api.StreamFrame{Offset: offset, Data: p.data, File: f.file, FileEvent: p.event}); err != nil {
					return err
				}
			}
			if p.err == io.EOF {
				return nil
			}
			if p.err != nil {
				return p.err
			}
		case <-beat.C:
			if err := frame(api.StreamFrame{}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
