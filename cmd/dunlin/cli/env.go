package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
)

// env is what all commands share: flags of the root, and the way to the region.
type env struct {
	IO
	address, region, token, ca, cert, key string
}

// DevFile is where a running dev agent notes its address and access, so that
// commands on the same machine find it by themselves.
func DevFile() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("dunlin-%d", os.Getuid()))
	} else {
		dir = filepath.Join(dir, "dunlin")
	}
	return filepath.Join(dir, "dev.json")
}

// DevAgent is what the file holds.
type DevAgent struct {
	Address string
	Token   string `json:",omitempty"`
	PID     int
	DataDir string
}

func (e *env) first(flag string, names ...string) string {
	if flag != "" {
		return flag
	}
	for _, n := range names {
		if v := e.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// client is the way to the region: flags, then environment, then a dev agent
// on this machine, then the default port.
func (e *env) client() (*api.Client, error) {
	c := api.Config{
		Address:  e.first(e.address, "DUNLIN_ADDR", "NOMAD_ADDR"),
		Region:   e.first(e.region, "DUNLIN_REGION", "NOMAD_REGION"),
		Token:    e.first(e.token, "DUNLIN_TOKEN", "NOMAD_TOKEN"),
		CAFile:   e.first(e.ca, "DUNLIN_CACERT", "NOMAD_CACERT"),
		CertFile: e.first(e.cert, "DUNLIN_CLIENT_CERT", "NOMAD_CLIENT_CERT"),
		KeyFile:  e.first(e.key, "DUNLIN_CLIENT_KEY", "NOMAD_CLIENT_KEY"),
	}
	if c.Address == "" {
		if dev, ok := readDev(); ok {
			c.Address = dev.Address
			if c.Token == "" {
				c.Token = dev.Token
			}
		}
	}
	client, err := api.New(c)
	if err != nil {
		return nil, &exitError{ExitUsage, err}
	}
	return client, nil
}

func readDev() (DevAgent, bool) {
	b, err := os.ReadFile(DevFile())
	if err != nil {
		return DevAgent{}, false
	}
	var d DevAgent
	if json.Unmarshal(b, &d) != nil || !alive(d.PID) {
		return DevAgent{}, false
	}
	return d, true
}

// explain turns an error of the client into what the user can act on.
func (e *env) explain(c *api.Client, err error) error {
	var ae *api.Error
	var op *net.OpError
	var ue *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ae):
		return &exitError{ExitFailed, errors.New(ae.Message)}
	case errors.As(err, &op) && op.Op == "dial":
		return &exitError{ExitUnreachable, fmt.Errorf("nothing answers at %s (%v); start a server (dunlin agent -dev), or name one with -address or DUNLIN_ADDR", c.Address(), op.Err)}
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return &exitError{ExitUnreachable, fmt.Errorf("%s is not certified by a CA known here; give the region's with -ca-cert or DUNLIN_CACERT (the server keeps it as server/tls/ca.pem in its data folder)", c.Address())}
	case errors.As(err, &ue) && !errors.Is(err, context.Canceled):
		return &exitError{ExitUnreachable, fmt.Errorf("no answer from %s: %v", c.Address(), ue.Err)}
	}
	return err
}

// printJSON prints a value as the API has it.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// node finds a device by ID, prefix or name.
func (e *env) node(ctx context.Context, c *api.Client, word string) (*fleet.Node, error) {
	n, _, err := c.Node(ctx, fleet.NodeID(word), nil)
	if err == nil {
		return n, nil
	}
	if !api.IsNotFound(err) {
		return nil, e.explain(c, err)
	}
	return nil, fmt.Errorf("no node has the name or ID %q; dunlin node status lists them", word)
}

// clientAndJob is the way to the region and the job that a word means there.
func (e *env) clientAndJob(ctx context.Context, word string) (*api.Client, *fleet.Job, error) {
	c, err := e.client()
	if err != nil {
		return nil, nil, err
	}
	j, err := e.job(ctx, c, word)
	return c, j, err
}

// job finds a job by ID or unambiguous prefix.
func (e *env) job(ctx context.Context, c *api.Client, word string) (*fleet.Job, error) {
	j, _, err := c.Job(ctx, fleet.JobID(word), nil)
	if err == nil {
		return j, nil
	}
	if !api.IsNotFound(err) {
		return nil, e.explain(c, err)
	}
	stubs, _, err := c.Jobs(ctx, &api.QueryOptions{Prefix: word})
	if err != nil {
		return nil, e.explain(c, err)
	}
	switch len(stubs) {
	case 0:
		return nil, fmt.Errorf("no job is named %q; dunlin status lists them", word)
	case 1:
		j, _, err := c.Job(ctx, stubs[0].ID, nil)
		return j, e.explain(c, err)
	}
	var names []string
	for _, s := range stubs {
		names = append(names, string(s.ID))
	}
	return nil, fmt.Errorf("%q is the beginning of %d jobs: %s", word, len(names), strings.Join(names, ", "))
}
