// Command spin says "up" and then counts, for some centuries, without ever calling its host.
package main

import "fmt"

func main() {
	fmt.Println("up")
	n := uint64(1)
	for n != 0 {
		n++
	}
	fmt.Println("wrapped around")
}
