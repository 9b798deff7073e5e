package host

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// ParseSignal reads a signal's name, "SIGHUP" or "HUP" in any case.
func ParseSignal(name string) (int, error) {
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if n := unix.SignalNum(upper); n != 0 {
		return int(n), nil
	}
	return 0, fmt.Errorf("%q is not the name of a signal; use one such as SIGHUP, SIGTERM or SIGUSR1", name)
}

func signalName(n unix.Signal) string {
	if name := unix.SignalName(n); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(n))
}
