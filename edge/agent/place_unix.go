//go:build unix

package agent

import (
	"fmt"
	"os"
	"syscall"
)

// folderID tells a folder from its copies: the device and the inode it is on.
func folderID(path string) (string, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino), true
}
