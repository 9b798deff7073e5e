package session

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestWrittenOfADevice(t *testing.T) { synctest.Test(t, testWritten) }

func testWritten(t *testing.T) {
	r := inBubble(t)
	id := fleet.UUID{7}
	if _, err := r.Written(t.Context(), id); !errors.Is(err, ErrNotConnected) {
		t.Fatalf("an absent device: %v", err)
	}
	d := r.node(t, id)
	d.register(wire.Register{})
	for _, c := range []struct {
		answer wire.WrittenAnswer
		want   string // in the error; empty: none
	}{
		{wire.WrittenAnswer{JSON: []byte(`{"Total":{"State":7}}`)}, ""},
		{wire.WrittenAnswer{Error: "no disk"}, "no disk"},
		{wire.WrittenAnswer{JSON: []byte(`{"Total":`)}, "cannot be read"},
	} {
		go func() {
			st, err := d.link.AcceptStream(context.Background())
			if err != nil {
				return
			}
			var h wire.Header
			if wire.Read(st, &h) == nil && h.Kind == wire.KindWritten {
				_ = wire.Write(st, &c.answer)
				_ = st.CloseWrite()
			}
		}()
		w, err := r.Written(t.Context(), id)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		} else if err != nil || w.Total.State != 7 {
			t.Errorf("got %+v, %v", w, err)
		}
	}
}
