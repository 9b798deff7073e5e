// Command dunlin is the whole product in one binary: server, agent, the process
// that holds guests, and the command line.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/dunlin-edge/dunlin/cmd/dunlin/cli"
	"github.com/dunlin-edge/dunlin/runtime/engine"
	"github.com/dunlin-edge/dunlin/runtime/host"
)

func main() {
	// The two helper processes are started by agents, thousands of times on a
	// busy device: they leave before the command line is built.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "guest":
			os.Exit(engine.Main(os.NewFile(3, "spec"), os.NewFile(4, "report")))
		case "host":
			os.Exit(runHost(os.Args[2:]))
		}
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Std()))
}

func runHost(args []string) int {
	if len(args) != 2 || args[0] != "-dir" {
		fmt.Fprintln(os.Stderr, "dunlin host is started by the agent: dunlin host -dir DIR")
		return 2
	}
	if err := host.Main(context.Background(), host.Options{Dir: args[1]}); err != nil {
		fmt.Fprintln(os.Stderr, "dunlin host:", err)
		return 1
	}
	return 0
}
