package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/api"
)

// piece is one read of a device's stream.
type piece struct {
	data []byte
	err  error
}

// sendFrames passes the bytes on in the framed JSON that clients of the field
// read, with heartbeats while the task is silent. A stream that breaks off is
// aborted: the frames have no place for an error, and an orderly end would claim
// that there was no more output.
func (a *API) sendFrames(ctx context.Context, w http.ResponseWriter, q *logQuery, out io.ReadCloser) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush() // so that a follower of a silent task knows it is served
	ctx, cancel := context.WithCancel(ctx)
	pieces := make(chan piece)
	var wg sync.WaitGroup
	wg.Go(func() { pump(ctx, out, pieces) })
	broken := a.frames(ctx, w, rc, q, pieces)
	cancel()
	_ = out.Close() // ends a blocked read
	wg.Wait()
	if broken != nil {
		a.brokeOff(q, broken)
		panic(http.ErrAbortHandler)
	}
}

func pump(ctx context.Context, out io.Reader, pieces chan<- piece) {
	for {
		buf := make([]byte, LogChunkBytesMax)
		n, err := out.Read(buf)
		select {
		case pieces <- piece{buf[:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// frames returns nil when the output has ended.
func (a *API) frames(ctx context.Context, w io.Writer, rc *http.ResponseController, q *logQuery, pieces <-chan piece) error {
	beat := time.NewTicker(LogHeartbeatEvery)
	defer beat.Stop()
	frame := func(f api.StreamFrame) error {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		return send(w, rc, b)
	}
	file := q.ask.Task + "." + q.ask.Stream
	var offset int64
	for {
		select {
		case p := <-pieces:
			if len(p.data) > 0 {
				offset += int64(len(p.data)) // of the frame's end, as the field counts
				if err := frame(api.StreamFrame{Offset: offset, Data: p.data, File: file}); err != nil {
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
