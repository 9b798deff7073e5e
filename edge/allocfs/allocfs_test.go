//go:build unix

package allocfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// folder is an allocation's folder with what tasks may put into it, and a file beside it that nobody may see.
func folder(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	dir := filepath.Join(top, "alloc-1")
	for _, d := range []string{"alloc/logs", "alloc/data", "main/local", "main/secrets", "main/private"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"../outside": "nobody's business", "alloc/logs/main.stdout.0": "one\ntwo\nthree\n", "main/local/page.html": "<html><body>",
		"main/secrets/token": "secret", "main/private/key": "secret", "alloc/data/secrets": "a file of this name is none",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"main/local/out": "../../../outside", "main/local/abs": filepath.Join(top, "outside"), "main/local/in": "../../alloc/data",
		"main/local/absin": filepath.Join(dir, "alloc/logs"), "main/local/sneak": "../secrets/token", "main/local/loop": "loop",
		"main/local/updir": "../..", "main/local/etc": "/etc",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "main/local/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func opened(t *testing.T, dir string) *FS {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// all reads a file to its end.
func all(f *FS, name string, want Range) (string, int64, error) {
	r, err := f.Read(name, want)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	at := r.Offset()
	var text strings.Builder
	err = r.Each(context.Background(), func(p []byte, _ Event) error {
		text.Write(p)
		return nil
	})
	return text.String(), at, err
}

func TestPaths(t *testing.T) {
	f := opened(t, folder(t))
	for _, tc := range []struct {
		path string
		want string // what is read; with kind: words of the error
		kind error
	}{
		{"alloc/logs/main.stdout.0", "one\ntwo\nthree\n", nil},
		{"/alloc/logs/main.stdout.0", "one\ntwo\nthree\n", nil},
		{"alloc//logs/../logs/./main.stdout.0", "one\ntwo\nthree\n", nil},
		{"main/local/in/secrets", "a file of this name is none", nil},
		{"main/local/absin/main.stdout.0", "one\ntwo\nthree\n", nil},
		{"main/local/updir/alloc/logs/main.stdout.0", "one\ntwo\nthree\n", nil},
		{"../outside", "leads out of the allocation's folder", ErrForbidden},
		{"alloc/../../outside", "leads out of the allocation's folder", ErrForbidden},
		{"/../outside", "leads out of the allocation's folder", ErrForbidden},
		{"main/local/out", "leads out of the allocation's folder", ErrForbidden},
		{"main/local/abs", "outside of the allocation's folder", ErrForbidden},
		{"main/local/etc/passwd", "main/local/etc leads to /etc", ErrForbidden},
		{"main/local/updir/../outside", "there is no", ErrNotFound}, // as typed: dots go before links
		{"main/local/loop", "more than 40 symbolic links", ErrForbidden},
		{"main/secrets/token", "secrets", ErrForbidden},
		{"main/private/key", "secrets", ErrForbidden},
		{"main/local/sneak", "secrets", ErrForbidden},
		{"main/local/pipe", "not a regular file", ErrMisplaced},
		{"main/local", "is a folder", ErrMisplaced},
		{"", "is a folder", ErrMisplaced},
		{"main/local/none", "there is no main/local/none", ErrNotFound},
		{"alloc/logs/main.stdout.0/x", "there is no", ErrNotFound},
		{"main/\x00", "zero byte", ErrForbidden},
	} {
		got, _, err := all(f, tc.path, Range{})
		if tc.kind == nil && (err != nil || got != tc.want) {
			t.Errorf("%q: read %q, %v; want %q", tc.path, got, err, tc.want)
		}
		if tc.kind != nil && (!errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), f.dir)) {
			t.Errorf("%q: read %q, %v; want %q", tc.path, got, err, tc.want)
		}
	}
}

func TestListAndStat(t *testing.T) {
	f := opened(t, folder(t))
	files, more, err := f.List("/", 10)
	if err != nil || more || len(files) != 2 || files[0].Name != "alloc" || !files[1].IsDir || files[1].FileMode != "drwxr-xr-x" {
		t.Errorf("top: %+v, %v, %v", files, more, err)
	}
	if files, more, err := f.List("main/local", 3); err != nil || !more || len(files) != 3 {
		t.Errorf("a cut list has %d files, more %v, %v", len(files), more, err)
	}
	if files, more, err := f.List("main/local", 10); err != nil || more || len(files) != 10 || files[9].Name != "updir" {
		t.Errorf("a full list has %d files, more %v, %v", len(files), more, err)
	}
	for _, path := range []string{"main/secrets", "main/local/updir/main/private"} {
		if _, _, err := f.List(path, 10); !errors.Is(err, ErrForbidden) {
			t.Errorf("list %s: %v", path, err)
		}
	}
	if _, _, err := f.List("alloc/logs/main.stdout.0", 10); !errors.Is(err, ErrMisplaced) {
		t.Errorf("the list of a file: %v", err)
	}
	info, err := f.Stat("main/local/page.html")
	if err != nil || info.Name != "page.html" || info.Size != 12 || info.FileMode != "-rw-r-----" || info.ContentType != "text/html; charset=utf-8" || time.Since(info.ModTime) > time.Hour {
		t.Errorf("stat: %+v, %v", info, err)
	}
	if info, err := f.Stat("main/local/pipe"); err != nil || info.FileMode != "prw-------" || info.ContentType != "" {
		t.Errorf("stat of a pipe: %+v, %v", info, err)
	}
	if info, err := f.Stat(""); err != nil || info.Name != "/" || !info.IsDir {
		t.Errorf("stat of the top: %+v, %v", info, err)
	}
}

