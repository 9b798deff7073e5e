package tasklog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/drivers/tasklog"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("DUNLIN_TEST_LOG_DIR"); dir != "" {
		os.Exit(writeFromStdin(dir))
	}
	goleak.VerifyTestMain(m)
}

func newWriter(t rapid.TB, dir string, files int, fileBytes int64) *tasklog.Writer {
	return newPacker(t, dir, files, fileBytes, 0)
}

func newPacker(t rapid.TB, dir string, files int, fileBytes, packFrom int64) *tasklog.Writer {
	w, err := tasklog.NewWriter(tasklog.Options{
		Dir: dir, Task: "web", Stream: tasklog.Stdout, MaxFiles: files, MaxFileBytes: fileBytes, PackFrom: packFrom,
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return w
}

func write(t rapid.TB, w *tasklog.Writer, p string) {
	if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(p), err)
	}
}

// unpacked reads a packed file as any program would that knows zstd.
func unpacked(t rapid.TB, b []byte) []byte {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer d.Close()
	out, err := d.DecodeAll(b, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

// kept reads the files one by one, in the order of their numbers.
func kept(t rapid.TB, dir string) (files []string) {
	names, err := filepath.Glob(filepath.Join(dir, "web.stdout.*"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	number := func(name string) (n int) { fmt.Sscan(filepath.Ext(strings.TrimSuffix(name, ".zst"))[1:], &n); return n }
	slices.SortFunc(names, func(a, b string) int { return number(a) - number(b) })
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if i > 0 && number(name) != number(names[i-1])+1 {
			t.Fatalf("a gap in %q", names)
		}
		if strings.HasSuffix(name, ".zst") {
			b = unpacked(t, b)
		}
		files = append(files, string(b))
	}
	return files
}

func readAll(t rapid.TB, dir string, o tasklog.ReadOptions) string {
	r, err := tasklog.Open(context.Background(), dir, "web", tasklog.Stdout, o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(b)
}

// naiveTail does to a string what Tail does to files.
func naiveTail(s string, lines int, maxBytes int) string {
	all := strings.SplitAfter(s, "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	var out string
	for i := len(all) - 1; i >= 0 && (lines == 0 || len(all)-i <= lines); i-- {
		if len(out)+len(all[i]) > maxBytes {
			if out == "" {
				out = all[i][len(all[i])-maxBytes:]
			}
			break
		}
		out = all[i] + out
	}
	return out
}

// Whatever is written in whatever pieces, over restarts of the writer: what is kept is the end of what was written, within
// the limits, and every way of reading agrees with the plain text.
func TestAgainstPlainText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "tasklog")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		maxFiles := rapid.IntRange(1, 4).Draw(t, "files")
		maxBytes := rapid.IntRange(1, 40).Draw(t, "bytes")
		wholeLines := rapid.Bool().Draw(t, "whole lines")
		packFrom := int64(rapid.IntRange(0, 30).Draw(t, "pack from"))
		w := newPacker(t, dir, maxFiles, int64(maxBytes), packFrom)
		var all string
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				w = newPacker(t, dir, maxFiles, int64(maxBytes), packFrom)
			}
			p := rapid.StringMatching(`[a-c\n]{0,60}`).Draw(t, "p")
			if wholeLines {
				p = rapid.StringMatching(`([a-c]{0,15}\n){0,6}`).Draw(t, "lines")
			}
			write(t, w, p)
			all += p
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files := kept(t, dir)
		text := strings.Join(files, "")
		if !strings.HasSuffix(all, text) || len(files) > maxFiles {
			t.Fatalf("kept %q (%d files) of %q", text, len(files), all)
		}
		if len(files) < max(maxFiles-1, 1) && text != all {
			t.Fatalf("%d files are kept, %d would be allowed, yet something was dropped", len(files), maxFiles)
		}
		for i, f := range files {
			if len(f) > maxBytes {
				t.Fatalf("file %q is longer than %d", f, maxBytes)
			}
			if wholeLines && maxBytes >= 16 && !strings.HasSuffix(f, "\n") {
				t.Fatalf("file %d (%q) ends within a line", i, f)
			}
		}
		checkReads(t, dir, text)
	})
}

