package cli

import (
	"testing"

	"pgregory.net/rapid"
)

func TestEscape(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		left     bool
	}{
		{"ls\r", "ls\r", false},
		{"~.", "", true},
		{"ls\r~.more", "ls\r", true},
		{"ls\n~.", "ls\n", true},
		{"a~.b\r", "a~.b\r", false},
		{"~~.\r", "~.\r", false},
		{"~~~.", "~~.", false},
		{"~x\r", "~x\r", false},
		{"~\r~.", "~\r", true},
	} {
		e := escaping{char: '~', fresh: true}
		out, left := e.filter([]byte(tc.in))
		if string(out) != tc.want || left != tc.left {
			t.Errorf("%q: %q, left %v; want %q, %v", tc.in, out, left, tc.want, tc.left)
		}
		none := escaping{fresh: true}
		if out, left := none.filter([]byte(tc.in)); string(out) != tc.in || left {
			t.Errorf("%q without an escape: %q, left %v", tc.in, out, left)
		}
	}
}

// TestEscapeByPieces: how the input is cut into reads changes nothing.
func TestEscapeByPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.SampledFrom([]byte("~.a\r")), 0, 12).Draw(t, "in")
		whole := escaping{char: '~', fresh: true}
		want, wantLeft := whole.filter(in)
		pieces := escaping{char: '~', fresh: true}
		var got []byte
		left := false
		for rest := in; len(rest) > 0 && !left; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			var out []byte
			out, left = pieces.filter(rest[:n])
			got, rest = append(got, out...), rest[n:]
		}
		if string(got) != string(want) || left != wantLeft {
			t.Fatalf("%q: %q, %v in pieces; %q, %v whole", in, got, left, want, wantLeft)
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"main.stdout.0": "main.stdout.0", "mit Leerzeichen": "mit Leerzeichen", "größe": "größe",
		"\x1b]0;evil\a": `"\x1b]0;evil\a"`, "two\nlines": `"two\nlines"`, "\xff": `"\xff"`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is printed %s, want %s", in, got, want)
		}
	}
}
