//go:build unix

package engine

import "golang.org/x/sys/unix"

// reserve takes n bytes of address space, not yet readable, without promising memory for them.
func reserve(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	return unix.Mmap(-1, 0, n, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

// commit makes reserved space, from its start, readable and writable.
func commit(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE)
}

func release(b []byte) { _ = unix.Munmap(b) }
