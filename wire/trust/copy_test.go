package trust

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMendFolder damages a device's files as power cuts do. As long as the copy or the files are whole, nothing is lost, and both are
// whole again at the next start.
func TestMendFolder(t *testing.T) {
	ca := newCA(t, "global")
	m := issue(t, ca, KindNode, "n1", now)
	older, err := ca.Sign(m.Key.Public(), m.Identity, now.Add(-time.Hour), time.Hour, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := m.Files()
	if err != nil {
		t.Fatal(err)
	}
	stale := files
	stale.Cert = EncodeCert(older)
	put := func(name string, data []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	gone := func(names ...string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	other, err := EncodeKey(issue(t, ca, KindNode, "n2", now).Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage       func(t *testing.T, dir string)
		said, loaded bool
		aside        string // what was replaced and is kept
	}{
		"nothing":                 {func(*testing.T, string) {}, false, true, ""},
		"an empty certificate":    {put(CertFile, nil), true, true, CertFile},
		"half a certificate":      {put(CertFile, files.Cert[:len(files.Cert)/2]), true, true, CertFile},
		"zeroes for a key":        {put(KeyFile, make([]byte, len(files.Key))), true, true, KeyFile},
		"another key":             {put(KeyFile, other), true, true, KeyFile},
		"an empty CA":             {put(CAFile, nil), true, true, CAFile},
		"no certificate":          {gone(CertFile), true, true, ""},
		"no key":                  {gone(KeyFile), true, true, ""},
		"no CA":                   {gone(CAFile), true, true, ""},
		"no copy":                 {gone(CopyFile), false, true, ""},
		"an empty copy":           {put(CopyFile, nil), false, true, ""},
		"an older copy":           {put(CopyFile, stale.together()), false, true, ""},
		"neither, by intention":   {gone(KeyFile, CertFile), false, false, ""},
		"both damaged":            {func(t *testing.T, dir string) { put(CertFile, nil)(t, dir); put(CopyFile, nil)(t, dir) }, false, false, ""},
		"certificate and key bad": {func(t *testing.T, dir string) { put(CertFile, nil)(t, dir); put(KeyFile, nil)(t, dir) }, true, true, CertFile},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := files.SaveTwice(dir); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			if got, err := LoadFolder(dir); c.loaded != (err == nil) || err == nil && !got.Cert.Equal(m.Cert) {
				t.Fatalf("before it is mended: %v, %v", got, err)
			}
			damage, failed := MendFolder(dir)
			if c.said != (damage != nil) || failed != nil {
				t.Errorf("damage %v, failed %v", damage, failed)
			}
			got, err := LoadFolder(dir)
			if !c.loaded {
				if err == nil || name == "neither, by intention" && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("loaded %v, %v", got, err)
				}
				return
			}
			if err != nil || got.Identity != m.Identity || !got.Cert.Equal(m.Cert) {
				t.Fatalf("after it was mended: %v, %v", got, err)
			}
			for _, p := range append(files.parts(), part{CopyFile, files.together()}) {
				if b, err := os.ReadFile(filepath.Join(dir, p.name)); err != nil || !bytes.Equal(b, p.data) {
					t.Errorf("%s is not whole again: %v", p.name, err)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, c.aside+damagedSuffix)); (c.aside != "") != (err == nil) {
				t.Errorf("what was replaced: %v", err)
			}
		})
	}
}

// TestMendFolderOnABadDisk: what cannot be written back is used all the same.
func TestMendFolderOnABadDisk(t *testing.T) {
	files, err := issue(t, newCA(t, "global"), KindNode, "n1", now).Files()
	dir := t.TempDir()
	if err := errors.Join(err, files.SaveTwice(dir), os.Remove(filepath.Join(dir, CertFile))); err != nil {
		t.Fatal(err)
	}
	// A folder where a file should be cannot be renamed over.
	if err := os.MkdirAll(filepath.Join(dir, CertFile, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if damage, failed := MendFolder(dir); damage == nil || failed == nil {
		t.Errorf("damage %v, failed %v", damage, failed)
	}
	if _, err := LoadFolder(dir); err != nil {
		t.Error(err)
	}
}

// TestApart reads anything: it takes what together made, and nothing that does not fit.
func TestApart(t *testing.T) {
	files, err := issue(t, newCA(t, "global"), KindNode, "n1", now).Files()
	if err != nil {
		t.Fatal(err)
	}
	whole := files.together()
	if f, err := apart(whole); err != nil || !bytes.Equal(f.together(), whole) {
		t.Fatalf("%v, %v", f, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(whole[:rapid.IntRange(0, len(whole)-2).Draw(t, "cut")])
		if len(b) > 0 && rapid.Bool().Draw(t, "flip") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		f, err := apart(b)
		if err == nil {
			_, err = f.Material()
		}
		if err == nil {
			t.Fatalf("a copy of %d of %d bytes was taken", len(b), len(whole))
		}
	})
}
