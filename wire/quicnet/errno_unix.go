//go:build !windows

package quicnet

import "syscall"

// EPERM is what a firewall rule answers; EINVAL, an address that has just gone.
var passingErrnos = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EPERM,
	syscall.ENOBUFS, syscall.EADDRNOTAVAIL, syscall.EINVAL}

const errnoInUse = syscall.EADDRINUSE
