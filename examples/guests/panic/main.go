// Command panic follows a nil pointer, which a Go guest answers with a panic on standard error and exit code 2.
package main

import "fmt"

type ship struct{ name string }

//go:noinline
func find(string) *ship { return nil }

func main() { fmt.Println(find("lost").name) }
