package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/dunlin-edge/dunlin/edge/statedb"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// hostSocket is where the process that holds the tasks answers.
var hostSocket = filepath.Join("host", "host.sock")

// Generalize takes from a data folder what makes it one device's: key and
// certificate, the state with the node's ID and all it was told to run, and the
// folders of its allocations. What is the same on every device stays: the
// configuration, the region's CA, modules. It refuses while an agent or tasks of
// the folder run, and in the folder of a server. It may be run again.
func Generalize(dataDir string, tlsDir string) error {
	if _, err := os.Stat(filepath.Join(dataDir, "server")); err == nil {
		return fmt.Errorf("%s holds a server too; an image is made of devices only", dataDir)
	}
	if conn, err := net.DialTimeout("unix", filepath.Join(dataDir, hostSocket), time.Second); err == nil {
		return errors.Join(fmt.Errorf("tasks of %s run, or ended less than a minute ago; stop their jobs, wait and try again", dataDir), conn.Close())
	}
	release, err := statedb.Hold(dataDir)
	if err != nil {
		return fmt.Errorf("an agent runs on %s, or its state cannot be opened: %w", dataDir, err)
	}
	defer release()
	// The key goes first, after its copy: a half-generalized folder must not be a device.
	var paths []string
	for _, name := range trust.IdentityFiles() {
		paths = append(paths, filepath.Join(tlsDir, name))
	}
	paths = append(paths, "alloc", "host", "logs")
	for _, path := range append(paths, statedb.Files()...) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dataDir, path)
		}
		if err := os.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", path, err)
		}
	}
	return nil
}
