//go:build !linux

package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
)

const selfExe = ""

// errPlatform says that tasks cannot run here.
var errPlatform = fmt.Errorf("running tasks needs Linux, and this is %s; the command line and a server work here", runtime.GOOS)

// Main refuses: subreaper, parent-death signals and /proc are Linux's.
func Main(context.Context, Options) error { return errPlatform }

func dial(context.Context, string) (net.Conn, error) { return nil, errPlatform }

func launch(context.Context, Options) error { return errPlatform }

func isNoHost(err error) bool { return false }

func hasRecords(string) bool { return false }

func awaitUnlocked(context.Context, string) error { return nil }

func sendFiles(net.Conn, []byte, []*os.File) error { return errPlatform }

// Terminal is a pseudo terminal, which is not made on this platform.
type Terminal struct{ Ours, Theirs *os.File }

// OpenTerminal refuses on this platform.
func OpenTerminal() (Terminal, error) { return Terminal{}, errPlatform }

// Resize refuses on this platform.
func (Terminal) Resize(rows, columns uint16) error { return errPlatform }

// Read refuses on this platform.
func (Terminal) Read([]byte) (int, error) { return 0, errPlatform }

// ParseSignal refuses on this platform.
func ParseSignal(string) (int, error) { return 0, errPlatform }
