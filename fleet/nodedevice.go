package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Limits of devices that a node offers by its configuration.
const (
	NodeDevicesMax          = 64 // kinds
	NodeDeviceInstancesMax  = 256
	NodeDeviceAttributesMax = 64       // of a kind
	NodeDevicesBytesMax     = 64 << 10 // names, IDs and attributes of all; the rest of what a node may tell is for its facts
	DeviceIDBytesMax        = 96
)

const deviceAttribute = "attr."

// NodeDeviceResource is one kind of device that a node offers.
type NodeDeviceResource struct {
	Vendor, Type, Name string
	Instances          []NodeDevice
	Attributes         DeviceAttributes `json:",omitempty"`
}

// NodeDevice is one device.
type NodeDevice struct {
	ID                string // what a task is told; on a node no two have the same
	Healthy           bool   // nobody is given one that is not
	HealthDescription string `json:",omitempty"`
}

// ID is the whole name: VENDOR/TYPE/NAME.
func (d *NodeDeviceResource) ID() string { return d.Vendor + "/" + d.Type + "/" + d.Name }

// Values are what constraints can ask of a kind of device, by the names that DeviceValue gives.
func (d *NodeDeviceResource) Values() map[string]string {
	out := map[string]string{"vendor": d.Vendor, "type": d.Type, "model": d.Name}
	for k, v := range d.Attributes {
		out[deviceAttribute+k] = v
	}
	return out
}

// CheckNodeDevices says what is wrong with the devices of an agent's configuration.
func CheckNodeDevices(ds []NodeDeviceResource) error {
	if n := len(ds); n > NodeDevicesMax {
		return fmt.Errorf("%d kinds of devices; at most %d", n, NodeDevicesMax)
	}
	kinds, ids, size := map[string]bool{}, map[string]bool{}, 0
	for i := range ds {
		d := &ds[i]
		if err := checkDeviceName(d.ID(), deviceNamePartsMax); err != nil {
			return fmt.Errorf("%w; write device \"VENDOR/TYPE/NAME\"", err)
		}
		if kinds[d.ID()] {
			return fmt.Errorf("device %q stands there twice; write all of its ids into one", d.ID())
		}
		kinds[d.ID()] = true
		size += len(d.ID())
		if len(d.Instances) == 0 {
			return fmt.Errorf("device %q has no ids; name at least one", d.ID())
		}
		if n := len(d.Attributes); n > NodeDeviceAttributesMax {
			return fmt.Errorf("device %q has %d attributes; at most %d", d.ID(), n, NodeDeviceAttributesMax)
		}
		for k, v := range d.Attributes {
			size += len(k) + len(v)
			if k == "" || len(k)+len(v) > NodeAttributeBytesMax {
				return fmt.Errorf("device %q: attribute %q has no name, or more than %d bytes", d.ID(), k, NodeAttributeBytesMax)
			}
		}
		for _, x := range d.Instances {
			switch {
			case !isDeviceID(x.ID):
				return fmt.Errorf("device %q: %q is no id; write 1 to %d bytes, without comma and control character", d.ID(), x.ID, DeviceIDBytesMax)
			case ids[x.ID]:
				return fmt.Errorf("device %q: id %q stands there twice, and would be held by two; give each its own", d.ID(), x.ID)
			}
			ids[x.ID] = true
			size += len(x.ID)
		}
	}
	if size > NodeDevicesBytesMax {
		return fmt.Errorf("the names, ids and attributes of devices have %d bytes; at most %d", size, NodeDevicesBytesMax)
	}
	if n := len(ids); n > NodeDeviceInstancesMax {
		return fmt.Errorf("%d devices; at most %d", n, NodeDeviceInstancesMax)
	}
	return nil
}

func isDeviceID(id string) bool { return len(id) <= DeviceIDBytesMax && plainText(id) }

// found says how devices are made of the attributes in which an agent tells what it
// finds. Made here and not reported beside them: what is plugged in or out reaches
// the region as an attribute, and needs no second way.
var found = []struct {
	attribute string
	make      func(element string) (vendor, kind, name, id string)
}{
	{"gpu.drivers", func(s string) (string, string, string, string) { return cmp.Or(gpuVendors[s], s), "gpu", s, s }},
	{"usb.devices", func(s string) (string, string, string, string) {
		vendor, product, _ := strings.Cut(s, ":")
		return vendor, "usb", product, s
	}},
	{"serial.ports", func(s string) (string, string, string, string) {
		return "host", "serial", strings.TrimRight(s, "0123456789"), "/dev/" + s
	}},
	{"i2c.buses", func(s string) (string, string, string, string) { return "host", "i2c", "bus", "/dev/" + s }},
	{"spi.devices", func(s string) (string, string, string, string) { return "host", "spi", "spidev", "/dev/" + s }},
	{"gpio.chips", func(s string) (string, string, string, string) { return "host", "gpio", "chip", "/dev/" + s }},
	{"camera.names", func(s string) (string, string, string, string) { return "host", "camera", s, s }},
}

