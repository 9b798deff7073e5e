package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// placed finds the allocation of a request and the device that it is on.
func (a *API) placed(r *http.Request) (*state.View, *state.Alloc, *state.Node, error) {
	v := a.Store.View()
	row, err := findAlloc(v, r.PathValue("id"))
	if err != nil {
		return nil, nil, nil, err
	}
	node := v.Node(row.Node)
	if node == nil {
		return nil, nil, nil, fmt.Errorf("allocation %s is on a node without a row", row.ID)
	}
	return v, row, node, nil
}

// away says of a device that cannot be asked since when it is gone.
func (a *API) away(n *state.Node) string {
	if n.Link == fleet.LinkUnreachable || n.Link == fleet.LinkLost {
		since := time.Unix(0, n.LinkSince)
		return fmt.Sprintf("device %s is %s since %s (%s ago)", n.Spec.Name, n.Link, since.UTC().Format(time.RFC3339), a.Now().Sub(since).Round(time.Second))
	}
	return fmt.Sprintf("device %s has no link to this server", n.Spec.Name)
}

// files asks the device about files; what it refuses becomes this server's refusal.
func (a *API) files(ctx context.Context, node *state.Node, ask wire.FsRequest) (*wire.FsAnswer, func() (*wire.FsPiece, error), error) {
	absent := func() error {
		return refuse(http.StatusBadGateway, "%s, and an allocation's files are on its device only", a.away(node))
	}
	if !a.Sessions.Connected(node.ID) {
		return nil, nil, absent()
	}
	answer, next, err := a.Sessions.Files(ctx, node.ID, ask)
	switch {
	case err != nil && !a.Sessions.Connected(node.ID):
		return nil, nil, absent()
	case err != nil:
		return nil, nil, refuse(http.StatusBadGateway, "device %s: %v", node.Spec.Name, err)
	case answer.Refusal != wire.FsGranted:
		return nil, nil, refuse(statusOf(answer.Refusal), "device %s: %s", node.Spec.Name, answer.Error)
	}
	return answer, next, nil
}

