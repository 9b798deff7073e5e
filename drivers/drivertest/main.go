package drivertest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
	"github.com/dunlin-edge/dunlin/runtime/engine"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

// programArg makes the test binary be the program.
const programArg = "drivertest-program"

const raceOptions = "GORACE"

// Main is the TestMain of packages whose tests need the host process: the test binary, started again with the arguments that
// the real binary would get, is the host, a guest process, or the suite's program. After the tests it fails the run when one
// of those is left.
func Main(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "host": // host -dir DIR
			if err := host.Main(context.Background(), host.Options{Dir: os.Args[3], Logger: slog.Default()}); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "guest":
			os.Exit(engine.Main(os.NewFile(3, "spec"), os.NewFile(4, "report")))
		case programArg:
			os.Exit(program.Main(os.Args[2]))
		}
	}
	// The race detector otherwise sleeps a second at the end of each process; hosts, guests and tasks inherit this.
	if err := os.Setenv(raceOptions, "atexit_sleep_ms=0 "+os.Getenv(raceOptions)); err != nil {
		panic(err)
	}
	code := m.Run()
	if left := settle(copiesOfUs); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "processes leaked by the tests: %v\n", left)
		code = 1
	}
	os.Exit(code)
}

// NativeCommand is the command line that runs the program as a native process.
func NativeCommand(t testing.TB, s program.Spec) (command string, args []string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe, []string{programArg, s.Encode()}
}

// settleTimeout is how long processes may take to be gone after what should have ended them has returned.
const settleTimeout = 45 * time.Second

// settle asks list until it is empty, and returns what is left at the end.
func settle(list func() []string) []string {
	deadline := time.NewTimer(settleTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		left := list()
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return left
		}
	}
}

// copiesOfUs lists the processes that run this test binary, besides this one. Two runs of one package do not disturb each
// other: go test builds each its own binary.
func copiesOfUs() []string {
	us, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	return processes(func(pid int) bool {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		return err == nil && exe == us
	})
}

// processes lists the living processes that match, besides this one, as PID and command line.
func processes(match func(pid int) bool) []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var found []string
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil || pid == os.Getpid() || !match(pid) {
			continue
		}
		cmdline, err := os.ReadFile(d + "/cmdline")
		if err == nil && len(cmdline) > 0 {
			found = append(found, fmt.Sprintf("%d %q", pid, cmdline))
		}
	}
	return found
}
