//go:build edgeonly

package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/spf13/cobra"
)

// runningServer does not exist in this build.
type runningServer struct{}

func (*runningServer) local() *localServer       { return nil }
func (*runningServer) Run(context.Context) error { return nil }

// startServer refuses: the control side is left out of this build.
func startServer(context.Context, *env, *config.Config, agentOptions, *slog.Logger) (*runningServer, error) {
	return nil, &exitError{ExitUsage, errors.New("this is the edge-only build, which has no server; use the full build, or client { } only")}
}

// simCmd does not exist in this build: simulated fleets are for whoever has a server.
func (*env) simCmd() *cobra.Command { return nil }
