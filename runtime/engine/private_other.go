//go:build !unix

package engine

// privateDir relies on the user's own profile folder elsewhere: modes say nothing there.
func privateDir(string) error { return nil }
