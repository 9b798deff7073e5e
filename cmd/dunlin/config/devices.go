package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// deviceFile is a device block: one kind, by VENDOR/TYPE/NAME. What it lists is taken at its word: what an ID means, a file or the
// number on a label, is between operator and task.
type deviceFile struct {
	Name       string            `hcl:"name,label"`
	IDs        []string          `hcl:"ids"`
	Attributes map[string]string `hcl:"attributes,optional"`
}

func devices(name string, blocks []deviceFile) (out []fleet.NodeDeviceResource, err error) {
	for _, b := range blocks {
		parts := strings.SplitN(b.Name, "/", 3)
		if len(parts) < 3 {
			return nil, fmt.Errorf("%s: client.device %q: write VENDOR/TYPE/NAME, such as \"usb/serial/ftdi\"", name, b.Name)
		}
		d := fleet.NodeDeviceResource{Vendor: parts[0], Type: parts[1], Name: parts[2], Attributes: b.Attributes}
		for _, id := range b.IDs {
			d.Instances = append(d.Instances, fleet.NodeDevice{ID: id, Healthy: true})
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b fleet.NodeDeviceResource) int { return cmp.Compare(a.ID(), b.ID()) })
	if err := fleet.CheckNodeDevices(out); err != nil {
		return nil, fmt.Errorf("%s: client: %w", name, err)
	}
	return out, nil
}