var gpuVendors = map[string]string{
	"nvidia": "nvidia", "nouveau": "nvidia", "amdgpu": "amd", "radeon": "amd", "i915": "intel", "xe": "intel", "mali": "arm", "panfrost": "arm", "panthor": "arm",
	"lima": "arm", "v3d": "broadcom", "vc4": "broadcom", "msm": "qualcomm", "etnaviv": "vivante",
}

// Devices are all that the node offers: those of its agent's configuration, then what
// the agent found of types that the configuration does not name. Adding what is found
// to a type that is named was rejected: one card under two IDs would be held by two.
// Of two under one ID, as two USB sticks of one product, there is one: nobody could
// tell them apart. What an agent should not have told is left out.
func (n *Node) Devices() []NodeDeviceResource {
	out := make([]NodeDeviceResource, 0, len(n.NodeResources.Devices)+len(found))
	taken, named := map[string]bool{}, map[string]bool{}
	for _, d := range n.NodeResources.Devices {
		named[d.Type] = true
		if !d.isNamed() {
			continue
		}
		all := d.Instances
		d.Instances = make([]NodeDevice, 0, len(all))
		for _, x := range all {
			if isDeviceID(x.ID) && !taken[x.ID] {
				taken[x.ID] = true
				d.Instances = append(d.Instances, x)
			}
		}
		out = append(out, d)
	}
	told := len(out)
	for _, f := range found {
		for e := range strings.SplitSeq(n.Attributes[f.attribute], ",") {
			if e == "" {
				continue
			}
			var d NodeDeviceResource
			var id string
			d.Vendor, d.Type, d.Name, id = f.make(e)
			if named[d.Type] || taken[id] || !isDeviceID(id) || !d.isNamed() {
				continue
			}
			i := told
			for i < len(out) && (out[i].Vendor != d.Vendor || out[i].Type != d.Type || out[i].Name != d.Name) {
				i++
			}
			if i == len(out) {
				out = append(out, d)
			}
			taken[id] = true
			out[i].Instances = append(out[i].Instances, NodeDevice{ID: id, Healthy: true})
		}
	}
	return out
}

// isNamed is checkDeviceName of a whole name, without making it.
func (d *NodeDeviceResource) isNamed() bool {
	for _, p := range [...]string{d.Vendor, d.Type, d.Name} {
		if !plainText(p) || len(p) > deviceNamePartBytes || strings.IndexByte(p, '/') >= 0 {
			return false
		}
	}
	return len(d.Vendor)+len(d.Type)+len(d.Name)+2 <= DeviceNameBytesMax
}

// DeviceAttributes are values by name, as text: "16 GiB". In JSON each is an object, as in the public API: {"Int": 16, "Unit": "GiB"}.
type DeviceAttributes map[string]string

type deviceAttributeJSON struct {
	Float  *json.Number `json:",omitempty"`
	Int    *int64       `json:",omitempty"`
	String *string      `json:",omitempty"`
	Bool   *bool        `json:",omitempty"`
	Unit   string       `json:",omitempty"`
}

var wholeWithUnit = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})(?: ([A-Za-z/]{1,8}))?$`)

// MarshalJSON writes text that reads as a whole number or as yes and no as such.
func (a DeviceAttributes) MarshalJSON() ([]byte, error) {
	out := make(map[string]deviceAttributeJSON, len(a))
	for k, v := range a {
		var j deviceAttributeJSON
		if m := wholeWithUnit.FindStringSubmatch(v); m != nil {
			n, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				return nil, err
			}
			j.Int, j.Unit = &n, m[2]
		} else if v == "true" || v == "false" {
			j.Bool = Ptr(v == "true")
		} else {
			j.String = &v
		}
		out[k] = j
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote, and Float.
func (a *DeviceAttributes) UnmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	var in map[string]deviceAttributeJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("attributes of a device: %w", err)
	}
	*a = make(DeviceAttributes, len(in))
	for _, k := range slices.Sorted(maps.Keys(in)) {
		j, v := in[k], ""
		switch {
		case j.Int != nil:
			v = strconv.FormatInt(*j.Int, 10)
		case j.Float != nil:
			v = j.Float.String()
		case j.Bool != nil:
			v = strconv.FormatBool(*j.Bool)
		case j.String != nil:
			v = *j.String
		}
		if j.Unit != "" {
			v += " " + j.Unit
		}
		(*a)[k] = v
	}
	return nil
}
