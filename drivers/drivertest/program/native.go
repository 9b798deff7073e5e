//go:build unix

package program

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func listen(s Spec) {
	switch s.OnStop {
	case StopIgnore:
		signal.Ignore(syscall.SIGTERM)
	case StopExit:
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGTERM)
		go func() { <-ch; bye() }()
	}
	if s.EchoSignal {
		ch := make(chan os.Signal, 8)
		signal.Notify(ch, syscall.SIGUSR1)
		go func() {
			for range ch {
				fmt.Println("got SIGUSR1")
			}
		}()
	}
}

// linger outlives every test; a process without other goroutines may not block for ever.
func linger(Spec) { time.Sleep(time.Hour) }

// startChildren leaves processes behind that nobody waits for: in the session, and out of it.
func startChildren(n int) error {
	for i := range 2 * n {
		cmd := exec.Command("/bin/sleep", "3600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: i%2 == 1}
		if err := cmd.Start(); err != nil {
			return err
		}
	}
	return nil
}
