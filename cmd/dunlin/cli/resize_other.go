//go:build !unix

package cli

import (
	"context"
	"time"
)

// resizeEvery is how often the size is told where nothing says that it has changed.
const resizeEvery = 2 * time.Second

// onResize calls f from time to time until ctx ends; then it closes done.
func onResize(ctx context.Context, f func()) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(resizeEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f()
			case <-ctx.Done():
				return
			}
		}
	}()
	return ended
}
