//go:build !unix

package program

import (
	"errors"
	"io"
	"os"
	"time"
)

func listen(Spec) {}

func linger(s Spec) {
	if s.OnStop == StopExit {
		_, _ = io.Copy(io.Discard, os.Stdin) // to its end, which is the request to stop
		bye()
	}
	time.Sleep(time.Hour)
}

func startChildren(n int) error {
	if n > 0 {
		return errors.New("a guest has no children")
	}
	return nil
}
