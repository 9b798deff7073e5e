package modules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/dunlin-edge/dunlin/wire/blob"
)

// index remembers which form is which pair's, in one small file each, so that a restarted server need not make them again. It is
// a hint: a file that is lost, or wrong, costs the time to make its form.
type index struct {
	dir   string
	blobs *blob.Store

	mu    sync.Mutex
	forms map[pair]made
}

// indexFile is one entry on disk.
type indexFile struct {
	Module, Base string
	Delta        bool `json:",omitempty"`
	made
}

func openIndex(dir string, blobs *blob.Store) (*index, error) {
	x := &index{dir: filepath.Join(dir, "index"), blobs: blobs, forms: map[pair]made{}}
	if err := os.MkdirAll(x.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the index of forms: %w", err)
	}
	items, err := os.ReadDir(x.dir)
	if err != nil {
		return nil, fmt.Errorf("open the index of forms: %w", err)
	}
	for _, item := range items {
		path := filepath.Join(x.dir, item.Name())
		var e indexFile
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &e)
		}
		p := pair{e.Module, e.Base, e.Delta}
		if err != nil || x.path(p) != path || !blobs.Has(blob.Digest(e.Form)) || len(x.forms) >= FormsMax {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("clean the index of forms: %w", err)
			}
			continue
		}
		x.forms[p] = e.made
	}
	return x, nil
}

func (x *index) path(p pair) string {
	name := p.module + "\n" + p.base
	if p.delta {
		name += "\ndelta"
	}
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(x.dir, hex.EncodeToString(sum[:]))
}

// get finds a form that is on disk.
func (x *index) get(p pair) (made, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m, ok := x.forms[p]
	return m, ok && x.blobs.Has(blob.Digest(m.Form))
}

// put remembers a form. When there are too many, those that were evicted are forgotten, and then any: the blobs know the order
// of use, and drop the oldest by themselves.
func (x *index) put(p pair, m made) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	for old, o := range x.forms {
		if len(x.forms) >= FormsMax && !x.blobs.Has(blob.Digest(o.Form)) {
			errs = append(errs, x.drop(old))
		}
	}
	for old := range x.forms {
		if len(x.forms) >= FormsMax {
			errs = append(errs, x.drop(old))
		}
	}
	x.forms[p] = m
	b, err := json.Marshal(indexFile{p.module, p.base, p.delta, m})
	if err == nil {
		err = os.WriteFile(x.path(p), b, 0o600)
	}
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("remember a form: %w", err)
	}
	return nil
}

func (x *index) drop(p pair) error {
	delete(x.forms, p)
	if err := os.Remove(x.path(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
