package blob

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Store, content string) Digest {
	t.Helper()
	d, n, err := s.Put(strings.NewReader(content), "")
	if err != nil || n != int64(len(content)) || d != DigestBytes([]byte(content)) {
		t.Fatalf("put %q: %s, %d, %v", content, d, n, err)
	}
	return d
}

func read(t *testing.T, s *Store, d Digest) string {
	t.Helper()
	r, size, err := s.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || int64(len(got)) != size {
		t.Fatalf("read %d of %d bytes: %v", len(got), size, err)
	}
	return string(got)
}

func TestPutAndOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for _, content := range []string{"", "hello", strings.Repeat("long ", 100_000)} {
		if got := read(t, s, put(t, s, content)); got != content {
			t.Errorf("read %d bytes; want %d", len(got), len(content))
		}
		put(t, s, content) // again: no error, kept once
	}
	if n := len(s.List()); n != 3 {
		t.Errorf("%d blobs; want 3", n)
	}
	d := DigestBytes([]byte("hello"))
	if want := filepath.Join(dir, "sha256", d.Hex()[:2], d.Hex()); s.Path(d) != want {
		t.Errorf("path %s; want %s", s.Path(d), want)
	}
	info, err := os.Stat(s.Path(d))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v; want a private file", info.Mode(), err)
	}
	if _, _, err := s.Open(DigestBytes([]byte("missing"))); !is[*NotFoundError](err) {
		t.Errorf("a missing blob: %v", err)
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestWrongContentIsRefused(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	want := DigestBytes([]byte("right"))
	_, _, err := s.Put(strings.NewReader("wrong"), want)
	if !is[*MismatchError](err) || !strings.Contains(err.Error(), want.Hex()) {
		t.Errorf("put: %v", err)
	}
	p, err := s.Begin(want, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("wrong")); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); !is[*MismatchError](err) {
		t.Errorf("commit: %v", err)
	}
	if s.Has(want) || s.Used() != 0 {
		t.Errorf("wrong content is kept: %d bytes", s.Used())
	}
	if _, err := os.Stat(s.partialPath(want)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the wrong partial file: %v", err)
	}
	broken := io.MultiReader(strings.NewReader("begin"), failing{})
	if _, _, err := s.Put(broken, ""); !errors.Is(err, errBroken) {
		t.Errorf("put from a broken reader: %v", err)
	}
	if left, err := os.ReadDir(s.tmpDir()); err != nil || len(left) != 0 || s.Used() != 0 {
		t.Errorf("left behind: %v, %d bytes, %v", left, s.Used(), err)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestResume(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("0123456789", 1000)
	d := DigestBytes([]byte(content))
	s := open(t, dir, Options{MaxBytes: 20_000})
	for at := 0; at < len(content); at += 2500 {
		p, err := s.Begin(d, int64(len(content)))
		if err != nil || p.Offset() != int64(at) {
			t.Fatalf("begin: offset %d, %v; want %d", p.Offset(), err, at)
		}
		if _, err := s.Begin(d, int64(len(content))); !errors.Is(err, ErrBusy) {
			t.Errorf("a second writer: %v", err)
		}
		if _, err := io.WriteString(p, content[at:at+2500]); err != nil {
			t.Fatal(err)
		}
		switch at {
		case 0: // a crash: nothing is closed
			s = open(t, dir, Options{MaxBytes: 20_000})
		case 2500:
			if err := p.Commit(); !is[*SizeError](err) {
				t.Errorf("a short commit: %v", err)
			}
		case 5000:
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		default:
			if _, err := p.Write([]byte("x")); !is[*SizeError](err) {
				t.Errorf("more than announced: %v", err)
			}
			if err := p.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if read(t, s, d) != content || s.Used() != int64(len(content)) {
		t.Errorf("the resumed blob differs, or %d bytes are in use", s.Used())
	}
	if _, err := s.Begin(d, 5); !errors.Is(err, fs.ErrExist) {
		t.Errorf("begin of a stored blob: %v", err)
	}
}

func TestABadTailAfterAPowerCutIsFound(t *testing.T) {
	dir := t.TempDir()
	content := []byte("what was sent")
	d := DigestBytes(content)
	s := open(t, dir, Options{})
	// Some file systems keep the length and lose the data.
	if err := os.WriteFile(s.partialPath(d), []byte("what \x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	p, err := s.Begin(d, int64(len(content)))
	if err != nil || p.Offset() != 8 {
		t.Fatalf("offset %d, %v", p.Offset(), err)
	}
	if _, err := p.Write(content[8:]); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); !is[*MismatchError](err) {
		t.Fatalf("commit: %v", err)
	}
	p, err = s.Begin(d, int64(len(content)))
	if err != nil || p.Offset() != 0 {
		t.Fatalf("after a wrong content: offset %d, %v", p.Offset(), err)
	}
	if _, err := p.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil || !s.Has(d) {
		t.Fatalf("the second try: %v", err)
	}
}

func TestEvictionKeepsWhatIsNeeded(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 30})
	a, b, c := put(t, s, "aaaaaaaaaa"), put(t, s, "bbbbbbbbbb"), put(t, s, "cccccccccc")
	read(t, s, a) // used last
	e := put(t, s, "e")
	if s.Has(b) || !s.Has(a) || !s.Has(c) {
		t.Error("not the one used longest ago was evicted")
	}
	s.Pin([]Digest{c, a})
	put(t, s, "ffffffffff")
	if s.Has(e) || !s.Has(c) {
		t.Error("a pinned blob was evicted before one that is not")
	}
	r, _, err := s.Open(DigestBytes([]byte("ffffffffff")))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Put(strings.NewReader("gg"), "")
	full, ok := errors.AsType[*FullError](err)
	if !ok || full.Max != 30 || full.Pinned != 30 || full.Need != 2 {
		t.Errorf("a full store: %v (%+v)", err, full)
	}
	if _, err := s.Begin(DigestBytes([]byte("hh")), 2); !is[*FullError](err) {
		t.Errorf("begin in a full store: %v", err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	put(t, s, "gg")
	if s.Used() > 30 {
		t.Errorf("%d bytes in use", s.Used())
	}
	if _, _, err := s.Put(bytes.NewReader(make([]byte, 31)), ""); !is[*FullError](err) {
		t.Errorf("larger than the store: %v", err)
	}
	if !s.Has(a) || !s.Has(DigestBytes([]byte("gg"))) {
		t.Error("a hopeless put evicted something")
	}
}

func TestVerifyRemovesWhatChanged(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	good, bad := put(t, s, "good"), put(t, s, "bad")
	if err := os.WriteFile(s.Path(bad), []byte("b@d"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(good); err != nil {
		t.Error(err)
	}
	if err := s.Verify(bad); !is[*CorruptError](err) {
		t.Errorf("verify: %v", err)
	}
	if s.Has(bad) || !s.Has(good) {
		t.Error("the wrong one was removed")
	}
	if err := s.Verify(bad); !is[*NotFoundError](err) {
		t.Errorf("verify of a missing blob: %v", err)
	}
	if err := errors.Join(s.Remove(good), s.Remove(good)); err != nil || s.Has(good) {
		t.Errorf("remove: %v", err)
	}
}

func TestUseIsNotedOnceADay(t *testing.T) {
	now := time.Now()
	s := open(t, t.TempDir(), Options{Now: func() time.Time { return now }})
	d := put(t, s, "x")
	modified := func() time.Time {
		info, err := os.Stat(s.Path(d))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	before := modified()
	now = now.Add(TouchEvery - time.Minute)
	read(t, s, d)
	if !modified().Equal(before) {
		t.Error("a use within a day was written to disk")
	}
	now = now.Add(2 * time.Minute)
	read(t, s, d)
	if modified().Equal(before) {
		t.Error("a use after a day was not written to disk")
	}
}

func TestStrangeFilesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, Options{})
	strange := filepath.Join(dir, "sha256", "README")
	temp := filepath.Join(dir, "tmp", "put-1")
	if err := errors.Join(os.WriteFile(strange, []byte("hi"), 0o600), os.WriteFile(temp, []byte("left by a crash"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	if s.Used() != 0 || len(s.List()) != 0 {
		t.Errorf("%d bytes, %v", s.Used(), s.List())
	}
	if _, err := os.Stat(strange); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(temp); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a crash's temporary file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	good := string(DigestBytes([]byte("x")))
	for _, seed := range []string{"", good, strings.ToUpper(good), good[:70], good + "0", "md5:00", "sha256:../../etc/passwd", "sha256:" + strings.Repeat("/", 64)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, err := Parse(in)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if string(d) != in || len(d.Hex()) != 64 || strings.ContainsAny(d.Hex(), "/.\\") || d.Hex() != strings.ToLower(d.Hex()) {
			t.Errorf("accepted %q", in)
		}
	})
}

func TestDigestOf(t *testing.T) {
	d, n, err := DigestOf(strings.NewReader("abc"))
	if want := Digest("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); err != nil || n != 3 || d != want {
		t.Errorf("%s, %d, %v", d, n, err)
	}
	if d.Short() != "ba7816bf8f01" || Digest("").Short() != "" {
		t.Errorf("short form %q", d.Short())
	}
	if _, _, err := DigestOf(failing{}); !errors.Is(err, errBroken) {
		t.Errorf("a broken reader: %v", err)
	}
}
