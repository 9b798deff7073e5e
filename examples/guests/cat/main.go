// Command cat copies standard input to standard output until the end of input, then says how many bytes it saw.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	n, err := io.Copy(os.Stdout, os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cat:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "end of input after %d bytes\n", n)
}
