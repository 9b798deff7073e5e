package config

import "fmt"

// Where a Wasm guest finds its own folders.
const (
	GuestAllocDir = "/alloc"
	GuestTaskDir  = "/local"
)

// CheckMount refuses a mount at a destination that the named driver cannot make. Of drivers that it does not know it says nothing:
// [Check] does.
func CheckMount(driver, destination string) error {
	switch {
	case driver == RawExecDriver:
		return fmt.Errorf("raw_exec cannot mount %s: its tasks see the device's own files; use the folder's path on the device, or the wasm driver", destination)
	case driver == WasmDriver && (destination == GuestAllocDir || destination == GuestTaskDir):
		return fmt.Errorf("%s is where a guest finds the folders of its allocation; mount the volume elsewhere", destination)
	}
	return nil
}
