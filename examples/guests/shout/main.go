// Command shout writes as many numbered lines as its argument says (default 3), odd ones to standard error, and exits 3.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	n := 3
	if len(os.Args) > 1 {
		if v, err := strconv.Atoi(os.Args[1]); err == nil {
			n = v
		}
	}
	for i := range n {
		if i%2 == 0 {
			fmt.Printf("line %d\n", i)
		} else {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
	}
	os.Exit(3)
}
