package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/spf13/cobra"
)

func (e *env) agentCmd() *cobra.Command {
	var (
		dev                                 bool
		file, dataDir, http, quic, logLevel string
	)
	c := &cobra.Command{
		Use:   "agent",
		Short: "Run a server, a device, or both",
		Long: `Runs an agent until it is interrupted. With -dev, server and device run in one
process on loopback, in a temporary folder that goes with them; give -data-dir
to keep it. Otherwise -config names the configuration. Tasks of a device go on
running when its agent stops, and are taken up again when it starts.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dev == (file != "") {
				return usageError("give either -dev or -config FILE")
			}
			if dev {
				return e.runDev(cmd.Context(), dataDir, http, quic, logLevel)
			}
			cfg, err := config.Load(file)
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			override(&cfg.HTTP.Addr, http)
			override(&cfg.QUIC, quic)
			override(&cfg.LogLevel, logLevel)
			if dataDir != "" {
				if cfg.DataDir, err = filepath.Abs(dataDir); err != nil {
					return err
				}
			}
			return e.runAgent(cmd.Context(), cfg, agentOptions{})
		},
	}
	c.Flags().BoolVar(&dev, "dev", false, "server and device in one process, on loopback, in a temporary folder")
	c.Flags().StringVar(&file, "config", "", "configuration file")
	c.Flags().StringVar(&dataDir, "data-dir", "", "folder for everything that is kept")
	c.Flags().StringVar(&http, "http", "", "address of the HTTP API, host:port")
	c.Flags().StringVar(&quic, "quic", "", "address of the server's QUIC socket, host:port (UDP)")
	c.Flags().StringVar(&logLevel, "log-level", "", "debug, info, warn or error")
	c.AddCommand(e.agentCheck(), e.agentStatus(), e.agentGeneralize())
	return c
}

func override(p *string, v string) {
	if v != "" {
		*p = v
	}
}

// agentOptions are what the ways to start an agent differ in.
type agentOptions struct {
	dev         bool
	temporary   bool // the data folder goes when the agent ends, and its tasks with it
	fixedHTTP   bool // the user chose the port: do not try the next one
	fixedQUIC   bool
	onReachable func(address, token string)
}

// agentLimits: how many ports a dev agent tries beyond the default.
const portsTried = 32

func (e *env) runDev(ctx context.Context, dataDir, http, quic, logLevel string) error {
	o := agentOptions{dev: true, fixedHTTP: http != "", fixedQUIC: quic != ""}
	if dataDir == "" {
		dir, err := os.MkdirTemp("", "dunlin-dev-")
		if err != nil {
			return err
		}
		dataDir, o.temporary = dir, true
		defer os.RemoveAll(dir)
	}
	cfg, err := config.Dev(dataDir)
	if err != nil {
		return err
	}
	override(&cfg.HTTP.Addr, http)
	override(&cfg.QUIC, quic)
	override(&cfg.LogLevel, logLevel)
	o.onReachable = func(address, token string) {
		forget, err := writeDev(DevAgent{Address: address, Token: token, PID: os.Getpid(), DataDir: dataDir})
		if err != nil {
			fmt.Fprintln(e.Err, "Warning: commands will not find this agent by themselves:", err)
			return
		}
		context.AfterFunc(ctx, forget)
	}
	return e.runAgent(ctx, cfg, o)
}

// runAgent runs what the configuration asks for until ctx ends.
func (e *env) runAgent(ctx context.Context, cfg *config.Config, o agentOptions) error {
	log, err := e.logger(cfg)
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		fault error
	)
	run := func(f func() error) {
		wg.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				fault = errors.Join(fault, err)
				mu.Unlock()
				cancel() // one part's failure ends the agent
			}
		})
	}
	var local *localServer
	if cfg.Server != nil {
		growHeap(serverGCPercent)
		s, err := startServer(ctx, e, cfg, o, log)
		if err != nil {
			return err
		}
		run(func() error { return s.Run(ctx) })
		local = s.local()
	}
	if cfg.Client != nil {
		run(func() error { return e.runDevice(ctx, cfg, o, local, log) })
	}
	wg.Wait()
	return fault
}

// serverGCPercent is how much a server's heap may grow, in percent of what lives in it, before the next collection. See docs/rationale.md.
const serverGCPercent = 50

// growHeap applies such a figure, unless the operator says otherwise in the way that all Go programs know.
func growHeap(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

func (e *env) logger(cfg *config.Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, fmt.Errorf("log_level %q: use debug, info, warn or error", cfg.LogLevel)
	}
	o := &slog.HandlerOptions{Level: level}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(e.Err, o)), nil
	}
	return slog.New(slog.NewTextHandler(e.Err, o)), nil
}
