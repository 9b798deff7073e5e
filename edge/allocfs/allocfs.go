package allocfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Limits of a look.
const (
	LinksMax   = 40  // symbolic links on the way to one file; as many as Linux follows
	sniffBytes = 512 // by which a file's content type is guessed
)

// The kinds of errors that are answers, to compare with errors.Is. Others are the disk's.
var (
	ErrNotFound  = errors.New("there is no such file")
	ErrForbidden = errors.New("not to be read")
	ErrMisplaced = errors.New("not this kind of file")
)

// refusal is an error whose text is whole and whose kind is one of the above.
type refusal struct {
	kind error
	text string
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.kind }

func refuse(kind error, format string, args ...any) error {
	return &refusal{kind, fmt.Sprintf(format, args...)}
}

// hidden are the folders of a task that hold its secrets, as the field names them.
var hidden = []string{"secrets", "private"}

// FS is the folder of one allocation.
type FS struct {
	root *os.Root
	dir  string   // of root
	at   []string // what root is of the allocation's folder; empty: all of it
}

// Open opens the folder of an allocation.
func Open(dir string) (*FS, error) { return open(dir) }

// OpenKept opens what is left of an allocation that is gone: the folder of its logs, which is shown where it was.
func OpenKept(logs string) (*FS, error) { return open(logs, "alloc", "logs") }

func open(dir string, at ...string) (*FS, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(ErrNotFound, "the allocation has no files here yet")
	}
	if err != nil {
		return nil, fmt.Errorf("open the allocation's folder: %w", err)
	}
	return &FS{root: root, dir: dir, at: at}, nil
}

// Close lets go of the folder.
func (f *FS) Close() error { return f.root.Close() }

// List reads a folder, by name, at most limit entries of it. more says that there are others.
func (f *FS) List(name string, limit int) (files []fleet.FileInfo, more bool, err error) {
	parts, err := split(name)
	if err != nil {
		return nil, false, err
	}
	if len(parts) < len(f.at) && slices.Equal(parts, f.at[:len(parts)]) { // on the way to all that is left
		info, err := f.root.Stat(".")
		if err != nil {
			return nil, false, plain(name, err)
		}
		return []fleet.FileInfo{describe(f.at[len(parts)], info)}, false, nil
	}
	at, info, err := f.find(name, parts)
	if err != nil {
		return nil, false, err
	}
	if !info.IsDir() {
		return nil, false, refuse(ErrMisplaced, "%s is a file and has no list; read it", shown(name))
	}
	dir, err := f.root.Open(at)
	if err != nil {
		return nil, false, plain(name, err)
	}
	defer dir.Close() //nolint:errcheck // read only
	entries, err := dir.ReadDir(limit + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, plain(name, err)
	}
	if more = len(entries) > limit; more {
		entries = entries[:limit]
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	files = make([]fleet.FileInfo, 0, len(entries))
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // else it went meanwhile
			files = append(files, describe(e.Name(), info))
		}
	}
	return files, more, nil
}

// Stat describes one file or folder.
func (f *FS) Stat(name string) (fleet.FileInfo, error) {
	parts, err := split(name)
	if err != nil {
		return fleet.FileInfo{}, err
	}
	if len(parts) < len(f.at) && slices.Equal(parts, f.at[:len(parts)]) {
		info, err := f.root.Stat(".")
		return describe(last(parts), info), err
	}
	at, info, err := f.find(name, parts)
	if err != nil {
		return fleet.FileInfo{}, err
	}
	out := describe(last(parts), info)
	if info.Mode().IsRegular() {
		if out.ContentType, err = f.sniff(at); err != nil {
			return out, plain(name, err)
		}
	}
	return out, nil
}

func last(parts []string) string {
	if len(parts) == 0 {
		return "/"
	}
	return parts[len(parts)-1]
}

func describe(name string, info fs.FileInfo) fleet.FileInfo {
	if info == nil {
		return fleet.FileInfo{Name: name}
	}
	return fleet.FileInfo{Name: name, IsDir: info.IsDir(), Size: info.Size(), FileMode: info.Mode().String(), ModTime: info.ModTime().UTC()}
}

