package tasklog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func packedText(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "web.stdout.0")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pack(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d of a log that says the same again and again\n", i)
	}
	return b.String()
}

// Any place of a packed file of several frames reads as the plain one did, and it is much smaller.
func TestPackedReadsAsPlain(t *testing.T) {
	text := lines(10_000)
	path := packedText(t, text)
	if exists(path) || !exists(path+packSuffix) {
		t.Fatal("the plain file is there, or the packed one is not")
	}
	info, err := os.Stat(path + packSuffix)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > int64(len(text)/5) {
		t.Errorf("%d bytes were packed into %d", len(text), info.Size())
	}
	p, err := openPacked(path + packSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.size() != int64(len(text)) {
		t.Fatalf("its size is %d, want %d", p.size(), len(text))
	}
	for at := 0; at < len(text); at += PackChunkBytes/2 - 7 {
		got := make([]byte, 1000)
		n, err := p.ReadAt(got, int64(at))
		if want := text[at:min(at+1000, len(text))]; string(got[:n]) != want || n < 1000 && err != io.EOF {
			t.Fatalf("at %d: %d bytes, %v", at, n, err)
		}
	}
}

// A file that is damaged hides no more than itself.
func TestDamagedPackedFile(t *testing.T) {
	dir := t.TempDir()
	s, err := newStream(dir, "web", Stdout)
	if err != nil {
		t.Fatal(err)
	}
	for n, text := range []string{lines(5000), lines(10)} {
		if err := os.WriteFile(s.path(n), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pack(s.path(0)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(s.path(0) + packSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{
		"cut short": whole[:len(whole)/2], "empty": {}, "noise in a frame": append(append(bytes.Clone(whole[:100]), 1, 2, 3, 4), whole[104:]...),
	} {
		if err := os.WriteFile(s.path(0)+packSuffix, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(t.Context(), dir, "web", Stdout, ReadOptions{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !strings.HasSuffix(string(got), lines(10)) {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
		if what == "noise in a frame" && (!strings.Contains(string(got), "are damaged]") || len(got) != len(lines(5000))+len(lines(10))) {
			t.Errorf("%s: %d bytes and no word of it", what, len(got))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A crash between the packed file's name and the plain one's end leaves both; the plain one counts, and the next rotation packs it.
func TestBothForms(t *testing.T) {
	dir := t.TempDir()
	var written atomic.Int64
	w, err := NewWriter(Options{Dir: dir, Task: "web", Stream: Stdout, MaxFiles: 4, MaxFileBytes: 20 << 10, PackFrom: PackBytesMin, Written: &written})
	if err != nil {
		t.Fatal(err)
	}
	text := lines(1000)
	for line := range strings.Lines(text) {
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if w.n == 1 && exists(w.stream.path(0)+packSuffix) && !exists(w.stream.path(0)) {
			if err := os.WriteFile(w.stream.path(0), []byte(text[:20<<10]), 0o600); err != nil { // longer by a piece of a line
				t.Fatal(err)
			}
			if files, err := w.stream.list(); err != nil || files[0].packed || files[0].size != 20<<10 {
				t.Fatalf("%+v, %v", files, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := w.stream.list()
	if err != nil || len(files) != 3 || !files[0].packed || !files[1].packed || files[2].packed {
		t.Fatalf("%+v, %v", files, err)
	}
	if n := written.Load(); n <= int64(len(text)) || n > int64(len(text))*2 {
		t.Errorf("%d bytes of text: counted %d", len(text), n)
	}
}

// FuzzSeekTable: no file makes reading fail in other ways than in words, nor allocate beyond its size.
func FuzzSeekTable(f *testing.F) {
	whole, err := os.ReadFile(packedText(f, lines(4000)) + packSuffix)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(seekTable(nil, 0))
	f.Add(seekTable(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0), 1<<31), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := openPacked(path)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if n, err := io.Copy(io.Discard, io.NewSectionReader(p, 0, min(p.size(), 4<<20))); err != nil || n != min(p.size(), 4<<20) {
			t.Fatalf("read %d of %d: %v", n, p.size(), err)
		}
	})
}
