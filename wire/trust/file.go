package trust

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// SecretBytes is the size of a secret and of each key derived from it.
const SecretBytes = 32

// WriteFile writes a private file (0600) so that after a crash either the old or the new content is there: a temporary
// file in the same folder, fsync, rename, fsync of the folder. The folder is made (0700) if need be.
func WriteFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // CreateTemp's mode is 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return syncDir(dir)
}

// syncDir makes a rename durable. Windows has no such call and needs none for this purpose.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", dir, err)
	}
	return nil
}

// LoadSecret reads a secret of SecretBytes from a file, which it makes with fresh random bytes if it is not there.
func LoadSecret(path string) ([SecretBytes]byte, error) {
	var secret [SecretBytes]byte
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := rand.Read(secret[:]); err != nil {
			return secret, fmt.Errorf("draw a secret: %w", err)
		}
		return secret, WriteFile(path, secret[:])
	}
	if err != nil {
		return secret, fmt.Errorf("read the secret: %w", err)
	}
	if len(data) != SecretBytes {
		return secret, fmt.Errorf("the secret in %s has %d bytes, want %d; remove the file to have a new one made", path, len(data), SecretBytes)
	}
	return [SecretBytes]byte(data), nil
}

// DeriveKey makes one of several independent keys from a secret; the label says what for.
func DeriveKey(secret [SecretBytes]byte, label string) [SecretBytes]byte {
	key, err := hkdf.Expand(sha256.New, secret[:], "dunlin/"+label, SecretBytes)
	if err != nil {
		// Only an output longer than 255 hashes can fail here.
		panic("trust: derive key: " + err.Error())
	}
	return [SecretBytes]byte(key)
}
