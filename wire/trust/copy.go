package trust

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A device is its key and its certificate. A cheap disk may tear or empty any file that it wrote or moved when the power went, so
// there is a second copy of both, and of the CA, in one file that is replaced as a whole.
//
// Where neither certificate nor key is there, nobody has joined, whatever the copy says: removing both is how people take an
// identity away, and a copy must not bring back what was taken.

// CopyFile is the copy of the other files of a device's folder: CA, certificate and key, in this order.
const CopyFile = "identity.pem"

// damagedSuffix is what the name of a file gets that was replaced from its copy. It is kept because it may be one that somebody put
// there and that only does not fit.
const damagedSuffix = ".damaged"

// IdentityFiles are the names of all files of a folder that make a device one of its kind, the copy first: as long as it is there,
// what is removed of the others comes back.
func IdentityFiles() []string {
	return []string{CopyFile, KeyFile, CertFile, KeyFile + damagedSuffix, CertFile + damagedSuffix}
}

func (f Files) parts() []part { return []part{{KeyFile, f.Key}, {CAFile, f.CA}, {CertFile, f.Cert}} }

type part struct {
	name string
	data []byte
}

// SaveTwice is Save with a copy, which goes first: what a crash leaves of the files is mended from it.
func (f Files) SaveTwice(dir string) error {
	if err := WriteFile(filepath.Join(dir, CopyFile), f.together()); err != nil {
		return err
	}
	return f.Save(dir)
}

func (f Files) together() []byte {
	var b []byte
	for _, text := range [][]byte{f.CA, f.Cert, f.Key} {
		b = append(append(b, bytes.TrimSpace(text)...), '\n')
	}
	return b
}

// apart is the reverse of together.
func apart(text []byte) (Files, error) {
	var f Files
	for _, to := range []*[]byte{&f.CA, &f.Cert, &f.Key} {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return Files{}, errors.New("not three PEM texts")
		}
		*to = pem.EncodeToMemory(block)
	}
	return f, nil
}

func loadCopy(dir string) (Files, *Material, error) {
	text, err := os.ReadFile(filepath.Join(dir, CopyFile))
	if err != nil {
		return Files{}, nil, err
	}
	f, err := apart(text)
	if err != nil {
		return Files{}, nil, err
	}
	m, err := f.Material()
	return f, m, err
}

// joined says whether a folder has any of a certificate and a key.
func joined(dir string) bool {
	for _, name := range []string{CertFile, KeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// MendFolder makes the files of a device's folder and their copy the same again, if one of them is good. It is for the agent that
// has the folder, at its start. damage says what was wrong with the files; nil: nothing, or nothing that can be mended, which
// LoadFolder will tell. failed says that the disk did not take what was mended; LoadFolder gives it all the same.
func MendFolder(dir string) (damage, failed error) {
	m, damage := loadFiles(dir)
	if damage == nil {
		f, err := m.Files()
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, CopyFile)
		if text, err := os.ReadFile(path); err == nil && bytes.Equal(text, f.together()) {
			return nil, nil
		}
		return nil, WriteFile(path, f.together())
	}
	f, _, err := loadCopy(dir)
	if err != nil || !joined(dir) {
		return nil, nil
	}
	for _, p := range f.parts() {
		path := filepath.Join(dir, p.name)
		is, err := os.ReadFile(path)
		switch {
		case err == nil && bytes.Equal(is, p.data):
			continue
		case err == nil:
			err = os.Rename(path, path+damagedSuffix)
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		}
		if err = errors.Join(err, WriteFile(path, p.data)); err != nil {
			return damage, fmt.Errorf("mend %s: %w", path, err)
		}
	}
	return damage, nil
}
