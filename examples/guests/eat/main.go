// Command eat takes memory, 1 MiB at a time, and keeps it: for ever, or until it has the number of MiB given as argument.
package main

import (
	"fmt"
	"os"
	"strconv"
)

var kept [][]byte

func main() {
	want := 0
	if len(os.Args) > 1 {
		n, err := strconv.Atoi(os.Args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, "eat: the argument is a number of MiB:", err)
			os.Exit(64)
		}
		want = n
	}
	for i := 1; want == 0 || i <= want; i++ {
		block := make([]byte, 1<<20)
		for j := 0; j < len(block); j += 4096 {
			block[j] = 1
		}
		kept = append(kept, block)
		fmt.Println(i, "MiB")
	}
}
