// Command exit ends with the exit code given as argument, 0 without one.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	code, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "exit: the argument is an exit code:", err)
		os.Exit(64)
	}
	os.Exit(code)
}
