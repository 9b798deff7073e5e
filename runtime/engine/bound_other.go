//go:build !linux || race

package engine

// bound does nothing: the race detector's own memory would be counted, and elsewhere there are no wasm tasks.
func bound() {}
