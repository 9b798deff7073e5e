package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/spf13/cobra"
)

func (e *env) serverCmd() *cobra.Command {
	c := &cobra.Command{Use: "server", Short: "Servers of the region"}
	var asJSON bool
	members := &cobra.Command{
		Use: "members", Short: "List the servers", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			m, err := c.Members(cmd.Context())
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(m)
			}
			leader, err := c.Leader(cmd.Context())
			if err != nil {
				return e.explain(c, err)
			}
			t := newTable(e.Out, "NAME", "ADDRESS", "STATUS", "LEADER", "REGION", "VERSION", "CERTIFICATE", "CA")
			for _, s := range m.Members {
				addr := fmt.Sprintf("%s:%d", s.Addr, s.Port)
				t.row(s.Name, addr, s.Status, addr == leader, s.Tags["region"], s.Tags["build"], dateOf(s.Tags["expires"]), dateOf(s.Tags["ca_expires"]))
			}
			if err := t.flush(); err != nil {
				return err
			}
			if what, when := firstEnd(m.Members); what != "" {
				fmt.Fprintf(e.Out, "\nfirst to end: %s, on %s\n", what, when)
			}
			return nil
		},
	}
	jsonFlag(members, &asJSON)
	c.AddCommand(members)
	return c
}

// dateOf shortens a time of a tag to its day.
func dateOf(tag string) string {
	day, _, _ := strings.Cut(tag, "T")
	return day
}

// firstEnd is which certificate of the servers and their CA ends first, and when.
func firstEnd(members []*api.AgentMember) (what, when string) {
	for _, m := range members {
		for tag, name := range map[string]string{"expires": "the certificate of " + m.Name, "ca_expires": "the region's CA"} {
			// Tags are RFC 3339 in UTC, which sorts as text.
			if end := m.Tags[tag]; end != "" && (what == "" || end < when || end == when && name < what) {
				what, when = name, end
			}
		}
	}
	return what, dateOf(when)
}

func (e *env) moduleCmd() *cobra.Command {
	c := &cobra.Command{Use: "module", Short: "Wasm modules that the region holds"}
	c.AddCommand(e.moduleList(), e.moduleInspect())
	return c
}

func (e *env) moduleList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the modules the region holds", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			mods, _, err := c.Modules(cmd.Context(), nil)
			if err != nil {
				return e.explain(c, err)
			}
			if asJSON {
				return e.printJSON(mods)
			}
			t := newTable(e.Out, "DIGEST", "NAME", "SIZE", "PUSHED")
			for _, m := range mods {
				t.row(shortDigest(m.Digest), m.Name, size(m.SizeBytes), ago(m.PushedAt, time.Now()))
			}
			return t.flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) moduleInspect() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "inspect FILE|DIGEST", Short: "Show what a module is and whether it can run", Args: exactly("a file or a digest"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := inspectModule(args[0])
			if err != nil && m.Digest == "" {
				if remote, rerr := e.remoteModule(cmd, args[0]); rerr == nil {
					return e.printJSON(remote)
				}
				return err
			}
			if asJSON {
				return e.printJSON(m)
			}
			mem := "none"
			if len(m.Info.Memories) > 0 {
				mem = fmt.Sprintf("%d KiB at least", m.Info.Memories[0].MinPages*64)
			}
			return pairs(e.Out, "File", m.Path, "Digest", m.Digest, "Size", size(m.Size), "Kind", m.Info.Kind,
				"Made by", m.Info.MadeBy(), "Memory", mem, "Imports", len(m.Info.Imports), "Runs here", "yes, as a WASI preview1 command")
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func (e *env) remoteModule(cmd *cobra.Command, digest string) (any, error) {
	c, err := e.client()
	if err != nil {
		return nil, err
	}
	mods, _, err := c.Modules(cmd.Context(), &api.QueryOptions{Prefix: digest})
	if err != nil {
		return nil, err
	}
	if len(mods) != 1 {
		return nil, fmt.Errorf("%d modules begin with %q", len(mods), digest)
	}
	return mods[0], nil
}
