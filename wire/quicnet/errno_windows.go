package quicnet

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// Windows has socket errors of its own; the names of package syscall stand for numbers that it never returns.
var passingErrnos = []syscall.Errno{windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN, windows.WSAEACCES,
	windows.WSAENOBUFS, windows.WSAEADDRNOTAVAIL, windows.WSAEINVAL}

const errnoInUse = windows.WSAEADDRINUSE
