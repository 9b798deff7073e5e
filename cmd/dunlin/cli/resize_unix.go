//go:build unix

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onResize calls f whenever the terminal's size has changed, until ctx ends; then it closes done.
func onResize(ctx context.Context, f func()) (done <-chan struct{}) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer signal.Stop(changed)
		for {
			select {
			case <-changed:
				f()
			case <-ctx.Done():
				return
			}
		}
	}()
	return ended
}
