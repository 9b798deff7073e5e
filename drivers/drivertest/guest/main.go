// Command guest is the conformance suite's program for GOOS=wasip1.
package main

import (
	"os"

	"github.com/dunlin-edge/dunlin/drivers/drivertest/program"
)

func main() { os.Exit(program.Main(os.Args[1])) }
