package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Streams of a task, and where an offset counts from.
const (
	LogStdout   = "stdout"
	LogStderr   = "stderr"
	OriginStart = "start"
	OriginEnd   = "end"
)

// StreamFrame is one piece of a framed stream of logs. A frame without Data and
// FileEvent is a heartbeat.
type StreamFrame struct {
	Offset    int64  `json:",omitempty"` // of the first byte of Data, from where the stream began
	Data      []byte `json:",omitempty"` // base64 in JSON
	File      string `json:",omitempty"`
	FileEvent string `json:",omitempty"` // why the stream goes on elsewhere, or ends
}

// IsHeartbeat reports whether the frame only says that the link is alive.
func (f *StreamFrame) IsHeartbeat() bool {
	return len(f.Data) == 0 && f.FileEvent == "" && f.File == "" && f.Offset == 0
}

// LogOptions say which part of a task's output is wanted.
type LogOptions struct {
	Task      string // empty: the only task
	Stream    string // LogStdout (also when empty) or LogStderr
	Origin    string // OriginStart (also when empty) or OriginEnd
	Offset    int64  // bytes from Origin
	TailLines int    // not 0: the last lines instead of Origin and Offset
	Follow    bool
}

func (o LogOptions) values() url.Values {
	v := url.Values{"plain": {"true"}}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("task", o.Task)
	set("type", o.Stream)
	set("origin", o.Origin)
	if o.Offset != 0 {
		v.Set("offset", strconv.FormatInt(o.Offset, 10))
	}
	if o.TailLines != 0 {
		v.Set("lines", strconv.Itoa(o.TailLines))
	}
	if o.Follow {
		v.Set("follow", "true")
	}
	return v
}

// Logs opens a task's output. The reader ends with the output, or, when
// following, with the task or ctx; it gives an error when the device was lost
// on the way. The caller closes it.
func (c *Client) Logs(ctx context.Context, id fleet.AllocID, o LogOptions) (io.ReadCloser, error) {
	res, err := c.send(ctx, call{method: http.MethodGet, path: "/client/fs/logs/" + segment(id), query: o.values()})
	if err != nil {
		return nil, err
	}
	return &logReader{res}, nil
}

// logReader gives the trailer's error where the bytes end.
type logReader struct{ res *http.Response }

func (r *logReader) Read(p []byte) (int, error) {
	n, err := r.res.Body.Read(p)
	if errors.Is(err, io.EOF) {
		if why := r.res.Trailer.Get(LogErrorTrailer); why != "" {
			return n, fmt.Errorf("the output broke off: %s", why)
		}
	}
	return n, err
}

func (r *logReader) Close() error { return r.res.Body.Close() }
