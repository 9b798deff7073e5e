//go:build !race

package engine

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const boundHelper = "DUNLIN_TEST_BOUND"

const pieceBytes = 8 << 20

var ballast [][]byte

// TestBound takes too much in a process of its own, because its end is the test.
func TestBound(t *testing.T) {
	if os.Getenv(boundHelper) != "" {
		bound()
		half := int(aheadMemory()/2) / pieceBytes
		for n := range 4 * half {
			ballast = append(ballast, make([]byte, pieceBytes))
			if n == half {
				os.Stderr.WriteString("half is there\n")
			}
		}
		os.Stderr.WriteString("memory is not bounded\n")
		return
	}
	var said head
	cmd := exec.Command(os.Args[0], "-test.run=^TestBound$")
	cmd.Env, cmd.Stderr = append(os.Environ(), boundHelper+"=1"), &said
	err := cmd.Run()
	// Which of its allocations the runtime is refused, and so the words of its end, differ from run to run.
	if _, ended := errors.AsType[*exec.ExitError](err); !ended || !strings.HasPrefix(string(said), "half is there\n") || strings.Contains(string(said), "not bounded") {
		t.Errorf("it ended with %v and said: %s", err, said)
	}
}