func checkReads(t *rapid.T, dir, text string) {
	if got := readAll(t, dir, tasklog.ReadOptions{}); got != text {
		t.Fatalf("read %q, want %q", got, text)
	}
	offset := rapid.IntRange(0, 200).Draw(t, "offset")
	if got, want := readAll(t, dir, tasklog.ReadOptions{Offset: int64(offset)}), text[min(offset, len(text)):]; got != want {
		t.Fatalf("from %d: %q, want %q", offset, got, want)
	}
	if got, want := readAll(t, dir, tasklog.ReadOptions{Offset: int64(offset), FromEnd: true}), text[max(len(text)-offset, 0):]; got != want {
		t.Fatalf("from %d before the end: %q, want %q", offset, got, want)
	}
	lines, bytes := rapid.IntRange(1, 9).Draw(t, "lines"), rapid.IntRange(1, 80).Draw(t, "tail bytes")
	if got, want := readAll(t, dir, tasklog.ReadOptions{TailLines: lines}), naiveTail(text, lines, tasklog.TailBytesMax); got != want {
		t.Fatalf("last %d lines: %q, want %q", lines, got, want)
	}
	for _, l := range []int{0, lines} {
		got, err := tasklog.Tail(dir, "web", tasklog.Stdout, l, int64(bytes))
		if want := naiveTail(text, l, bytes); err != nil || string(got) != want {
			t.Fatalf("tail of %d lines, %d bytes: %q, %v, want %q of %q", l, bytes, got, err, want, text)
		}
	}
}

func TestTailOverManyBlocks(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, 5, 30_000)
	var all strings.Builder
	for i := range 12_000 {
		line := fmt.Sprintf("line number %d\n", i)
		all.WriteString(line)
		write(t, w, line)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(kept(t, dir), "")
	for _, c := range [][2]int{{1, 0}, {2000, 0}, {0, 70_000}, {100_000, 0}, {3000, 20_000}} {
		maxBytes := c[1]
		if maxBytes == 0 {
			maxBytes = tasklog.TailBytesMax
		}
		got, err := tasklog.Tail(dir, "web", tasklog.Stdout, c[0], int64(c[1]))
		if want := naiveTail(text, c[0], maxBytes); err != nil || string(got) != want {
			t.Errorf("%v: %d bytes, %v, want %d", c, len(got), err, len(want))
		}
	}
}

func TestFollowAcrossRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newPacker(t, dir, 3, 64, 1)
		done := make(chan struct{})
		r, err := tasklog.Open(t.Context(), dir, "web", tasklog.Stdout, tasklog.ReadOptions{Follow: true, Done: done})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var got bytes.Buffer
		ended := make(chan error)
		go func() {
			_, err := io.Copy(&got, r)
			ended <- err
		}()
		var want strings.Builder
		for i := range 50 {
			line := fmt.Sprintf("line %d of fifty\n", i)
			want.WriteString(line)
			write(t, w, line)
			if i%3 == 0 {
				time.Sleep(tasklog.FollowInterval + time.Millisecond)
				synctest.Wait()
				if got.String() != want.String() {
					t.Fatalf("after line %d: %q", i, got.String())
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		close(done)
		if err := <-ended; err != nil || got.String() != want.String() {
			t.Errorf("ended with %v after %d of %d bytes", err, got.Len(), want.Len())
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("the end was noticed after %s", waited)
		}
	})
}

