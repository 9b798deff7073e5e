package session

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

func TestExecOnADevice(t *testing.T) {
	r := newRegion(t)
	id := fleet.UUID{7}
	if _, _, err := r.Exec(t.Context(), id, wire.ExecRequest{}); !errors.Is(err, ErrNotConnected) {
		t.Fatalf("an absent device: %v", err)
	}
	d := r.node(t, id)
	d.register(wire.Register{})
	d.serveOne(wire.KindExec, &wire.ExecRequest{}, func(st link.Stream) { _ = wire.Write(st, &wire.ExecAnswer{Error: "a guest has no shell"}) })
	if _, _, err := r.Exec(t.Context(), id, wire.ExecRequest{}); err == nil || err.Error() != "a guest has no shell" {
		t.Errorf("a refusal: %v", err)
	}
	var asked wire.ExecRequest
	heard := d.serveOne(wire.KindExec, &asked, func(st link.Stream) {
		_ = wire.Write(st, &wire.ExecAnswer{})
		var in wire.ExecInput
		if wire.Read(st, &in) == nil {
			_ = wire.Write(st, &wire.ExecOutput{Stream: wire.ExecStderr, Data: in.Data})
			_ = wire.Write(st, &wire.ExecOutput{Stream: wire.ExecEnd, Code: 3})
			_ = st.CloseWrite()
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	give, take, err := r.Exec(ctx, id, wire.ExecRequest{Task: "main", Argv: []string{"sh"}, Terminal: true})
	<-heard
	if err != nil || asked.Task != "main" || !asked.Terminal {
		t.Fatalf("%v, asked %+v", err, asked)
	}
	if err := give(&wire.ExecInput{Data: []byte("typed")}); err != nil {
		t.Fatal(err)
	}
	said, err1 := take()
	end, err2 := take()
	if err := errors.Join(err1, err2); err != nil || said.Stream != wire.ExecStderr || string(said.Data) != "typed" || end.Stream != wire.ExecEnd || end.Code != 3 {
		t.Errorf("%+v, %+v, %v", said, end, err)
	}
	if book, ok := r.Traffic(id); !ok || book.Link[traffic.Exec].Sent == 0 || book.Link[traffic.Exec].Received == 0 {
		t.Errorf("commands are not counted: %+v", book.Link)
	}
}

// TestExecEndsWithItsOperator: the device learns at once that nobody is there any more.
func TestExecEndsWithItsOperator(t *testing.T) {
	r := newRegion(t)
	d := r.node(t, fleet.UUID{7})
	d.register(wire.Register{})
	ended := make(chan error, 1)
	d.serveOne(wire.KindExec, &wire.ExecRequest{}, func(st link.Stream) {
		_ = wire.Write(st, &wire.ExecAnswer{})
		_, err := io.ReadAll(st)
		ended <- err
	})
	ctx, cancel := context.WithCancel(t.Context())
	_, take, err := r.Exec(ctx, d.id, wire.ExecRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := take(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("here: %v", err)
	}
	if reset, ok := errors.AsType[*link.ResetError](within(t, "end on the device", ended)); !ok || reset.Code != link.CodeCanceled {
		t.Errorf("there: %v", reset)
	}
}

// TestExecOnALiar: whatever a device answers, it fills no memory and is counted.
func TestExecOnALiar(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  func(link.Stream)
		want    string
		refused uint64
	}{
		{"another message", func(st link.Stream) { _ = wire.Write(st, &wire.FsAnswer{}) }, "want a frame of type", 1},
		{"a huge answer", func(st link.Stream) { _, _ = st.Write(binary.BigEndian.AppendUint32(nil, 1<<20)) }, "frame is too long", 1},
		{"huge output", func(st link.Stream) {
			_ = wire.Write(st, &wire.ExecAnswer{})
			_, _ = st.Write(binary.BigEndian.AppendUint32(nil, 1<<20))
		}, "frame is too long", 1},
		{"an unknown stream", func(st link.Stream) {
			_ = wire.Write(st, &wire.ExecAnswer{})
			_ = wire.Write(st, &wire.ExecOutput{Stream: 9})
		}, "unknown stream", 1},
		{"no end", func(st link.Stream) {
			_ = wire.Write(st, &wire.ExecAnswer{})
			_ = st.CloseWrite()
		}, "EOF", 0},
		{"too much to do", func(st link.Stream) { st.Reset(link.CodeBusy) }, "as many streams", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			s.malicious.serveOne(wire.KindExec, &wire.ExecRequest{}, tc.answer)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, take, err := s.Exec(ctx, s.malicious.id, wire.ExecRequest{})
			for err == nil {
				_, err = take()
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			s.await(RefusedNonsense, tc.refused)
		})
	}
}
