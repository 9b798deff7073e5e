//go:build unix

package engine

import (
	"fmt"
	"os"
	"syscall"
)

// privateDir refuses a folder that another user owns or may enter.
func privateDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("compile cache: %w", err)
	}
	if !st.IsDir() {
		return fmt.Errorf("%w: %s is not a folder", errUnsafeCache, dir)
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o, and what lies there is run as machine code; delete its content and chmod 700 it", errUnsafeCache, dir, perm)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, this process runs as %d; name a folder of its own", errUnsafeCache, dir, sys.Uid, os.Geteuid())
	}
	return nil
}
