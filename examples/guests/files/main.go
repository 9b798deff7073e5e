// Command files works on files, to show what a guest can reach:
//
//	files write PATH TEXT     files read PATH     files list PATH     files symlink TARGET PATH     files remove PATH
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("want a verb and its arguments, have %q", args)
	}
	switch verb := args[0]; {
	case verb == "write" && len(args) == 3:
		return os.WriteFile(args[1], []byte(args[2]), 0o600)
	case verb == "read":
		b, err := os.ReadFile(args[1])
		os.Stdout.Write(b)
		return err
	case verb == "list":
		entries, err := os.ReadDir(args[1])
		for _, e := range entries {
			fmt.Println(e.Name())
		}
		return err
	case verb == "symlink" && len(args) == 3:
		return os.Symlink(args[1], args[2])
	case verb == "remove":
		return os.Remove(args[1])
	}
	return fmt.Errorf("%q is no verb with that number of arguments", args[0])
}
