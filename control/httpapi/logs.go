package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// logQuery is a request for a task's output, checked.
type logQuery struct {
	alloc *state.Alloc
	node  *state.Node
	ask   wire.LogRequest
	plain bool
}

func (a *API) logs(w http.ResponseWriter, r *http.Request) error {
	q, err := a.logQuery(r)
	if err != nil {
		return err
	}
	if !a.Sessions.Connected(q.node.ID) {
		return a.absent(q)
	}
	done, err := take(a.streams, "log streams")
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out, err := a.Sessions.Logs(ctx, q.node.ID, q.ask)
	if err != nil {
		if !a.Sessions.Connected(q.node.ID) {
			return a.absent(q)
		}
		return refuse(http.StatusBadGateway, "device %s: %v", q.node.Spec.Name, err)
	}
	defer out.Close()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if q.plain {
		return a.sendPlain(w, q.alloc.ID, q.ask.Task+"."+q.ask.Stream, out)
	}
	a.sendFrames(ctx, w, framing{
		file: q.ask.Task + "." + q.ask.Stream, alloc: q.alloc.ID, stop: out.Close,
		next: func() piece {
			buf := make([]byte, LogChunkBytesMax)
			n, err := out.Read(buf)
			return piece{data: buf[:n], err: err}
		},
	})
	return nil
}

func (a *API) logQuery(r *http.Request) (*logQuery, error) {
	_, row, node, err := a.placed(r)
	if err != nil {
		return nil, err
	}
	q := &logQuery{alloc: row, node: node}
	p := r.URL.Query()
	q.ask = wire.LogRequest{Alloc: row.ID, Stream: api.LogStdout}
	if q.ask.Task, err = taskOf(row.GroupSpec(), p.Get("task")); err != nil {
		return nil, err
	}
	switch s := p.Get("type"); s {
	case "", api.LogStdout, api.LogStderr:
		q.ask.Stream = orWord(s, api.LogStdout)
	default:
		return nil, refuse(http.StatusBadRequest, "type %q is no stream; use stdout or stderr", s)
	}
	switch s := p.Get("origin"); s {
	case "", api.OriginStart:
	case api.OriginEnd:
		q.ask.FromEnd = true
	default:
		return nil, refuse(http.StatusBadRequest, "origin %q is unknown; use start or end", s)
	}
	if q.ask.Offset, err = uintParam(p.Get("offset"), "offset"); err != nil {
		return nil, err
	}
	if q.ask.TailLines, err = uintParam(p.Get("lines"), "lines"); err != nil {
		return nil, err
	}
	if q.ask.Follow, err = boolParam(r, "follow"); err != nil {
		return nil, err
	}
	q.plain, err = boolParam(r, "plain")
	return q, err
}

// taskOf finds the task meant; without a name it is the group's only one.
func taskOf(g *fleet.TaskGroup, name string) (string, error) {
	var names []string
	for _, t := range g.Tasks {
		if t.Name == name {
			return name, nil
		}
		names = append(names, t.Name)
	}
	switch {
	case name != "":
		return "", refuse(http.StatusNotFound, "group %q has no task %q; it has %s", g.Name, name, strings.Join(names, ", "))
	case len(names) == 1:
		return names[0], nil
	}
	return "", refuse(http.StatusBadRequest, "group %q has %d tasks; say which with ?task=: %s", g.Name, len(names), strings.Join(names, ", "))
}

func uintParam(s, name string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, refuse(http.StatusBadRequest, "%s %q is not a number of 0 or more", name, s)
	}
	return uint64(n), nil
}

func orWord(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// absent answers for a device that cannot be asked: since when it is gone, and
// the last lines the region was told. It answers at once, because waiting for a
// device that may be gone for days is no answer.
func (a *API) absent(q *logQuery) error {
	text := a.away(q.node)
	if last := lastOutput(q.alloc, q.ask.Task); last != "" {
		return refuse(http.StatusBadGateway, "%s; last known output:\n%s", text, last)
	}
	return refuse(http.StatusBadGateway, "%s; no output of task %s is known here (a device reports the last lines of a task that fails), and its log is on the device", text, q.ask.Task)
}

func lastOutput(row *state.Alloc, task string) string {
	if row.Detail == nil {
		return ""
	}
	for _, t := range row.Detail.Report.Tasks() {
		for i := len(t.Events) - 1; i >= 0 && t.Name == task; i-- {
			if e := t.Events[i]; e.Code == fleet.EventLastOutput && len(e.Args) > 0 {
				return e.Args[0]
			}
		}
	}
	return ""
}

// sendPlain passes the bytes on as they are. What breaks the stream off goes
// into a trailer, because the status is long sent.
func (a *API) sendPlain(w http.ResponseWriter, alloc fleet.UUID, file string, out io.Reader) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Trailer", api.LogErrorTrailer)
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	_ = rc.Flush() // so that a follower of a silent task knows it is served
	buf := make([]byte, LogChunkBytesMax)
	for {
		n, err := out.Read(buf)
		if n > 0 {
			if err := send(w, rc, buf[:n]); err != nil {
				a.brokeOff(alloc, file, err)
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			h.Set(api.LogErrorTrailer, strings.Join(strings.Fields(err.Error()), " "))
			return nil
		}
	}
}

// brokeOff notes why a stream of a device's file ended early. A client that leaves is nothing; one that stays and does not read is let
// go after LogWriteTimeout, and may want to know.
func (a *API) brokeOff(alloc fleet.UUID, file string, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		a.Logger.Info("a client that read nothing of a file for a while is let go", "alloc", alloc, "file", file, "limit", LogWriteTimeout)
		return
	}
	a.Logger.Debug("a stream of a device broke off", "alloc", alloc, "file", file, "error", err)
}

func send(w io.Writer, rc *http.ResponseController, b []byte) error {
	_ = rc.SetWriteDeadline(time.Now().Add(LogWriteTimeout)) // a test's recorder has none
	if _, err := w.Write(b); err != nil {
		return err
	}
	return rc.Flush()
}
