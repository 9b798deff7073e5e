package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/edge/allocfs"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

func (d *device) Files(_ context.Context, alloc fleet.UUID) (*allocfs.FS, error) {
	if alloc != (fleet.UUID{3}) {
		return nil, fmt.Errorf("allocation %s is not on this device: %w", alloc, allocfs.ErrNotFound)
	}
	return allocfs.Open(d.logs)
}

// pieces reads a file's bytes, with its events in brackets, to the end of the stream.
func pieces(t *testing.T, st link.Stream) string {
	t.Helper()
	var text strings.Builder
	for {
		var p wire.FsPiece
		err := wire.Read(st, &p)
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Fatalf("after %q: %v", text.String(), err)
		}
		text.Write(p.Data)
		if p.Event != wire.FsNoEvent {
			fmt.Fprintf(&text, "[%d %s]", p.Event, p.Error)
		}
	}
}

func TestFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.device.logs = t.TempDir()
		file := filepath.Join(r.device.logs, "main.txt")
		if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l := r.serve(welcome())
		ask := func(q wire.FsRequest) (link.Stream, *wire.FsAnswer) {
			t.Helper()
			if q.Alloc.IsZero() {
				q.Alloc = fleet.UUID{3}
			}
			st := r.open(l, wire.KindFiles, &q)
			var a wire.FsAnswer
			if err := wire.Read(st, &a); err != nil {
				t.Fatal(err)
			}
			return st, &a
		}
		if _, a := ask(wire.FsRequest{Alloc: fleet.UUID{9}, Verb: wire.FsList}); a.Refusal != wire.FsNotFound || !strings.Contains(a.Error, "is not on this device") {
			t.Errorf("an absent allocation: %+v", a)
		}
		if _, a := ask(wire.FsRequest{Verb: wire.FsList}); len(a.Files) != 1 || a.Files[0].Name != "main.txt" || a.Files[0].Size != 8 || a.More {
			t.Errorf("list: %+v", a)
		}
		if _, a := ask(wire.FsRequest{Verb: wire.FsStat, Path: "main.txt"}); len(a.Files) != 1 || a.Files[0].ContentType != "text/plain; charset=utf-8" {
			t.Errorf("stat: %+v", a)
		}
		for path, want := range map[string]wire.FsRefusal{"../x": wire.FsForbidden, "none": wire.FsNotFound, "/": wire.FsMisplaced} {
			if _, a := ask(wire.FsRequest{Verb: wire.FsRead, Path: path}); a.Refusal != want || a.Error == "" {
				t.Errorf("read %q: %+v", path, a)
			}
		}
		if st, a := ask(wire.FsRequest{Verb: wire.FsRead, Path: "main.txt", TailLines: 1}); a.Offset != 4 || pieces(t, st) != "two\n" {
			t.Errorf("tail from %+v", a)
		}
		st, _ := ask(wire.FsRequest{Verb: wire.FsRead, Path: "main.txt", Follow: true})
		gone, _ := ask(wire.FsRequest{Verb: wire.FsRead, Path: "main.txt", Follow: true})
		gone.Reset(link.CodeCanceled)
		time.Sleep(time.Minute)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if got := pieces(t, st); got != "one\ntwo\n[2 ]" {
			t.Errorf("followed: %q", got)
		}
	})
}

// TestFilesStreamsAreBounded: beyond the limit a stream is refused as busy, and the link stays.
func TestFilesStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.device.logs = t.TempDir()
		if err := os.WriteFile(filepath.Join(r.device.logs, "f"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l := r.serve(welcome())
		follow := &wire.FsRequest{Alloc: fleet.UUID{3}, Verb: wire.FsRead, Path: "f", Follow: true}
		for range session.FileStreamsMax {
			st := r.open(l, wire.KindFiles, follow)
			defer st.Reset(link.CodeCanceled)
			if err := wire.Read(st, &wire.FsAnswer{}); err != nil {
				t.Fatal(err)
			}
		}
		one := r.open(l, wire.KindFiles, follow)
		err := wire.Read(one, &wire.FsAnswer{})
		if reset, ok := errors.AsType[*link.ResetError](err); !ok || reset.Code != link.CodeBusy {
			t.Errorf("one too many: %v", err)
		}
		if ups, downs := r.device.counts(); ups != 1 || downs != 0 {
			t.Errorf("up %d times, down %d times", ups, downs)
		}
	})
}

// TestFilesAreCountedAsLogs: reading in bulk is slowed with logs when a budget is short, and so is counted with them.
func TestFilesAreCountedAsLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := session.NewMeter(0, nil, slog.New(slog.DiscardHandler))
		r := newMeteredRig(t, m)
		defer r.stop()
		r.device.logs = t.TempDir()
		if err := os.WriteFile(filepath.Join(r.device.logs, "f"), make([]byte, 100_000), 0o600); err != nil {
			t.Fatal(err)
		}
		l := r.serve(welcome())
		st := r.open(l, wire.KindFiles, &wire.FsRequest{Alloc: fleet.UUID{3}, Verb: wire.FsRead, Path: "f"})
		if err := wire.Read(st, &wire.FsAnswer{}); err != nil {
			t.Fatal(err)
		}
		if n := len(pieces(t, st)); n != 100_000 {
			t.Errorf("%d bytes came", n)
		}
		if book := m.Book(); book.Link[traffic.Logs].Sent < 100_000 || book.Link[traffic.Exec].Total() > 0 {
			t.Errorf("counted %+v", book.Link)
		}
	})
}
