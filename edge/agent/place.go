package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"os"

	"github.com/dunlin-edge/dunlin/fleet"
)

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// place names where this agent runs: this boot of this system, and this very data
// folder. An agent that was restarted is in its old place, whose lock only one
// process can hold, so its new link takes over at once. A copy of the disk in
// another machine, or of the folder in another container, is in another place.
// Where that cannot be known each process is a place of its own.
func place(dataDir string) fleet.UUID {
	boot, err := os.ReadFile(bootIDFile)
	folder, ok := folderID(dataDir)
	if err != nil || !ok {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		return fleet.MintUUID(random)
	}
	sum := sha256.Sum256([]byte(string(boot) + "\n" + folder))
	return fleet.UUID(sum[:16])
}
