package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// commands adds every verb to the root, in the order of the help.
func commands(root *cobra.Command, e *env) {
	for _, group := range []struct {
		id  string
		cmd []*cobra.Command
	}{
		{"jobs", []*cobra.Command{e.run(), e.plan(), e.explainCmd(), e.stop(), e.status(), e.logs(), e.jobCmd(), e.allocCmd(), e.evalCmd()}},
		{"fleet", []*cobra.Command{e.nodeCmd(), e.join(), e.serverCmd(), e.moduleCmd(), e.operatorCmd(), e.systemCmd(), e.agentCmd(), e.tlsCmd(), e.simCmd()}},
		{"files", []*cobra.Command{e.initCmd(), e.validate(), e.fmtCmd()}},
	} {
		for _, c := range group.cmd {
			if c == nil { // left out of this build
				continue
			}
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(e.version())
}

func (e *env) version() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return e.printJSON(map[string]string{"Version": Version, "Go": runtime.Version(), "Platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			fmt.Fprintf(e.Out, "Dunlin %s (%s, %s/%s)\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func jsonFlag(c *cobra.Command, p *bool) {
	c.Flags().BoolVar(p, "json", false, "print JSON as the HTTP API has it")
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%s takes no argument, got %q; see: %s -help", c.CommandPath(), args[0], c.CommandPath())
	}
	return nil
}

// exactly wants these arguments, by name.
func exactly(names ...string) cobra.PositionalArgs {
	return between(len(names), names...)
}

// between wants at least min of these arguments.
func between(min int, names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < min {
			return usageError("%s needs %s; see: %s -help", c.CommandPath(), names[len(args)], c.CommandPath())
		}
		if len(args) > len(names) {
			return usageError("%s does not know what to do with %q; see: %s -help", c.CommandPath(), args[len(names)], c.CommandPath())
		}
		return nil
	}
}
