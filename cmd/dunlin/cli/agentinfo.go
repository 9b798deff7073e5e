package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/config"
	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
	"github.com/spf13/cobra"
)

// localTimeout bounds a question to the agent on this machine.
const localTimeout = 5 * time.Second

func (e *env) agentStatus() *cobra.Command {
	var addr string
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show what the device on this machine runs, without a server", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := localState(cmd.Context(), addr)
			if err != nil {
				return &exitError{ExitUnreachable, err}
			}
			if asJSON {
				return e.printJSON(s)
			}
			link := "up, to " + s.Link.Server + ", " + transportWords(s.Link.Transport, s.Link.UDPFiltered)
			if !s.Link.Up {
				link = "down: " + s.Link.Reason
			}
			lines := append([]any{"Node", fmt.Sprintf("%s (%s)", s.Name, s.NodeID), "Region", s.Region, "Link", link,
				"Since", ago(s.Link.Since.UnixNano(), time.Now()), "Generation", s.Generation, "Untold", s.Untold,
				"Traffic", localTraffic(&s.Traffic),
				"Logs kept", fmt.Sprintf("%s of what is gone; all logs may have %s", size(s.LogBytes), size(s.LogQuota))}, writtenPairs(s.Written)...)
			if s.Unwritten != "" {
				lines = append(lines, "Disk", "nothing new is started until it takes the state: "+s.Unwritten)
			}
			if err := pairs(e.Out, lines...); err != nil {
				return err
			}
			if len(s.Allocs) == 0 {
				return nil
			}
			fmt.Fprintln(e.Out)
			t := newTable(e.Out, "ALLOC", "NAME", "VERSION", "DESIRED", "STATUS", "STARTED", "RESTARTS")
			for _, a := range s.Allocs {
				var started time.Time
				restarts := uint64(0)
				for _, task := range a.Tasks {
					started, restarts = task.StartedAt, restarts+task.Restarts
				}
				when := "never"
				if !started.IsZero() {
					when = ago(started.UnixNano(), time.Now())
				}
				t.row(a.ID[:8], a.Name, a.JobVersion, a.Desired, a.Status, when, restarts)
			}
			return t.flush()
		},
	}
	c.Flags().StringVar(&addr, "http", fmt.Sprintf("127.0.0.1:%d", config.DefaultHTTPPort), "where the device's agent tells its state")
	jsonFlag(c, &asJSON)
	return c
}

func localState(ctx context.Context, addr string) (*agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/agent/device", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no agent of a device answers at %s: %w", addr, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the agent at %s answered %s; is it a server? then ask: dunlin node status", addr, resp.Status)
	}
	var s agent.Status
	return &s, json.NewDecoder(resp.Body).Decode(&s)
}

