package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
	"github.com/spf13/cobra"
)

// joinTimeout bounds the whole exchange with one server.
const joinTimeout = 20 * time.Second

func (e *env) join() *cobra.Command {
	var name, dataDir, http string
	var noStart, rawExec bool
	c := &cobra.Command{
		Use:   "join INVITE",
		Short: "Enter a region as a device, with the line of: dunlin node invite",
		Long: `Makes the device's key, spends the invite, stores the certificate, writes the
agent's configuration into the data folder and starts the agent. The key never
leaves the device.`,
		Args: exactly("an invite"),
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := newJoining(args[0], name, dataDir)
			if err != nil {
				return err
			}
			answer, err := j.ask(cmd.Context())
			if err != nil {
				return err
			}
			if answer.Role == fleet.InviteRoleGateway {
				dir, err := j.storeGateway(answer)
				if err == nil {
					fmt.Fprintf(e.Out, "joined region %s as gateway %s\ncertificates: %s\n", answer.Region, answer.Node, dir)
				}
				return err
			}
			file, err := j.store(answer, http, rawExec)
			if err != nil {
				return err
			}
			fmt.Fprintf(e.Out, "joined region %s as %s (node %s)\nconfiguration: %s\n", answer.Region, answer.Name, fleet.ShortID(answer.Node.String()), file)
			if noStart {
				fmt.Fprintf(e.Out, "start the agent with: dunlin agent -config %s\n", file)
				return nil
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			return e.runAgent(cmd.Context(), cfg, agentOptions{})
		},
	}
	c.Flags().StringVar(&name, "name", "", "the device's name (default: the host name)")
	c.Flags().StringVar(&dataDir, "data-dir", config.DefaultDataDir, "the agent's folder")
	c.Flags().StringVar(&http, "http", "", "where the agent tells its local state (default 127.0.0.1:4646)")
	c.Flags().BoolVar(&rawExec, "allow-raw-exec", false, "let jobs run programs of this device without a sandbox")
	c.Flags().BoolVar(&noStart, "no-start", false, "only join; do not start the agent")
	return c
}

// joining is one attempt to enter a region.
type joining struct {
	invite  trust.Invite
	name    string
	dataDir string
}

func newJoining(line, name, dataDir string) (*joining, error) {
	invite, err := trust.ParseInvite(strings.TrimSpace(line))
	if err != nil {
		return nil, usageError("%w", err)
	}
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	if _, err := trust.LoadFolder(filepath.Join(dir, config.TLSDir)); err == nil {
		return nil, fmt.Errorf("%s holds a device that has joined already; start it with dunlin agent -config %s, or choose another -data-dir",
			dir, filepath.Join(dir, config.AgentFile))
	}
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("the machine has no host name (%w); give one with -name", err)
		}
	}
	return &joining{invite: invite, name: name, dataDir: dir}, nil
}

// credentials is an answer with the key it belongs to.
type credentials struct {
	*wire.JoinAnswer
	files trust.Files
}

// ask tries each server of the invite until one answers. A refusal is final: the
// token is the same everywhere.
func (j *joining) ask(ctx context.Context) (*credentials, error) {
	key, err := trust.NewKey()
	if err != nil {
		return nil, err
	}
	keyPEM, err := trust.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	servers, err := link.ParseServers(j.invite.Addresses)
	if err != nil {
		return nil, usageError("the invite: %w", err)
	}
	w, err := newWays(trust.JoinClient{Fingerprint: j.invite.Fingerprint, Key: key, Clock: trust.NewDeviceClock(time.Now)})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var failed []error
	for _, server := range servers {
		answer, err := j.askOne(ctx, w, server)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if answer.Error != "" {
			return nil, errors.New(answer.Error)
		}
		return &credentials{answer, trust.Files{CA: answer.CAPEM, Cert: answer.CertPEM, Key: keyPEM}}, nil
	}
	return nil, &exitError{ExitUnreachable, fmt.Errorf("no server of the invite could be reached:\n%w\nthe invite was not used; try again", errors.Join(failed...))}
}

func (j *joining) askOne(ctx context.Context, w *ways, server link.Server) (*wire.JoinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	l, err := w.dial(ctx, server, trust.ProtocolJoin)
	if err != nil {
		return nil, err
	}
	defer l.Close(link.CodeDone, "")
	st, err := l.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := st.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if err := wire.Write(st, &wire.Header{Kind: wire.KindJoin}); err != nil {
		return nil, err
	}
	if err := wire.Write(st, &wire.JoinRequest{Token: j.invite.Token, Name: j.name}); err != nil {
		return nil, err
	}
	var answer wire.JoinAnswer
	if err := wire.Read(st, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// storeGateway writes the certificate only: a gateway is no agent and needs no
// configuration of one.
func (j *joining) storeGateway(c *credentials) (string, error) {
	if _, err := c.files.Material(); err != nil {
		return "", fmt.Errorf("the server's answer does not fit together: %w", err)
	}
	dir := filepath.Join(j.dataDir, config.TLSDir)
	if err := c.files.SaveTwice(dir); err != nil {
		return "", fmt.Errorf("store the certificate: %w; the invite is spent, ask for a new one", err)
	}
	return dir, nil
}

// store writes certificate and configuration and returns the latter's path.
func (j *joining) store(c *credentials, http string, rawExec bool) (string, error) {
	if _, err := c.files.Material(); err != nil {
		return "", fmt.Errorf("the server's answer does not fit together: %w", err)
	}
	if err := c.files.SaveTwice(filepath.Join(j.dataDir, config.TLSDir)); err != nil {
		return "", fmt.Errorf("store the certificate: %w; the invite is spent, ask for a new one", err)
	}
	file := filepath.Join(j.dataDir, config.AgentFile)
	text, err := config.DeviceFile(config.Device{
		Name: c.Name, Region: c.Region, Datacenter: c.Datacenter, DataDir: j.dataDir,
		Pool: c.Pool, Servers: j.invite.Addresses, HTTP: http, RawExec: rawExec,
	})
	if err != nil {
		return "", err
	}
	return file, trust.WriteFile(file, text)
}
