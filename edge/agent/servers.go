package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// serversFile holds the addresses that the region last told, beside the device's state and not in it: they are worth little (the
// configured ones lead to them again), change rarely, and must be readable to people who look for a device's servers.
const serversFile = "servers.json"

// serversBytesMax bounds the file: as many addresses as are told, with quotes and commas.
const serversBytesMax = wire.ServersMax * (wire.ServerAddressBytesMax + 8)

// keptServers reads what was told in earlier life. A file that cannot be read costs a line, nothing else.
func (a *Agent) keptServers() (addresses []string) {
	path := filepath.Join(a.cfg.DataDir, serversFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > serversBytesMax {
		err = fmt.Errorf("%d bytes; at most %d", info.Size(), serversBytesMax)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err == nil {
		err = json.Unmarshal(b, &addresses)
	}
	if err != nil {
		a.cfg.Log.Warn("the servers learnt earlier cannot be read; the configured ones are used", "file", path, "error", err)
		return nil
	}
	return addresses
}

// keepServers writes what is told, in one step. The session calls it only for what is new.
func (a *Agent) keepServers(addresses []string) error {
	b, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	return trust.WriteFile(filepath.Join(a.cfg.DataDir, serversFile), append(b, '\n'))
}
