package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
)

// The compile cache is one folder per module digest. In it wazero keeps its file of machine code, under a name that holds
// its version, the architecture and the processor's features; beside it lies our seal.
//
// Why a seal: wazero checks only the code itself against a checksum. A flipped bit in the table of function addresses, or a
// count turned huge, is believed, and the process crashes; and any error while reading makes the compile fail instead of
// starting over. SD cards do flip bits. So every file is checked before wazero sees it, and one that is not as sealed is
// deleted. CRC-32C guards against damage, not against an enemy: against that stands the folder's mode. (A cryptographic hash
// here would add a third to a warm start.)

const (
	sealName = "seal.json"
	// tempAgeMax is how long a temporary file may belong to a compile under way in another process.
	tempAgeMax = time.Hour
)

var errUnsafeCache = errors.New("compile cache is not safe to use")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealedFile is what the seal says about one file.
type sealedFile struct {
	Size  int64
	CRC32 uint32
}

type sealedCache struct {
	root   string // Spec.CacheDir
	dir    string // this module's folder in it
	intact bool   // there is sealed machine code, as it was written
	wazero wazero.CompilationCache
}

// openCache prepares the folder for one module and removes what is damaged in it. The error wraps errUnsafeCache when other
// users could have written there.
func openCache(root, digest string) (*sealedCache, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	if err := privateDir(root); err != nil {
		return nil, err
	}
	c := &sealedCache{root: root, dir: filepath.Join(root, strings.TrimPrefix(digest, "sha256:"))}
	if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	if err := privateDir(c.dir); err != nil {
		return nil, err
	}
	if err := c.sweep(); err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	var err error
	c.wazero, err = wazero.NewCompilationCacheWithDir(c.dir)
	return c, err
}

// sweep deletes every file that is not exactly as sealed.
func (c *sealedCache) sweep() error {
	sealed := map[string]sealedFile{}
	if b, err := os.ReadFile(filepath.Join(c.dir, sealName)); err == nil {
		if json.Unmarshal(b, &sealed) != nil {
			clear(sealed)
		}
	}
	return c.eachFile(func(rel, path string, info fs.FileInfo) error {
		if strings.HasSuffix(rel, ".tmp") {
			if time.Since(info.ModTime()) > tempAgeMax {
				return os.Remove(path)
			}
			return nil
		}
		want, ok := sealed[rel]
		if ok && info.Mode().IsRegular() && info.Size() == want.Size {
			if got, err := sumFile(path); err == nil && got == want {
				c.intact = true
				return nil
			}
		}
		return os.Remove(path)
	})
}

// seal records all files as they are now.
func (c *sealedCache) seal() error {
	sealed := map[string]sealedFile{}
	err := c.eachFile(func(rel, path string, _ fs.FileInfo) error {
		if strings.HasSuffix(rel, ".tmp") {
			return nil
		}
		sum, err := sumFile(path)
		sealed[rel] = sum
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(sealed)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(c.dir, sealName), b, 0o600)
}

// eachFile visits what is not a folder, the seal left out. Files that vanish meanwhile are no error.
func (c *sealedCache) eachFile(visit func(rel, path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				rel, _ := filepath.Rel(c.dir, path)
				if rel != sealName && !(strings.HasPrefix(rel, sealName) && time.Since(info.ModTime()) < tempAgeMax) {
					err = visit(rel, path, info)
				}
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func sumFile(path string) (sealedFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return sealedFile{}, err
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 256<<10))
	return sealedFile{Size: n, CRC32: h.Sum32()}, err
}

// trimCache drops the modules compiled longest ago until the rest has at most maxBytes. keep stays in any case. Age is that
// of the compile, not of the last use: noting each use would write to flash at every start.
func trimCache(root, keep string, maxBytes int64) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	type entry struct {
		dir   string
		bytes int64
		made  time.Time
	}
	var all []entry
	var total int64
	for _, e := range entries {
		c := entry{dir: filepath.Join(root, e.Name())}
		if info, err := e.Info(); err == nil {
			c.made = info.ModTime()
		}
		_ = filepath.WalkDir(c.dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				if info, err := d.Info(); err == nil {
					c.bytes += info.Size()
				}
			}
			return nil // what vanished has no size
		})
		total += c.bytes
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b entry) int { return a.made.Compare(b.made) })
	for _, c := range all {
		if total <= maxBytes {
			return nil
		}
		if c.dir == keep {
			continue
		}
		if err := os.RemoveAll(c.dir); err != nil {
			return err
		}
		total -= c.bytes
	}
	return nil
}

// writeFile puts content in place whole or not at all.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	err = errors.Join(f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
