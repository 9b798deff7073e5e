package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	experimental "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"
)

// confined is a folder that cannot be left. wazero's own folder mount can: it joins paths as they come, so that a guest gets
// out by "..", or by a symbolic link "a -> ../../.." that it makes itself. Each path is first resolved by os.Root, which
// walks it step by step beneath the folder, and refused with EPERM where that leads outside.
//
// The check comes before the use, so two guests that share a writable folder and work together could swap a link in
// between. Closing that needs files opened through os.Root itself, which wazero's file type does not take; it comes with
// our own WASI. A guest alone has one thread and cannot race itself.
type confined struct {
	experimental.FS
	root     *os.Root
	readOnly bool
}

func confine(dir string, readOnly bool) (*confined, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("folder on this machine: %w", err)
	}
	return &confined{FS: sysfs.DirFS(dir), root: root, readOnly: readOnly}, nil
}

// fs is the file system to give to wazero. Its ReadFS answers for the writing calls; opening is decided in OpenFile, as
// ReadFS lets a read-only open with O_TRUNC through.
func (c *confined) fs() experimental.FS {
	if c.readOnly {
		return &sysfs.ReadFS{FS: c}
	}
	return c
}

// errnoOf turns os.Root's refusals, which are no system errors, into EPERM.
func errnoOf(err error) experimental.Errno {
	var no syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrPermission):
		return experimental.UnwrapOSError(err)
	}
	return experimental.EPERM
}

// entry checks a path whose last element is not followed: it is made, removed, or looked at as it is.
func (c *confined) entry(p string) (string, experimental.Errno) {
	p = clean(p)
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", experimental.EPERM
	}
	_, err := c.root.Stat(path.Dir(p))
	return p, errnoOf(err)
}

// target checks a path that is followed to its end. What does not exist passes when the place where it would be lies
// inside: the call itself then says ENOENT, or makes it.
func (c *confined) target(p string) (string, experimental.Errno) {
	p = clean(p)
	_, err := c.root.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return c.entry(p)
	}
	return p, errnoOf(err)
}

// clean resolves dots by the text alone, so that what is checked and what is used are the same path.
func clean(p string) string {
	if p = path.Clean(strings.TrimLeft(p, "/")); p == "" {
		return "."
	}
	return p
}

const writing = experimental.O_WRONLY | experimental.O_RDWR | experimental.O_CREAT | experimental.O_TRUNC | experimental.O_APPEND

func (c *confined) OpenFile(p string, flag experimental.Oflag, perm fs.FileMode) (experimental.File, experimental.Errno) {
	if c.readOnly && flag&writing != 0 {
		return nil, experimental.EROFS
	}
	p, errno := c.target(p)
	if errno != 0 {
		return nil, errno
	}
	return c.FS.OpenFile(p, flag, perm)
}

func (c *confined) Stat(p string) (sys.Stat_t, experimental.Errno) {
	p, errno := c.target(p)
	if errno != 0 {
		return sys.Stat_t{}, errno
	}
	return c.FS.Stat(p)
}

func (c *confined) Lstat(p string) (sys.Stat_t, experimental.Errno) {
	p, errno := c.entry(p)
	if errno != 0 {
		return sys.Stat_t{}, errno
	}
	return c.FS.Lstat(p)
}

func (c *confined) Chmod(p string, perm fs.FileMode) experimental.Errno {
	p, errno := c.target(p)
	if errno != 0 {
		return errno
	}
	return c.FS.Chmod(p, perm)
}

func (c *confined) Utimens(p string, atim, mtim int64) experimental.Errno {
	p, errno := c.target(p)
	if errno != 0 {
		return errno
	}
	return c.FS.Utimens(p, atim, mtim)
}

func (c *confined) Readlink(p string) (string, experimental.Errno) {
	p, errno := c.entry(p)
	if errno != 0 {
		return "", errno
	}
	return c.FS.Readlink(p)
}

func (c *confined) Mkdir(p string, perm fs.FileMode) experimental.Errno {
	p, errno := c.entry(p)
	if errno != 0 {
		return errno
	}
	return c.FS.Mkdir(p, perm)
}

func (c *confined) Rmdir(p string) experimental.Errno {
	p, errno := c.entry(p)
	if errno != 0 {
		return errno
	}
	return c.FS.Rmdir(p)
}

func (c *confined) Unlink(p string) experimental.Errno {
	p, errno := c.entry(p)
	if errno != 0 {
		return errno
	}
	return c.FS.Unlink(p)
}

func (c *confined) Symlink(target, link string) experimental.Errno {
	link, errno := c.entry(link)
	if errno != 0 {
		return errno
	}
	return c.FS.Symlink(target, link)
}

func (c *confined) Rename(from, to string) experimental.Errno { return c.both(from, to, c.FS.Rename) }
func (c *confined) Link(from, to string) experimental.Errno   { return c.both(from, to, c.FS.Link) }

func (c *confined) both(from, to string, do func(from, to string) experimental.Errno) experimental.Errno {
	from, errno := c.entry(from)
	if errno != 0 {
		return errno
	}
	to, errno = c.entry(to)
	if errno != 0 {
		return errno
	}
	return do(from, to)
}
