package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// logged is a region with one allocation on a linked device whose output is what
// open gives.
func logged(t *testing.T, open func(context.Context, wire.LogRequest) (io.ReadCloser, error)) *region {
	g := newRegion(t)
	registered(g, "web")
	g.alloc(50, "web", g.node(9, "pi-9", fleet.LinkOnline), nil)
	g.output = open
	return g
}

func text(s string) func(context.Context, wire.LogRequest) (io.ReadCloser, error) {
	return func(context.Context, wire.LogRequest) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(s)), nil
	}
}

func TestLogsPlain(t *testing.T) {
	var asked wire.LogRequest
	g := logged(t, func(_ context.Context, req wire.LogRequest) (io.ReadCloser, error) {
		asked = req
		return io.NopCloser(strings.NewReader("one\ntwo\n")), nil
	})
	c := g.client(api.Config{})
	r, err := c.Logs(t.Context(), "32", api.LogOptions{Stream: api.LogStderr, Origin: api.OriginEnd, Offset: 8, TailLines: 2, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "one\ntwo\n" {
		t.Errorf("read %q, %v", b, err)
	}
	want := wire.LogRequest{Alloc: id(50), Task: "main", Stream: "stderr", FromEnd: true, Offset: 8, TailLines: 2, Follow: true}
	if asked != want {
		t.Errorf("the device was asked %+v, want %+v", asked, want)
	}
}

// broken gives some bytes and then an error.
type broken struct{ left string }

func (b *broken) Read(p []byte) (int, error) {
	n := copy(p, b.left)
	b.left = b.left[n:]
	if n == 0 {
		return 0, errors.New("the link ended")
	}
	return n, nil
}

func (b *broken) Close() error { return nil }

// TestLogsBreakOff: an output that breaks off must not look like one that ended.
func TestLogsBreakOff(t *testing.T) {
	g := logged(t, func(context.Context, wire.LogRequest) (io.ReadCloser, error) { return &broken{"half"}, nil })
	c := g.client(api.Config{})
	r, err := c.Logs(t.Context(), "32", api.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); string(b) != "half" || err == nil || !strings.Contains(err.Error(), "the link ended") {
		t.Errorf("plain: read %q, %v", b, err)
	}
	res, err := http.Get(c.Address() + "/v1/client/fs/logs/32")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); !strings.Contains(string(b), "aGFsZg==") || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("framed: read %q, %v", b, err)
	}
}

func TestLogsFramed(t *testing.T) {
	g := logged(t, text("hello"))
	w := do(g.api(Access{Open: true}), "GET", "/v1/client/fs/logs/"+id(50).String()+"?task=main&type=stdout", "")
	var f api.StreamFrame
	if err := json.NewDecoder(w.Body).Decode(&f); err != nil || string(f.Data) != "hello" || f.Offset != 5 || f.File != "main.stdout" || f.IsHeartbeat() {
		t.Errorf("frame %+v, %v", f, err)
	}
}

// TestLogsHeartbeat: a silent follower hears that the link is alive, and its end
// ends the read at the device.
func TestLogsHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device, speak := io.Pipe()
		g := logged(t, func(ctx context.Context, _ wire.LogRequest) (io.ReadCloser, error) { return device, nil })
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/client/fs/logs/32?follow=true", nil)
		w := httptest.NewRecorder()
		ended := make(chan any)
		go func() {
			defer func() { ended <- recover() }()
			g.api(Access{Open: true}).ServeHTTP(w, r)
		}()
		time.Sleep(LogHeartbeatEvery + time.Second)
		_, _ = speak.Write([]byte("late"))
		synctest.Wait()
		cancel()
		if p := <-ended; p != http.ErrAbortHandler {
			t.Errorf("the handler ended with %v", p)
		}
		if _, err := speak.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the device's stream is still read: %v", err)
		}
		dec := json.NewDecoder(w.Body)
		var beat, late api.StreamFrame
		if err := errors.Join(dec.Decode(&beat), dec.Decode(&late)); err != nil || !beat.IsHeartbeat() || string(late.Data) != "late" {
			t.Errorf("frames %+v, %+v, %v", beat, late, err)
		}
	})
}

func TestLogsOfAbsentDevice(t *testing.T) {
	last := &state.AllocDetail{Report: state.ReportOf([]wire.TaskStatus{{Name: "main", ObservedTask: fleet.ObservedTask{State: fleet.TaskDead, Events: []fleet.CodedEvent{
		{Code: fleet.EventLastOutput, Args: []string{"old"}}, {Code: fleet.EventTerminated}, {Code: fleet.EventLastOutput, Args: []string{"panic: no disk"}},
	}}}})}
	for _, c := range []struct {
		link   fleet.LinkState
		detail *state.AllocDetail
		words  []string
	}{
		{fleet.LinkUnreachable, last, []string{"device pi-9 is unreachable since 2027-01-15T07:00:00Z (1h0m0s ago)", "last known output:\npanic: no disk"}},
		{fleet.LinkLost, nil, []string{"device pi-9 is lost since", "no output of task main is known"}},
		{fleet.LinkLate, nil, []string{"device pi-9 has no link to this server"}},
	} {
		g := newRegion(t)
		registered(g, "web")
		g.alloc(50, "web", g.node(9, "pi-9", c.link), c.detail)
		_, err := g.client(api.Config{}).Logs(t.Context(), "32", api.LogOptions{})
		for _, word := range c.words {
			if !api.IsStatus(err, http.StatusBadGateway) || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v, want %q", c.link, err, word)
			}
		}
	}
}

func TestLogsRefusals(t *testing.T) {
	g := logged(t, func(context.Context, wire.LogRequest) (io.ReadCloser, error) {
		return nil, errors.New("no log of task main yet")
	})
	two := job("two")
	two.TaskGroups[0].Tasks = append(two.TaskGroups[0].Tasks, fleet.Task{Name: "side"})
	spec := two.Clone()
	fleet.Canonicalize(spec)
	registeredJob(g, spec)
	g.alloc(51, "two", g.store.View().NodeByID(id(9)), nil)
	a := g.api(Access{Open: true})
	for _, c := range []struct {
		target string
		status int
		words  string
	}{
		{"32", 502, "device pi-9: no log of task main yet"},
		{"32?type=stdlog", 400, "stdlog"},
		{"32?origin=middle", 400, "middle"},
		{"32?offset=-1", 400, "-1"},
		{"32?follow=maybe", 400, "maybe"},
		{"32?task=other", 404, "it has main"},
		{"33", 400, "main, side"},
		{"99", 404, `"99"`},
		{"", 404, "not a path"},
	} {
		if w := do(a, "GET", "/v1/client/fs/logs/"+c.target, ""); w.Code != c.status || !strings.Contains(w.Body.String(), c.words) {
			t.Errorf("%s: %d %q, want %d with %q", c.target, w.Code, w.Body, c.status, c.words)
		}
	}
}
