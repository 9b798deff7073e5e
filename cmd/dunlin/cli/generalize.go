package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/wire/trust"
	"github.com/spf13/cobra"
)

// inviteFile is where an image carries the invite by which each of its copies
// joins at its first start.
const inviteFile = "invite"

// imageJoinEvery is the pause between two tries of a copy to join.
const imageJoinEvery = 15 * time.Second

func (e *env) agentGeneralize() *cobra.Command {
	var dataDir, invite string
	c := &cobra.Command{
		Use:   "generalize",
		Short: "Make a data folder fit for a disk image: without identity",
		Long: `Removes key, certificate, node ID, state and allocations of this device, and its
name from the configuration; keeps the configuration, the region's CA and the
modules. Refuses while an agent or tasks run. With -invite, which should be for
many devices (dunlin node invite -count), each copy joins by itself at its first
start, under its host name.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := filepath.Abs(dataDir)
			if err != nil {
				return err
			}
			if invite != "" {
				if _, err := trust.ParseInvite(invite); err != nil {
					return usageError("%w", err)
				}
			}
			if _, err := os.Stat(dir); err != nil {
				return fmt.Errorf("no data folder: %w; give it with -data-dir", err)
			}
			if err := agent.Generalize(dir, filepath.Join(dir, config.TLSDir)); err != nil {
				return err
			}
			if err := forgetName(filepath.Join(dir, config.AgentFile)); err != nil {
				return err
			}
			if invite != "" {
				if err := trust.WriteFile(filepath.Join(dir, inviteFile), []byte(strings.TrimSpace(invite)+"\n")); err != nil {
					return err
				}
			}
			fmt.Fprintf(e.Out, "%s holds no identity any more\n", dir)
			if _, err := os.Stat(filepath.Join(dir, inviteFile)); err == nil {
				fmt.Fprintln(e.Out, "each copy joins by the invite in it at its first start")
			} else {
				fmt.Fprintln(e.Out, "on each copy run: dunlin join INVITE")
			}
			return nil
		},
	}
	c.Flags().StringVar(&dataDir, "data-dir", config.DefaultDataDir, "the device's data folder")
	c.Flags().StringVar(&invite, "invite", "", "an invite that the copies join by")
	return c
}

// forgetName takes the device's name out of its configuration.
func forgetName(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // configured elsewhere
	}
	if err != nil {
		return err
	}
	text, err = config.WithoutName(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return trust.WriteFile(file, text)
}

// joinByImage lets a copy of an image in: a device without certificate whose
// folder holds an invite. It tries until a server answers. The invite goes once
// it was used: a copy must not carry what lets others in.
func (e *env) joinByImage(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	path := filepath.Join(cfg.DataDir, inviteFile)
	line, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(cfg.DataDir, config.TLSDir)
	if _, err := trust.LoadFolder(dir); err == nil {
		return os.Remove(path) // it has joined, and was interrupted before this
	}
	j, err := newJoining(string(line), cfg.Name, cfg.DataDir)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for {
		answer, err := j.ask(ctx)
		if err == nil {
			log.Info("joined by the image's invite", "node", answer.Node, "region", answer.Region)
			if err := answer.files.SaveTwice(dir); err != nil {
				return err
			}
			return os.Remove(path)
		}
		if unreachable, ok := errors.AsType[*exitError](err); !ok || unreachable.code != ExitUnreachable {
			return err
		}
		log.Warn("the image's invite could not be used yet", "cause", err, "again_in", imageJoinEvery)
		select {
		case <-time.After(imageJoinEvery):
		case <-ctx.Done():
			return nil
		}
	}
}
