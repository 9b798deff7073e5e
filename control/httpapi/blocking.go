package httpapi

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// source is a set of rows that a request reads and may wait on.
type source[T any] struct {
	topics []state.Topic // at most topicsMax; one of them fires when a row changes
	rows   func(*state.View) ([]T, error)
	index  func(*state.View, T) uint64 // of the last change of what the row's answer shows
}

const topicsMax = 4

// query is what the parameters of a read ask.
type query struct {
	index  uint64
	wait   time.Duration
	prefix string
}

func parseQuery(r *http.Request) (query, error) {
	v := r.URL.Query()
	q := query{prefix: v.Get("prefix"), wait: BlockingWait}
	if ns := v.Get("namespace"); ns != "" && ns != "*" && ns != fleet.DefaultNamespace {
		return q, refuse(http.StatusBadRequest, "namespace %q does not exist; use %s", ns, fleet.DefaultNamespace)
	}
	if v.Get("filter") != "" {
		return q, refuse(http.StatusBadRequest, "?filter= is not carried out, and without it the answer would be another; leave it out")
	}
	var err error
	if s := v.Get("index"); s != "" {
		if q.index, err = strconv.ParseUint(s, 10, 64); err != nil {
			return q, refuse(http.StatusBadRequest, "index %q is not a number", s)
		}
	}
	if s := v.Get("wait"); s != "" {
		if q.wait, err = time.ParseDuration(s); err != nil || q.wait < 0 {
			return q, refuse(http.StatusBadRequest, "wait %q is not a duration; write for example 30s", s)
		}
	}
	q.wait = min(q.wait, BlockingWaitMax)
	return q, nil
}

// fetch reads the rows, after waiting for a change if the request asks so.
func fetch[T any](a *API, r *http.Request, s source[T]) (*state.View, []T, error) {
	q, err := parseQuery(r)
	if err != nil {
		return nil, nil, err
	}
	v := a.Store.View()
	rows, err := s.rows(v)
	if err != nil || q.index == 0 || s.newest(v, rows) > q.index {
		return v, rows, err
	}
	done, err := take(a.blocking, "blocking queries")
	if err != nil {
		return nil, nil, err
	}
	defer done()
	return s.await(r.Context(), a.Store, q, len(rows))
}

// await returns once a row is newer than the query's index, a row came or went,
// or the wait is over. It reads after it watches, so that it misses nothing.
func (s source[T]) await(ctx context.Context, store *state.Store, q query, count int) (*state.View, []T, error) {
	timer := time.NewTimer(q.wait + rand.N(q.wait/BlockingJitter+1))
	defer timer.Stop()
	for late := false; ; {
		var wake [topicsMax]<-chan struct{}
		for i, t := range s.topics {
			wake[i] = store.Watch(t)
		}
		v := store.View()
		rows, err := s.rows(v)
		if err != nil || late || len(rows) != count || s.newest(v, rows) > q.index {
			return v, rows, err
		}
		select {
		case <-wake[0]:
		case <-wake[1]:
		case <-wake[2]:
		case <-wake[3]:
		case <-timer.C:
			late = true
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (s source[T]) newest(v *state.View, rows []T) uint64 {
	var newest uint64
	for _, row := range rows {
		newest = max(newest, s.index(v, row))
	}
	return newest
}

// list fetches rows and answers their views, the newest row first.
func list[T, V any](a *API, w http.ResponseWriter, r *http.Request, s source[T], view func(*state.View, T) V) error {
	v, rows, err := fetch(a, r, s)
	if err != nil {
		return err
	}
	a.begin(w, http.StatusOK, v.Index())
	_, pretty := r.URL.Query()["pretty"]
	if err := writeRows(w, v, rows, view, pretty); err != nil {
		panic(http.ErrAbortHandler) // the head is out: a body that is cut off says that something is wrong
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	return nil
}

// one fetches a single row and answers its view.
func one[T, V any](a *API, w http.ResponseWriter, r *http.Request, s source[T], view func(*state.View, T) V) error {
	v, rows, err := fetch(a, r, s)
	if err != nil {
		return err
	}
	return a.answer(w, r, v.Index(), view(v, rows[0]))
}

// single makes rows of the one row that find returns.
func single[T any](find func(*state.View) (T, error)) func(*state.View) ([]T, error) {
	return func(v *state.View) ([]T, error) {
		row, err := find(v)
		if err != nil {
			return nil, err
		}
		return []T{row}, nil
	}
}

// pick resolves an ID, or the beginning of one that only one row has.
func pick[T any](noun, id string, exact func(fleet.UUID) (T, bool), byPrefix func(string) []T, name func(T) string) (T, error) {
	var none T
	if u, err := fleet.ParseUUID(id); err == nil {
		if row, ok := exact(u); ok {
			return row, nil
		}
		return none, refuse(http.StatusNotFound, "there is no %s %s", noun, id)
	}
	rows := byPrefix(strings.ToLower(id))
	switch len(rows) {
	case 1:
		return rows[0], nil
	case 0:
		return none, refuse(http.StatusNotFound, "there is no %s whose ID begins with %q", noun, id)
	}
	return none, ambiguous(noun, id, rows, name)
}

func ambiguous[T any](noun, id string, rows []T, name func(T) string) error {
	var names []string
	for _, row := range rows[:min(len(rows), SuggestionsMax)] {
		names = append(names, name(row))
	}
	return refuse(http.StatusBadRequest, "%q means more than one %s: %s; write more of the ID", id, noun, strings.Join(names, ", "))
}
