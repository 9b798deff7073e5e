package engine_test

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

func cached(t testing.TB, wasm []byte) engine.Spec {
	if engine.EngineName() != "compiler" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no compiler on this architecture: the compile cache cannot be tested")
		}
		t.Skip("no compiler on this architecture: there is no compile cache to test")
	}
	s := spec(t, guests.Write(t, wasm))
	s.CacheDir = filepath.Join(t.TempDir(), "cache")
	return s
}

func machineCode(t *testing.T, cacheDir string) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(cacheDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "seal.json" {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) != 1 {
		t.Fatalf("files in the cache: %q, %v", found, err)
	}
	return found[0]
}

func wantHello(t *testing.T, s engine.Spec, hit bool) {
	t.Helper()
	if r := run(t, s, ""); r.Error != "" || r.out != "hello\n" || r.CacheHit != hit {
		t.Errorf("got %+v, want hello with cache hit %t", r, hit)
	}
}

func TestCacheIsUsedAndSurvivesDamage(t *testing.T) {
	s := cached(t, guests.TinyHello(0))
	wantHello(t, s, false)
	wantHello(t, s, true)
	file := machineCode(t, s.CacheDir)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		wantHello(t, s, false)
		wantHello(t, s, true)
	}
	damage("empty", nil)
	for cut := 1; cut < len(good); cut += len(good)/8 + 1 {
		damage("cut", good[:cut])
	}
	for at := 0; at < len(good); at += len(good)/32 + 1 {
		flipped := append([]byte(nil), good...)
		flipped[at] ^= 0x20
		damage("flipped bit", flipped)
	}
	// The number of functions, believed, would be an allocation of 32 GiB.
	version := int(good[6])
	huge := append([]byte(nil), good...)
	binary.LittleEndian.PutUint32(huge[7+version:], 0xffffffff)
	damage("huge count", huge)
	damage("longer", append(good[:len(good):len(good)], 0))

	seal := filepath.Join(s.CacheDir, strings.TrimPrefix(s.Digest, "sha256:"), "seal.json")
	for _, content := range []string{"", "{", "null", `{"x":{"Size":1,"CRC32":1}}`} {
		if err := os.WriteFile(seal, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		wantHello(t, s, false)
	}
}

func TestUnsafeCacheIsRefused(t *testing.T) {
	s := cached(t, guests.TinyHello(0))
	for _, mode := range []os.FileMode{0o755, 0o770, 0o701} {
		if err := os.MkdirAll(s.CacheDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(s.CacheDir, mode); err != nil {
			t.Fatal(err)
		}
		if r := run(t, s, ""); !strings.Contains(r.Error, "chmod 700") || r.out != "" {
			t.Errorf("mode %o: %+v", mode, r)
		}
	}
	if err := os.Chmod(s.CacheDir, 0o700); err != nil {
		t.Fatal(err)
	}
	wantHello(t, s, false)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.CacheDir, link); err != nil {
		t.Fatal(err)
	}
	s.CacheDir = link
	if r := run(t, s, ""); !strings.Contains(r.Error, "is not a folder") {
		t.Errorf("a link in place of the folder: %+v", r)
	}
	if os.Geteuid() == 0 {
		s.CacheDir = filepath.Join(t.TempDir(), "other")
		if err := os.Mkdir(s.CacheDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(s.CacheDir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if r := run(t, s, ""); !strings.Contains(r.Error, "belongs to user 12345") {
			t.Errorf("another user's folder: %+v", r)
		}
	}
}

// A cache that cannot be made costs a compile, not the start.
func TestCacheThatCannotBeWritten(t *testing.T) {
	s := cached(t, guests.TinyHello(0))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.CacheDir = filepath.Join(file, "cache")
	wantHello(t, s, false)
}

func TestCacheSharedByManyStarts(t *testing.T) {
	s := cached(t, guests.TinyHello(0))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				if r := run(t, s, ""); r.Error != "" || r.out != "hello\n" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	wg.Wait()
	wantHello(t, s, true)
}