// TestKept: of an allocation that is gone its logs are where they were, and nothing else is.
func TestKept(t *testing.T) {
	f, err := OpenKept(filepath.Join(folder(t), "alloc", "logs"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for path, want := range map[string]string{"": "alloc", "alloc": "logs", "/alloc/logs": "main.stdout.0"} {
		if files, _, err := f.List(path, 10); err != nil || len(files) != 1 || files[0].Name != want {
			t.Errorf("list %q: %+v, %v", path, files, err)
		}
		if info, err := f.Stat(path); err != nil || !info.IsDir {
			t.Errorf("stat %q: %+v, %v", path, info, err)
		}
	}
	if got, _, err := all(f, "alloc/logs/main.stdout.0", Range{}); err != nil || got != "one\ntwo\nthree\n" {
		t.Errorf("read %q, %v", got, err)
	}
	if _, _, err := all(f, "main/local/page.html", Range{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "only alloc/logs is kept") {
		t.Errorf("what is gone: %v", err)
	}
	if _, err := f.Read("alloc", Range{}); !errors.Is(err, ErrMisplaced) {
		t.Errorf("read a folder: %v", err)
	}
}

func TestRanges(t *testing.T) {
	f := opened(t, folder(t))
	for _, tc := range []struct {
		want Range
		text string
		at   int64
	}{
		{Range{Offset: 4}, "two\nthree\n", 4},
		{Range{Offset: 4, Limit: 3}, "two", 4},
		{Range{Offset: 99}, "", 14},
		{Range{FromEnd: true, Offset: 6}, "three\n", 8},
		{Range{FromEnd: true, Offset: 99}, "one\ntwo\nthree\n", 0},
		{Range{TailLines: 1}, "three\n", 8},
		{Range{TailLines: 2}, "two\nthree\n", 4},
		{Range{TailLines: 3}, "one\ntwo\nthree\n", 0},
		{Range{TailLines: 9}, "one\ntwo\nthree\n", 0},
	} {
		got, at, err := all(f, "alloc/logs/main.stdout.0", tc.want)
		if err != nil || got != tc.text || at != tc.at {
			t.Errorf("%+v: %q from %d, %v; want %q from %d", tc.want, got, at, err, tc.text, tc.at)
		}
	}
}

// TestTailLines compares with splitting the whole file.
func TestTailLines(t *testing.T) {
	dir := t.TempDir()
	f := opened(t, dir)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.IntRange(0, 30_000), 0, 12).Draw(t, "lengths")
		var text strings.Builder
		for _, n := range lines {
			text.WriteString(strings.Repeat("x", n) + "\n")
		}
		text.WriteString(strings.Repeat("y", rapid.IntRange(0, 3).Draw(t, "last")))
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 14).Draw(t, "n")
		split := slices.Collect(strings.SplitAfterSeq(text.String(), "\n"))
		if split[len(split)-1] == "" {
			split = split[:len(split)-1]
		}
		want := strings.Join(split[max(0, len(split)-n):], "")
		if got, _, err := all(f, "f", Range{TailLines: n}); err != nil || got != want {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want))
		}
	})
}

// TestFollow: a followed file grows, is cut, is replaced, and goes.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		name := filepath.Join(dir, "f")
		put := func(flag int, text string) {
			t.Helper()
			file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o600)
			if err == nil {
				_, err = file.WriteString(text)
				err = errors.Join(err, file.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		put(0, "one ")
		f := opened(t, dir)
		r, err := f.Read("f", Range{Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var mu sync.Mutex
		var seen strings.Builder
		ended := make(chan error, 1)
		go func() {
			ended <- r.Each(t.Context(), func(p []byte, what Event) error {
				mu.Lock()
				defer mu.Unlock()
				if what != Grew {
					fmt.Fprintf(&seen, "[%d]", what)
				}
				seen.Write(p)
				return nil
			})
		}()
		step := func(want string) {
			t.Helper()
			time.Sleep(2*FollowPoll + time.Millisecond) // between two polls
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if seen.String() != want {
				t.Fatalf("saw %q, want %q", seen.String(), want)
			}
		}
		step("one ")
		put(os.O_APPEND, "two ")
		step("one two ")
		put(os.O_TRUNC, "new ")
		step("one two [1]new ")
		if err := os.Rename(name, name+".old"); err != nil {
			t.Fatal(err)
		}
		put(0, "a longer other ")
		step("one two [1]new [1]a longer other ")
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		step("one two [1]new [1]a longer other [2]")
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestFollowEndsWithItsContext: nobody is left waiting at the end of a quiet file.
func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := opened(t, folder(t))
		r, err := f.Read("alloc/logs/main.stdout.0", Range{FromEnd: true, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.Each(ctx, func([]byte, Event) error { return errors.New("there is nothing to pass") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestNoFolder(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNotFound) {
		t.Errorf("open: %v", err)
	}
}
