package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// filed is a region with one allocation on a linked device, which answers these questions and notes them.
func filed(t *testing.T, answer *wire.FsAnswer, pieces ...any) (g *region, asked *wire.FsRequest) {
	g, asked = newRegion(t), &wire.FsRequest{}
	registered(g, "web")
	g.alloc(50, "web", g.node(9, "pi-9", fleet.LinkOnline), nil)
	g.files = func(_ context.Context, req wire.FsRequest) (*wire.FsAnswer, func() (*wire.FsPiece, error), error) {
		*asked = req
		return answer, func() (*wire.FsPiece, error) {
			if len(pieces) == 0 {
				return nil, io.EOF
			}
			p := pieces[0]
			pieces = pieces[1:]
			if err, bad := p.(error); bad {
				return nil, err
			}
			return p.(*wire.FsPiece), nil
		}, nil
	}
	return g, asked
}

func data(s string) *wire.FsPiece { return &wire.FsPiece{Data: []byte(s)} }

func TestListFiles(t *testing.T) {
	at := time.Unix(1_790_000_000, 5).UTC()
	want := []fleet.FileInfo{{Name: "data", IsDir: true, FileMode: "drwxr-xr-x", ModTime: at}, {Name: "x", Size: 3, FileMode: "-rw-r--r--", ModTime: at}}
	g, asked := filed(t, &wire.FsAnswer{Files: want, More: true})
	c := g.client(api.Config{})
	files, more, err := c.ListFiles(t.Context(), "32", "alloc/my data")
	if err != nil || !more || !reflect.DeepEqual(files, want) {
		t.Errorf("list %+v, more %v, %v", files, more, err)
	}
	if *asked != (wire.FsRequest{Alloc: id(50), Verb: wire.FsList, Path: "alloc/my data"}) {
		t.Errorf("asked %+v", *asked)
	}
	if _, err := c.StatFile(t.Context(), "32", "x"); err == nil || !strings.Contains(err.Error(), "described 2 files") {
		t.Errorf("a device that describes two files: %v", err)
	}
	g, _ = filed(t, &wire.FsAnswer{})
	if w := do(g.api(Access{Open: true}), "GET", "/v1/client/fs/ls/32", ""); w.Code != 200 || w.Body.String() != "[]\n" {
		t.Errorf("an empty folder: %d %q", w.Code, w.Body)
	}
}

func TestReadFile(t *testing.T) {
	for _, tc := range []struct {
		target string
		want   wire.FsRequest
	}{
		{"cat/32?path=a", wire.FsRequest{Path: "a"}},
		{"readat/32?path=a&offset=3&limit=9", wire.FsRequest{Path: "a", Offset: 3, Limit: 9}},
		{"readat/32?path=a&offset=3&limit=-1", wire.FsRequest{Path: "a", Offset: 3}},
		{"stream/32?path=a&plain=true&origin=end&offset=7", wire.FsRequest{Path: "a", FromEnd: true, Offset: 7, Follow: true}},
		{"stream/32?path=a&plain=true&lines=2&follow=false", wire.FsRequest{Path: "a", TailLines: 2}},
	} {
		g, asked := filed(t, &wire.FsAnswer{}, data("one "), &wire.FsPiece{Event: wire.FsTruncated}, data("two"))
		w := do(g.api(Access{Open: true}), "GET", "/v1/client/fs/"+tc.target, "")
		tc.want.Alloc, tc.want.Verb = id(50), wire.FsRead
		if w.Code != 200 || w.Body.String() != "one two" || *asked != tc.want {
			t.Errorf("%s: %d %q, asked %+v", tc.target, w.Code, w.Body, *asked)
		}
	}
}

// TestFileFrames: bytes and events in the frames of the field, with offsets in the file.
func TestFileFrames(t *testing.T) {
	g, _ := filed(t, &wire.FsAnswer{Offset: 10}, data("abc"), &wire.FsPiece{Event: wire.FsTruncated}, data("de"), &wire.FsPiece{Event: wire.FsDeleted})
	w := do(g.api(Access{Open: true}), "GET", "/v1/client/fs/stream/32?path=alloc/f", "")
	var got []api.StreamFrame
	for dec := json.NewDecoder(w.Body); ; {
		var f api.StreamFrame
		if err := dec.Decode(&f); err != nil {
			break
		}
		got = append(got, f)
	}
	want := []api.StreamFrame{
		{Offset: 13, Data: []byte("abc"), File: "alloc/f"}, {File: "alloc/f", FileEvent: "file truncated"},
		{Offset: 2, Data: []byte("de"), File: "alloc/f"}, {Offset: 2, File: "alloc/f", FileEvent: "file deleted"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("frames %+v, want %+v", got, want)
	}
}

// TestFileBreaksOff: what breaks off, or goes, must not look like a file that ended.
func TestFileBreaksOff(t *testing.T) {
	for want, end := range map[string]any{
		"the link ended": errors.New("the link ended"), "file was deleted": &wire.FsPiece{Event: wire.FsDeleted},
		"input/output error": &wire.FsPiece{Event: wire.FsBroken, Error: "input/output error"},
	} {
		g, _ := filed(t, &wire.FsAnswer{}, data("half"), end)
		r, err := g.client(api.Config{}).ReadFile(t.Context(), "32", "f", api.FileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "half" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: read %q, %v", want, b, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFileRefusals(t *testing.T) {
	for refusal, status := range map[wire.FsRefusal]int{
		wire.FsNotFound: http.StatusNotFound, wire.FsForbidden: http.StatusForbidden, wire.FsMisplaced: http.StatusBadRequest, wire.FsFailed: http.StatusBadGateway,
	} {
		g, _ := filed(t, &wire.FsAnswer{Refusal: refusal, Error: "no, because"})
		for _, verb := range []string{"ls", "stat", "cat", "readat", "stream"} {
			if w := do(g.api(Access{Open: true}), "GET", "/v1/client/fs/"+verb+"/32?path=x", ""); w.Code != status || !strings.Contains(w.Body.String(), "device pi-9: no, because") {
				t.Errorf("%s refused with %d: %d %q", verb, refusal, w.Code, w.Body)
			}
		}
	}
	g, _ := filed(t, nil)
	g.linked[id(9)] = false
	g.alloc(51, "web", g.node(8, "pi-8", fleet.LinkLost), nil)
	h := g.api(Access{Open: true})
	for target, want := range map[string]string{
		"ls/32":                    "device pi-9 has no link to this server",
		"ls/33":                    "device pi-8 is lost since 2027-01-15T07:00:00Z (1h0m0s ago)",
		"ls/99":                    "no allocation",
		"readat/32?offset=x":       "offset",
		"stream/32?origin=middle":  "origin",
		"stream/32?follow=perhaps": "follow",
		"cat/32?path=" + strings.Repeat("x", 5000): "at most 4096",
	} {
		if w := do(h, "GET", "/v1/client/fs/"+target, ""); w.Code < 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.40s: %d %q, want %q", target, w.Code, w.Body, want)
		}
	}
	for range LogStreamsMax {
		h.streams <- struct{}{}
	}
	if w := do(h, "GET", "/v1/client/fs/ls/32", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("beyond the limit: %d %q", w.Code, w.Body)
	}
}
