//go:build !linux

package engine

// yield does nothing where wasm tasks do not run.
func yield() {}

func memoryBytes() int64 { return 0 }