func (e *env) agentCheck() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Find out why a device cannot reach its region",
		Long: `Tries, for each server in the device's configuration, what a link needs: its
name, a route, UDP, the handshake, the certificates and the clock; and says which
fails and what to do.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			if cfg.Client == nil {
				return usageError("%s configures no device; agent check is for devices", file)
			}
			keeper, servers, err := deviceTrust(cfg, nil, trust.LoadFolder) // mending is for the agent that has the folder
			if err != nil {
				return err
			}
			material := keeper.Material()
			now := time.Now()
			if leaf := material.Cert; now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
				fmt.Fprintf(e.Out, "clock        wrong or certificate expired: it is %s here, the certificate is valid %s to %s\n",
					now.Format(time.DateOnly), leaf.NotBefore.Format(time.DateOnly), leaf.NotAfter.Format(time.DateOnly))
			} else {
				fmt.Fprintf(e.Out, "clock        plausible: %s\n", now.Format(time.RFC3339))
			}
			parsed, err := link.ParseServers(servers)
			if err != nil {
				return &exitError{ExitUsage, err}
			}
			failed := false
			for _, s := range parsed {
				failed = !e.checkServer(cmd.Context(), material, s) || failed
			}
			if failed {
				return &exitError{ExitUnreachable, nil}
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "config", filepath.Join(config.DefaultDataDir, config.AgentFile), "the device's configuration")
	return c
}

// checkServer goes from the name to the handshake and stops where it breaks. A server that can be reached by any of its
// transports is reached.
func (e *env) checkServer(ctx context.Context, m *trust.Material, s link.Server) bool {
	c := check{out: e.Out, server: s.Address()}
	w, err := newWays(trust.Client{Source: m.Source(), Clock: trust.NewClock(time.Now)})
	if err != nil {
		c.say("socket", "%v", err)
		return false
	}
	defer w.Close()
	if !c.path(ctx, s) {
		return false
	}
	answered, ok := false, false
	if s.QUIC != "" {
		if answered, ok = c.knock(ctx, "udp", w.quic, s.QUIC); answered {
			return ok
		}
	}
	if s.TLS == "" {
		return false
	}
	if answered, ok = c.knock(ctx, "tcp", w.tls, s.TLS); ok && s.QUIC != "" {
		c.say("advice", "UDP to %s is filtered on the way, TLS over TCP works: the device links by it and probes UDP; let UDP out to save data", s.QUIC)
	}
	return answered && ok
}

// check tells what was found about one server.
type check struct {
	out    io.Writer
	server string
}

func (c check) say(what, format string, args ...any) {
	fmt.Fprintf(c.out, "%-12s %s: %s\n", what, c.server, fmt.Sprintf(format, args...))
}

// path looks for the server's name and a route to it.
func (c check) path(ctx context.Context, s link.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(strings.TrimSuffix(s.Address(), trust.TCPSuffix))
	if err != nil {
		c.say("address", "%v", err)
		return false
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		c.say("dns", "%s has no address: %v; check the name and the device's resolver", host, err)
		return false
	}
	c.say("dns", "%s", strings.Join(addrs, ", "))
	conn, err := net.Dial("udp", net.JoinHostPort(addrs[0], port))
	if err != nil {
		c.say("route", "none to %s: %v; check the network", addrs[0], err)
		return false
	}
	c.say("route", "from %s", conn.LocalAddr())
	if err := conn.Close(); err != nil {
		c.say("route", "%v", err)
	}
	return true
}

// knock tries one transport. It reports whether anybody answered, and whether the server accepted the device.
func (c check) knock(ctx context.Context, way string, d link.Dialer, address string) (answered, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	l, err := d.Dial(ctx, address, trust.ProtocolEdge)
	var refusal *trust.Refusal
	switch {
	case errors.As(err, &refusal):
		c.say(way, "open")
		c.say("tls", "%v", refusal)
		return true, false
	case err != nil:
		c.say(way, "%v", err)
		return false, false
	}
	c.say(way, "open")
	c.say("tls", "accepted, peer %s, %s, round trip %s", l.Peer(), l.Transport(), l.Stats().RoundTrip.Round(time.Microsecond))
	return true, l.Close(link.CodeDone, "check") == nil
}

// portTaken names the port and how to choose another.
func portTaken(what, addr, how string, err error) error {
	return fmt.Errorf("%s port: %s cannot be used (%w); choose another with %s", what, addr, err, how)
}

// writeDev notes a running dev agent for commands on this machine; forget
// removes the note.
func writeDev(d DevAgent) (forget func(), err error) {
	path := DevFile()
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := trust.WriteFile(path, b); err != nil {
		return nil, err
	}
	return func() {
		if now, ok := readDev(); ok && now.PID == d.PID {
			_ = os.Remove(path) // a note that stays is ignored: its process is gone
		}
	}, nil
}

func loadTLS(t *config.TLS) (*trust.Material, error) {
	var f trust.Files
	for _, p := range []struct {
		path string
		to   *[]byte
	}{{t.CA, &f.CA}, {t.Cert, &f.Cert}, {t.Key, &f.Key}} {
		b, err := os.ReadFile(p.path)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		*p.to = b
	}
	return f.Material()
}
