package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
)

// A list that is written row by row has the bytes of one that is encoded as a whole.
func TestRowsAreWrittenAsAWholeListIs(t *testing.T) {
	type row struct {
		Name string
		In   map[string]int `json:",omitempty"`
	}
	view := func(_ *state.View, name string) row {
		r := row{Name: name + "<&>"}
		if name != "" {
			r.In = map[string]int{"a": 1}
		}
		return r
	}
	for _, rows := range [][]string{nil, {"x"}, {"x", "", "z"}} {
		all := []row{}
		for i := len(rows) - 1; i >= 0; i-- {
			all = append(all, view(nil, rows[i]))
		}
		for _, pretty := range []bool{false, true} {
			want, err := json.Marshal(all)
			if pretty {
				want, err = json.MarshalIndent(all, "", "    ")
			}
			var got bytes.Buffer
			if err := errors.Join(err, writeRows(&got, nil, rows, view, pretty)); err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want)+"\n" {
				t.Errorf("%q, pretty: %t: got %q, want %q", rows, pretty, got.String(), want)
			}
		}
	}
}

// A reader that has gone ends the writing, and does not let thousands of rows be encoded for nobody.
func TestRowsForNobody(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close() // never fails
	seen := 0
	rows := make([]int, 1_000_000)
	if err := writeRows(w, nil, rows, func(*state.View, int) int { seen++; return 123456 }, false); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("it ended with %v", err)
	}
	if seen > RowsBufferBytes {
		t.Errorf("%d rows were encoded", seen)
	}
}