func (f *FS) sniff(at string) (string, error) {
	file, err := f.openFile(at)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // read only
	buf := make([]byte, sniffBytes)
	n, err := io.ReadFull(file, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	return http.DetectContentType(buf[:n]), nil
}

// openFile opens a regular file. It does not wait where a pipe has taken the file's place meanwhile.
func (f *FS) openFile(at string) (*os.File, error) {
	file, err := f.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = refuse(ErrMisplaced, "%s is not a regular file (%s), and only those are read", at, info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// find resolves a path to one that has no links, and says what is there.
func (f *FS) find(name string, parts []string) (at string, info fs.FileInfo, err error) {
	if len(f.at) > 0 {
		if len(parts) < len(f.at) || !slices.Equal(parts[:len(f.at)], f.at) {
			return "", nil, refuse(ErrNotFound, "the allocation is gone and of its files only %s is kept, without %s", path.Join(f.at...), shown(name))
		}
		parts = parts[len(f.at):]
	}
	if parts, err = f.resolve(name, parts); err != nil {
		return "", nil, err
	}
	at = "."
	if len(parts) > 0 {
		at = filepath.Join(parts...)
	}
	info, err = f.root.Lstat(at)
	if err != nil {
		return "", nil, plain(name, err)
	}
	return at, info, nil
}

// resolve walks a path and takes what symbolic links stand for in their place.
func (f *FS) resolve(name string, rest []string) ([]string, error) {
	var done []string
	for links := 0; len(rest) > 0; {
		next := rest[0]
		rest = rest[1:]
		if next == ".." {
			if len(done) == 0 {
				return nil, refuse(ErrForbidden, "%s leads out of the allocation's folder", shown(name))
			}
			done = done[:len(done)-1]
			continue
		}
		at := filepath.Join(append(slices.Clone(done), next)...)
		info, err := f.root.Lstat(at)
		if err != nil {
			return nil, plain(name, err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if done = append(done, next); f.secret(done) {
				return nil, refuse(ErrForbidden, "%s: the folders %s of a task hold its secrets and are not read from afar", shown(name), strings.Join(hidden, " and "))
			}
			continue
		}
		if links++; links > LinksMax {
			return nil, refuse(ErrForbidden, "%s: more than %d symbolic links", shown(name), LinksMax)
		}
		target, err := f.root.Readlink(at)
		if err != nil {
			return nil, plain(name, err)
		}
		parts, from, ok := f.target(target)
		if !ok {
			return nil, refuse(ErrForbidden, "%s: the symbolic link %s leads to %s, which is outside of the allocation's folder", shown(name), filepath.ToSlash(at), target)
		}
		if from {
			done = nil
		}
		rest = append(parts, rest...)
	}
	return done, nil
}

// target splits where a link leads to; fromTop says that it is meant from the allocation's folder. An absolute one is fine when it
// names a file in here, as tasks make them of their own folders' names.
func (f *FS) target(target string) (parts []string, fromTop, ok bool) {
	if filepath.IsAbs(target) {
		in, err := filepath.Rel(f.dir, target)
		if err != nil || !filepath.IsLocal(in) {
			return nil, false, false
		}
		target, fromTop = in, true
	}
	for _, p := range strings.Split(filepath.ToSlash(target), "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts, fromTop, true
}

func (f *FS) secret(parts []string) bool {
	return len(f.at) == 0 && len(parts) >= 2 && parts[0] != "alloc" && slices.Contains(hidden, parts[1])
}

// split makes parts of a path as users write it: with or without a slash in front.
func split(name string) ([]string, error) {
	if strings.ContainsRune(name, 0) {
		return nil, refuse(ErrForbidden, "the path %q has a zero byte", name)
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == "." {
		return nil, nil
	}
	parts := strings.Split(clean, "/")
	if parts[0] == ".." {
		return nil, refuse(ErrForbidden, "%s leads out of the allocation's folder", shown(name))
	}
	return parts, nil
}

func shown(name string) string {
	if name == "" {
		return "/"
	}
	return name
}

// plain says what the disk said without the folder's place on the device, which is nobody's business.
func plain(name string, err error) error {
	if _, ok := errors.AsType[*refusal](err); ok {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return refuse(ErrNotFound, "there is no %s in the allocation's folder", shown(name))
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", shown(name), err)
}