func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := tasklog.Open(ctx, t.TempDir(), "web", tasklog.Stderr, tasklog.ReadOptions{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n, err := r.Read(make([]byte, 9)); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// A reader that was left behind finishes the file it has open, then goes on with the oldest there is.
func TestSlowReader(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(t, dir, 2, 8)
	defer w.Close()
	write(t, w, "aaaaaaa\n")
	r, err := tasklog.Open(t.Context(), dir, "web", tasklog.Stdout, tasklog.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := make([]byte, 3)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	if file, at := r.Position(); file != "web.stdout.0" || at != 3 {
		t.Errorf("position %s, %d", file, at)
	}
	for _, c := range "bcde" {
		write(t, w, strings.Repeat(string(c), 7)+"\n")
	}
	rest, err := io.ReadAll(r)
	if got := string(first) + string(rest); err != nil || got != "aaaaaaa\nddddddd\neeeeeee\n" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestFullDiskDropsAndSaysSo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	w := newWriter(t, dir, 2, 1000)
	if err := os.Remove(dir); err != nil { // stands for any refusal of the disk, and works for root too
		t.Fatal(err)
	}
	write(t, w, "lost line\n")
	write(t, w, "and another\n")
	if n, cause := w.Dropped(); n != 22 || !errors.Is(cause, fs.ErrNotExist) {
		t.Errorf("dropped %d: %v", n, cause)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, w, "fits again\n")
	write(t, w, "and goes on\n")
	want := "[dunlin: 22 bytes of output were dropped here: no such file or directory]\nfits again\nand goes on\n"
	if got := readAll(t, dir, tasklog.ReadOptions{}); got != want {
		t.Errorf("log is %q", got)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "22 bytes of output were dropped") {
		t.Errorf("close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestStreamsAndTasksDoNotMix(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"web.stderr.0", "web.stdout.stdout.0", "webx.stdout.0", "web.stdout.01", "web.stdout.x", "web.stdout."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("other\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := newWriter(t, dir, 1, 4)
	write(t, w, "a\nb\nc\nd\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, dir, tasklog.ReadOptions{}); got != "c\nd\n" {
		t.Errorf("read %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 7 {
		t.Errorf("files %q", left)
	}
}

func TestRefusals(t *testing.T) {
	for _, o := range []tasklog.Options{{Task: "../x", Stream: "stdout"}, {Task: "", Stream: "stdout"}, {Task: "x", Stream: "stdin"},
		{Task: "x", Stream: "stdout", MaxFiles: -1}} {
		o.Dir = t.TempDir()
		if _, err := tasklog.NewWriter(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	if _, err := tasklog.Tail(filepath.Join(t.TempDir(), "none"), "web", "stdout", 1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("tail of nothing: %v", err)
	}
	if _, err := tasklog.Open(t.Context(), t.TempDir(), "web", "stdout", tasklog.ReadOptions{Offset: -1}); err == nil {
		t.Error("a negative offset is accepted")
	}
}

// writeFromStdin is the writer of the test below, in a process of its own.
func writeFromStdin(dir string) int {
	w, err := tasklog.NewWriter(tasklog.Options{Dir: dir, Task: "web", Stream: tasklog.Stdout, MaxFiles: 100, MaxFileBytes: 5000})
	if err == nil {
		_, err = io.Copy(w, os.Stdin)
	}
	if err != nil || w.Close() != nil {
		return 1
	}
	return 0
}

func TestWriterInAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), "DUNLIN_TEST_LOG_DIR="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	r, err := tasklog.Open(t.Context(), dir, "web", tasklog.Stdout, tasklog.ReadOptions{Follow: true, Done: done})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var want strings.Builder
	go func() {
		defer close(done)
		for i := range 5000 {
			line := fmt.Sprintf("line %d\n", i)
			want.WriteString(line)
			io.WriteString(stdin, line)
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	got, err := io.ReadAll(r)
	if err != nil || string(got) != want.String() {
		t.Errorf("%v; read %d bytes, want %d", err, len(got), want.Len())
	}
}

func BenchmarkWrite(b *testing.B) {
	w := newWriter(b, b.TempDir(), 4, 2<<20)
	defer w.Close()
	line := []byte(strings.Repeat("x", 99) + "\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := w.Write(line); err != nil {
			b.Fatal(err)
		}
	}
}
