package session

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// serveOne answers the next stream that the server opens, in a goroutine that ends with the link. Once asked closes, question is the
// caller's to read; it closes too when nothing was asked, or who waits for it would not hear why.
func (d *device) serveOne(kind wire.Kind, question wire.Message, answer func(link.Stream)) (asked <-chan struct{}) {
	heard := make(chan struct{})
	told := sync.OnceFunc(func() { close(heard) })
	go func() {
		defer told()
		st, err := d.link.AcceptStream(context.Background())
		if err != nil {
			return
		}
		var h wire.Header
		if wire.Read(st, &h) == nil && wire.Read(st, question) == nil && h == (wire.Header{Kind: kind, Node: d.id}) {
			told()
			answer(st)
		}
	}()
	return heard
}

func TestFilesOfADevice(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	if _, _, err := r.Files(t.Context(), id, wire.FsRequest{Verb: wire.FsList}); !errors.Is(err, ErrNotConnected) {
		t.Fatalf("an absent device: %v", err)
	}
	d := r.node(t, id)
	d.register(wire.Register{})
	var asked wire.FsRequest
	heard := d.serveOne(wire.KindFiles, &asked, func(st link.Stream) {
		_ = wire.Write(st, &wire.FsAnswer{Offset: 3})
		_ = wire.Write(st, &wire.FsPiece{Data: []byte("one ")})
		_ = wire.Write(st, &wire.FsPiece{Data: []byte("two"), Event: wire.FsDeleted})
		_ = st.CloseWrite()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ask := wire.FsRequest{Alloc: fleet.UUID{3}, Verb: wire.FsRead, Path: "alloc/x", Offset: 3, Limit: 7}
	answer, next, err := r.Files(ctx, id, ask)
	<-heard
	if err != nil || answer.Offset != 3 || asked != ask {
		t.Fatalf("%+v, %v, asked %+v", answer, err, asked)
	}
	first, err1 := next()
	second, err2 := next()
	if err := errors.Join(err1, err2); err != nil || string(first.Data)+string(second.Data) != "one two" || second.Event != wire.FsDeleted {
		t.Errorf("%+v, %+v, %v", first, second, err)
	}
	if _, err := next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if book, ok := r.Traffic(id); !ok || book.Link[traffic.Logs].Total() == 0 {
		t.Errorf("files are not counted as logs: %+v", book.Link)
	}
}

// TestFilesEndWithTheirReader: who leaves in the middle of a file leaves nobody waiting, here or on the device.
func TestFilesEndWithTheirReader(t *testing.T) {
	r := newRegion(t)
	d := r.node(t, fleet.UUID{7})
	d.register(wire.Register{})
	ended := make(chan error, 1)
	d.serveOne(wire.KindFiles, &wire.FsRequest{}, func(st link.Stream) {
		_ = wire.Write(st, &wire.FsAnswer{})
		<-st.Context().Done()
		_, err := io.ReadAll(st)
		ended <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, next, err := r.Files(ctx, d.id, wire.FsRequest{Verb: wire.FsRead, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("here: %v", err)
	}
	if reset, ok := errors.AsType[*link.ResetError](within(t, "end on the device", ended)); !ok || reset.Code != link.CodeCanceled {
		t.Errorf("there: %v", reset)
	}
}

// TestFilesOfALiar: whatever a device answers, it fills no memory and is counted.
func TestFilesOfALiar(t *testing.T) {
	many := &wire.FsAnswer{Files: make([]fleet.FileInfo, wire.FsEntriesMax+1)}
	for _, tc := range []struct {
		name    string
		answer  func(link.Stream)
		want    string
		refused uint64
	}{
		{"another message", func(st link.Stream) { _ = wire.Write(st, &wire.LogAnswer{}) }, "want a frame of type", 1},
		{"a huge frame", func(st link.Stream) { _, _ = st.Write(binary.BigEndian.AppendUint32(nil, 3<<20)) }, "frame is too long", 1},
		{"more entries than there may be", func(st link.Stream) { _ = wire.Write(st, many) }, "at most 4096", 1},
		{"a piece larger than there may be", func(st link.Stream) {
			_ = wire.Write(st, &wire.FsAnswer{})
			_, _ = st.Write(binary.BigEndian.AppendUint32(nil, 1<<20))
		}, "frame is too long", 1},
		{"more bytes than were asked for", func(st link.Stream) {
			_ = wire.Write(st, &wire.FsAnswer{})
			_ = wire.Write(st, &wire.FsPiece{Data: []byte("12345")})
			_ = wire.Write(st, &wire.FsPiece{Data: []byte("678")})
		}, "more than the 7 bytes", 1},
		{"no answer and an end", func(st link.Stream) { _ = st.CloseWrite() }, "did not answer", 0},
		{"too much to do", func(st link.Stream) { st.Reset(link.CodeBusy) }, "as many streams", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			s.malicious.serveOne(wire.KindFiles, &wire.FsRequest{}, tc.answer)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, next, err := s.Files(ctx, s.malicious.id, wire.FsRequest{Verb: wire.FsRead, Limit: 7})
			for err == nil {
				_, err = next()
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			s.await(RefusedNonsense, tc.refused)
		})
	}
}
