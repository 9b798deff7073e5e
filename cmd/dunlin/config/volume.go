package config

import (
	"fmt"
	"path/filepath"

	"github.com/dunlin-edge/dunlin/fleet"
)

// volumeFile is a host_volume block. That its folder is there is not asked for: it may be on a disk that comes later, and a device
// must start without.
type volumeFile struct {
	Name     string `hcl:"name,label"`
	Path     string `hcl:"path"`
	ReadOnly bool   `hcl:"read_only,optional"`
}

func hostVolumes(name string, blocks []volumeFile) (map[string]fleet.HostVolume, error) {
	if len(blocks) == 0 {
		return nil, nil
	}
	if n := len(blocks); n > fleet.HostVolumesMax {
		return nil, fmt.Errorf("%s: client has %d host_volume blocks; at most %d", name, n, fleet.HostVolumesMax)
	}
	out := make(map[string]fleet.HostVolume, len(blocks))
	for _, b := range blocks {
		_, twice := out[b.Name]
		switch {
		case b.Name == "" || len(b.Name) > fleet.VolumeNameBytesMax:
			return nil, fmt.Errorf("%s: client.host_volume %q: give it a name of 1 to %d bytes", name, b.Name, fleet.VolumeNameBytesMax)
		case twice:
			return nil, fmt.Errorf("%s: client.host_volume %q stands there twice; give each its own name", name, b.Name)
		case !filepath.IsAbs(b.Path) || len(b.Path) > fleet.VolumePathsBytesMax:
			return nil, fmt.Errorf("%s: client.host_volume %q: path is %q; write an absolute path", name, b.Name, b.Path)
		}
		out[b.Name] = fleet.HostVolume{Name: b.Name, Path: filepath.Clean(b.Path), ReadOnly: b.ReadOnly}
	}
	return out, nil
}
