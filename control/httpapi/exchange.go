package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
)

// body reads a whole body of bounded size.
func (a *API) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// A test's recorder has no deadlines; a real connection does.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(BodyTimeout))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, BodyBytesMax))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", BodyBytesMax)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body ended early: %v", err)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if len(b) == 0 {
		return nil, refuse(http.StatusBadRequest, "the body is empty; send JSON")
	}
	return b, nil
}

// decode reads a small JSON body into out; fields it does not know are skipped,
// because clients of the field send many.
func (a *API) decode(w http.ResponseWriter, r *http.Request, out any) error {
	b, err := a.body(w, r)
	if err != nil {
		return err
	}
	return decodeJSON(b, out)
}

func decodeJSON(b []byte, out any) error {
	err := json.Unmarshal(b, out)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := wrong.Field
		if field == "" {
			field = "the body"
		}
		return refuse(http.StatusBadRequest, "%s: want %s, got %s", field, wrong.Type, wrong.Value)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "the body is not what this path takes: %v", err)
	}
	return nil
}

// answer encodes a value that is of the state at index.
func (a *API) answer(w http.ResponseWriter, r *http.Request, index uint64, v any) error {
	return a.answerStatus(w, r, http.StatusOK, index, v)
}

func (a *API) answerStatus(w http.ResponseWriter, r *http.Request, status int, index uint64, v any) error {
	var b []byte
	var err error
	if _, pretty := r.URL.Query()["pretty"]; pretty {
		b, err = json.MarshalIndent(v, "", "    ")
	} else {
		b, err = json.Marshal(v)
	}
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	a.begin(w, status, index)
	_, _ = w.Write(append(b, '\n')) // the client left; nobody to tell
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	return nil
}

// begin writes the head of an answer, which the client then has AnswerTimeout to read.
func (a *API) begin(w http.ResponseWriter, status int, index uint64) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	_, known := a.Info.Leader()
	h.Set("X-Nomad-Index", strconv.FormatUint(max(1, index), 10)) // 0 would make a waiting client spin
	h.Set("X-Nomad-KnownLeader", strconv.FormatBool(known))
	h.Set("X-Nomad-LastContact", strconv.FormatInt(a.Info.LastContact().Milliseconds(), 10))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(AnswerTimeout))
	w.WriteHeader(status)
}

// propose commits a command, with the words a client needs when that fails.
func (a *API) propose(ctx context.Context, cmd any) (uint64, error) {
	index, _, err := a.proposeFor(ctx, cmd)
	return index, err
}

// proposeFor is propose for those who want what applying the command gave.
func (a *API) proposeFor(ctx context.Context, cmd any) (uint64, any, error) {
	bounded, cancel := context.WithTimeout(ctx, ProposeTimeout)
	defer cancel()
	index, result, err := a.Log.Propose(bounded, cmd)
	if err == nil {
		return index, result, nil
	}
	for status, kinds := range applyErrors {
		for _, kind := range kinds {
			if errors.Is(err, kind) {
				return 0, nil, refuse(status, "%v", err)
			}
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return 0, nil, refuse(http.StatusGatewayTimeout,
			"the region did not commit within %s; it may still do so, so read before trying again", ProposeTimeout)
	}
	if _, known := a.Info.Leader(); !known {
		return 0, nil, refuse(http.StatusServiceUnavailable, "the region has no leader now, so nothing can be changed: %v; try again", err)
	}
	return 0, nil, err
}

// applyErrors are refusals by the state itself, where a request that was checked
// here lost a race against another.
var applyErrors = map[int][]error{
	http.StatusConflict:   {command.ErrCheckIndex, command.ErrExists, command.ErrEnded, command.ErrNotAdoptable, command.ErrPoolInUse, command.ErrEvalKept},
	http.StatusNotFound:   {command.ErrNoSuchJob, command.ErrNoSuchNode, command.ErrNoSuchAlloc, command.ErrNoSuchPool, command.ErrNoSuchEval},
	http.StatusBadRequest: {command.ErrInvalid, command.ErrBuiltIn},
}

func (a *API) writeMeta(index uint64) api.WriteMeta {
	_, known := a.Info.Leader()
	return api.WriteMeta{Index: index, LastIndex: index, KnownLeader: known}
}
