package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFrameRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var stream []byte
		var sent []request
		for range rapid.IntRange(0, 5).Draw(rt, "frames") {
			body, err := json.Marshal(rapid.String().Draw(rt, "body"))
			if err != nil {
				rt.Fatal(err)
			}
			r := request{ID: rapid.Uint64().Draw(rt, "id"), Op: op(rapid.StringMatching(`[a-z]*`).Draw(rt, "op")), Body: body}
			sent = append(sent, r)
			if stream, err = appendFrame(stream, r); err != nil {
				rt.Fatal(err)
			}
		}
		in := bytes.NewReader(stream)
		for _, want := range sent {
			var got request
			if err := readFrame(in, &got); err != nil || got.ID != want.ID || got.Op != want.Op || !bytes.Equal(got.Body, want.Body) {
				rt.Fatalf("got %+v, %v; want %+v", got, err, want)
			}
		}
		if err := readFrame(in, &request{}); err != io.EOF {
			rt.Fatalf("after the last frame: %v", err)
		}
	})
}

func TestFrameLimits(t *testing.T) {
	if _, err := appendFrame(nil, strings.Repeat("a", FrameBytesMax)); err == nil {
		t.Error("a frame over the limit is encoded")
	}
	for _, c := range []struct {
		in   string
		want string
	}{
		{"\xff\xff\xff\xff", "over the limit"},
		{"\x00\x40\x00\x00short", "unexpected EOF"},
		{"\x00\x00\x00\x02{]", "decode frame"},
		{"\x00\x00", "unexpected EOF"},
	} {
		if err := readFrame(strings.NewReader(c.in), &request{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want it to contain %q", c.in, err, c.want)
		}
	}
}

func TestChooseVersion(t *testing.T) {
	for _, c := range []struct{ ourMin, ourMax, theirMin, theirMax, want int }{
		{1, 1, 1, 1, 1}, {1, 3, 2, 5, 3}, {2, 4, 1, 3, 3}, {2, 3, 1, 1, 0}, {1, 1, 2, 3, 0},
	} {
		got, err := chooseVersion(hello{VersionMin: c.ourMin, VersionMax: c.ourMax}, hello{VersionMin: c.theirMin, VersionMax: c.theirMax})
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
}

func TestTaskSpecCheck(t *testing.T) {
	process := TaskSpec{ID: "a", Kind: KindProcess, Argv: []string{"sh"}, Env: []string{"A=1"}, Dir: "/", Log: LogSpec{Dir: "/l", Task: "a"}}
	guest := TaskSpec{ID: "a", Kind: KindWasm, Guest: json.RawMessage(`{}`), Log: process.Log}
	for _, good := range []TaskSpec{process, guest} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, c := range []struct {
		base   TaskSpec
		change func(*TaskSpec)
		want   string
	}{
		{process, func(s *TaskSpec) { s.ID = "" }, "ID is empty"},
		{process, func(s *TaskSpec) { s.Kind = "vm" }, `kind "vm"`},
		{process, func(s *TaskSpec) { s.Argv = nil }, "no program"},
		{process, func(s *TaskSpec) { s.Dir = "x" }, `"x" is not absolute`},
		{process, func(s *TaskSpec) { s.Env = []string{"=x"} }, "not KEY=VALUE"},
		{process, func(s *TaskSpec) { s.Argv = []string{"a\x00"} }, "zero byte"},
		{process, func(s *TaskSpec) { s.Log.Dir = "l" }, "log directory"},
		{process, func(s *TaskSpec) { s.Log.Task = "a/b" }, "cannot name a file"},
		{guest, func(s *TaskSpec) { s.Guest = nil }, "needs a guest spec"},
		{guest, func(s *TaskSpec) { s.Stop = "now" }, `stop mode "now"`},
	} {
		s := c.base
		c.change(&s)
		if err := s.Check(); CodeOf(err) != CodeBadRequest || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want it to contain %q", err, c.want)
		}
	}
}

func TestErrorsCompareByCode(t *testing.T) {
	if !errors.Is(gone("x"), ErrTaskGone) || errors.Is(gone("x"), ErrNotSupported) || errors.Is(errors.New("x"), ErrTaskGone) {
		t.Error("errors.Is does not go by code")
	}
	if asError(io.EOF).Code != CodeInternal || asError(gone("x")).Code != CodeGone {
		t.Error("asError changes codes")
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, r := range []any{request{ID: 1, Op: opStart, Body: json.RawMessage(`{"ID":"a"}`)}, hello{VersionMin: 1, VersionMax: 1}, nil} {
		frame, err := appendFrame(nil, r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r request
		if err := readFrame(bytes.NewReader(in), &r); err != nil {
			return
		}
		if _, err := appendFrame(nil, r); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
