package httpapi

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/module"
)

var moduleTopics = []state.Topic{{Table: state.TableModules}}

func moduleIndex(_ *state.View, m fleet.Module) uint64 { return m.CreateIndex }

func (a *API) listModules(w http.ResponseWriter, r *http.Request) error {
	prefix := strings.ToLower(r.URL.Query().Get("prefix"))
	s := source[fleet.Module]{topics: moduleTopics, index: moduleIndex, rows: func(v *state.View) ([]fleet.Module, error) {
		rows := withPrefix(prefix, v.Modules(), func(m fleet.Module) string { return m.Digest })
		slices.SortStableFunc(rows, func(a, b fleet.Module) int { return int(a.CreateIndex) - int(b.CreateIndex) })
		return rows, nil
	}}
	return list(a, w, r, s, func(_ *state.View, m fleet.Module) fleet.Module { return m })
}

func (a *API) getModule(w http.ResponseWriter, r *http.Request) error {
	digest, err := digestOf(r)
	if err != nil {
		return err
	}
	v := a.Store.View()
	m, listed := v.Module(digest)
	if !listed || !a.Modules.Has(digest) {
		return refuse(http.StatusNotFound, "the region does not hold module %s", digest)
	}
	if r.Method == http.MethodHead {
		return a.answer(w, r, v.Index(), nil)
	}
	info, err := a.Modules.Inspect(digest)
	if err != nil {
		return err
	}
	return a.answer(w, r, v.Index(), moduleDetail(m, info))
}

func moduleDetail(m fleet.Module, info module.Info) *api.ModuleDetail {
	out := &api.ModuleDetail{
		Module: m, Language: string(info.Language), Functions: info.Functions, Features: info.Features,
		Imports: []api.ModuleImport{}, Exports: []api.ModuleExport{}, Memories: []api.ModuleMemory{},
	}
	for _, i := range info.Imports {
		out.Imports = append(out.Imports, api.ModuleImport(i))
	}
	for _, e := range info.Exports {
		out.Exports = append(out.Exports, api.ModuleExport(e))
	}
	for _, m := range info.Memories {
		out.Memories = append(out.Memories, api.ModuleMemory(m))
	}
	for _, p := range info.Producers {
		out.Producers = append(out.Producers, api.ModuleProducer(p))
	}
	return out
}

func digestOf(r *http.Request) (string, error) {
	ref, err := config.ParseModuleRef(r.PathValue("digest"))
	if err != nil {
		return "", refuse(http.StatusBadRequest, "%v", err)
	}
	if ref.Kind != config.ModuleDigest {
		return "", refuse(http.StatusBadRequest, "%q is not a digest; write sha256: and 64 hexadecimal digits", r.PathValue("digest"))
	}
	return ref.Digest, nil
}

func (a *API) pushModule(w http.ResponseWriter, r *http.Request) error {
	digest, err := digestOf(r)
	if err != nil {
		return err
	}
	switch {
	case r.ContentLength < 0:
		return refuse(http.StatusLengthRequired, "the push does not say its size; send Content-Length")
	case r.ContentLength == 0:
		return refuse(http.StatusBadRequest, "the body is empty; send the module's bytes")
	case r.ContentLength > fleet.ModuleBytesMax:
		return refuse(http.StatusRequestEntityTooLarge, "the module has %d bytes; at most %d", r.ContentLength, fleet.ModuleBytesMax)
	}
	done, err := take(a.pushes, "pushes")
	if err != nil {
		return err
	}
	defer done()
	body := &steady{r: http.MaxBytesReader(w, r.Body, fleet.ModuleBytesMax), control: http.NewResponseController(w)}
	m, err := a.Modules.Put(r.Context(), digest, r.URL.Query().Get("name"), r.ContentLength, body)
	if err != nil {
		return a.pushRefused(body, err)
	}
	// A store that has the module already reads nothing; a sender that is still
	// writing would see a broken connection instead of the answer.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return refuse(http.StatusBadRequest, "the push broke off: %v", err)
	}
	return a.answer(w, r, a.Store.View().Index(), m)
}

// pushRefused tells the sender's fault from the region's.
func (a *API) pushRefused(body *steady, err error) error {
	if _, known := a.Info.Leader(); !known {
		return refuse(http.StatusServiceUnavailable, "the module cannot be recorded now: %v; push again", err)
	}
	if body.err != nil {
		return refuse(http.StatusBadRequest, "the push broke off: %v; push again", body.err)
	}
	return refuse(http.StatusBadRequest, "%v", err)
}

// steady gives a body as long to arrive as it makes progress: a module may take
// an hour on a slow link, but a silent sender may not hold a place.
type steady struct {
	r       io.Reader
	control *http.ResponseController
	err     error // of the sender's end
}

func (s *steady) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(PushStallTimeout))
	n, err := s.r.Read(p)
	if errors.Is(err, io.EOF) {
		_ = s.control.SetReadDeadline(time.Time{}) // what comes next may take its time
	} else if err != nil {
		s.err = err
	}
	return n, err
}