func statusOf(r wire.FsRefusal) int {
	switch r {
	case wire.FsNotFound:
		return http.StatusNotFound
	case wire.FsForbidden:
		return http.StatusForbidden
	case wire.FsMisplaced:
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

func fsPath(r *http.Request) (string, error) {
	p := r.URL.Query().Get("path")
	if len(p) > wire.PathBytesMax {
		return "", refuse(http.StatusBadRequest, "the path has %d bytes; at most %d", len(p), wire.PathBytesMax)
	}
	return p, nil
}

func (a *API) listFiles(w http.ResponseWriter, r *http.Request) error {
	return a.describeFiles(w, r, wire.FsList, func(answer *wire.FsAnswer) any {
		if answer.More {
			w.Header().Set(api.MoreHeader, "true")
		}
		if answer.Files == nil {
			return []fleet.FileInfo{}
		}
		return answer.Files
	})
}

func (a *API) statFile(w http.ResponseWriter, r *http.Request) error {
	return a.describeFiles(w, r, wire.FsStat, func(answer *wire.FsAnswer) any {
		if len(answer.Files) != 1 {
			return nil
		}
		return answer.Files[0]
	})
}

func (a *API) describeFiles(w http.ResponseWriter, r *http.Request, verb wire.FsVerb, result func(*wire.FsAnswer) any) error {
	v, row, node, err := a.placed(r)
	if err != nil {
		return err
	}
	path, err := fsPath(r)
	if err != nil {
		return err
	}
	done, err := take(a.streams, "streams to devices")
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	answer, _, err := a.files(ctx, node, wire.FsRequest{Alloc: row.ID, Verb: verb, Path: path})
	if err != nil {
		return err
	}
	out := result(answer)
	if out == nil {
		return refuse(http.StatusBadGateway, "device %s described %d files where one was asked for", node.Spec.Name, len(answer.Files))
	}
	return a.answer(w, r, v.Index(), out)
}

// catFile gives a whole file as it is.
func (a *API) catFile(w http.ResponseWriter, r *http.Request) error {
	return a.readFile(w, r, func(*wire.FsRequest) (bool, error) { return true, nil })
}

// readFileAt gives a part of a file as it is.
func (a *API) readFileAt(w http.ResponseWriter, r *http.Request) error {
	return a.readFile(w, r, func(ask *wire.FsRequest) (bool, error) {
		q := r.URL.Query()
		var err error
		if ask.Offset, err = uintParam(q.Get("offset"), "offset"); err != nil {
			return true, err
		}
		if strings.HasPrefix(q.Get("limit"), "-") {
			return true, nil // clients of the field say so that there is none
		}
		ask.Limit, err = uintParam(q.Get("limit"), "limit")
		return true, err
	})
}

// streamFile gives a file and what is written to it, in frames unless plain bytes are asked for.
func (a *API) streamFile(w http.ResponseWriter, r *http.Request) error {
	return a.readFile(w, r, func(ask *wire.FsRequest) (plain bool, err error) {
		q := r.URL.Query()
		switch s := q.Get("origin"); s {
		case "", api.OriginStart:
		case api.OriginEnd:
			ask.FromEnd = true
		default:
			return false, refuse(http.StatusBadRequest, "origin %q is unknown; use start or end", s)
		}
		if ask.Offset, err = uintParam(q.Get("offset"), "offset"); err != nil {
			return false, err
		}
		if ask.TailLines, err = uintParam(q.Get("lines"), "lines"); err != nil {
			return false, err
		}
		if ask.Follow = true; q.Get("follow") != "" { // as in the field, where this path is for following
			if ask.Follow, err = boolParam(r, "follow"); err != nil {
				return false, err
			}
		}
		return boolParam(r, "plain")
	})
}

func (a *API) readFile(w http.ResponseWriter, r *http.Request, options func(*wire.FsRequest) (plain bool, err error)) error {
	_, row, node, err := a.placed(r)
	if err != nil {
		return err
	}
	ask := wire.FsRequest{Alloc: row.ID, Verb: wire.FsRead}
	if ask.Path, err = fsPath(r); err != nil {
		return err
	}
	plain, err := options(&ask)
	if err != nil {
		return err
	}
	done, err := take(a.streams, "streams to devices")
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	answer, next, err := a.files(ctx, node, ask)
	if err != nil {
		return err
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if plain {
		return a.sendPlain(w, row.ID, ask.Path, &pieces{next: next})
	}
	a.sendFrames(ctx, w, framing{
		file: ask.Path, alloc: row.ID, from: int64(answer.Offset), stop: func() error { cancel(); return nil },
		next: func() (out piece) {
			p, err := next()
			if err != nil {
				return piece{err: err}
			}
			if out = (piece{data: p.Data, event: eventWords[p.Event]}); p.Event == wire.FsBroken {
				out = piece{err: fmt.Errorf("device %s: %s", node.Spec.Name, p.Error)}
			}
			return out
		},
	})
	return nil
}

// eventWords are the events of a followed file as clients of the field know them.
var eventWords = map[wire.FsEvent]string{wire.FsTruncated: api.FileTruncated, wire.FsDeleted: api.FileDeleted}

// pieces are the bytes of a file without what happened to it, except that it went.
type pieces struct {
	next func() (*wire.FsPiece, error)
	rest []byte
	err  error
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.rest) == 0 && p.err == nil {
		var got *wire.FsPiece
		if got, p.err = p.next(); p.err != nil {
			break
		}
		switch p.rest = got.Data; got.Event {
		case wire.FsDeleted:
			p.err = errors.New("the file was deleted")
		case wire.FsBroken:
			p.err = fmt.Errorf("the device says: %s", got.Error)
		}
	}
	if len(p.rest) == 0 {
		return 0, p.err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
