//go:build !linux

package engine

// yield does nothing where wasm tasks do not run.
func yield() {}
