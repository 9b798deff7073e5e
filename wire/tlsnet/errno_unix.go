//go:build !windows

package tlsnet

import "syscall"

const errnoAborted = syscall.ECONNABORTED
