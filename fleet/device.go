package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Limits of devices that groups ask for. Together they keep what an allocation
// holds within what a message may carry.
const (
	DevicesMax          = 16 // requests of all tasks of a group
	DeviceInstancesMax  = 64 // of all requests of a group
	DeviceNameBytesMax  = 128
	deviceNamePartsMax  = 3
	deviceNamePartBytes = 64
)

// RequestedDevice is what a task asks of the devices of its node: so many of one kind, which no other allocation holds.
// The kind is TYPE, VENDOR/TYPE or VENDOR/TYPE/NAME.
type RequestedDevice struct {
	Name  string `hcl:",label" change:"restart"`
	Count *int   `hcl:"count" change:"restart"`
	// Constraints are rules for what is given: their left sides are ${device.…}.
	Constraints []Constraint `json:",omitempty" hcl:"constraint,block" change:"restart"`
	// Affinities are wishes among the kinds that would do, with left sides like those of rules. A changed wish replaces too: what runs
	// holds what the old one chose.
	Affinities []Affinity `json:",omitempty" hcl:"affinity,block" change:"restart"`

	DeviceUncarried `change:"inplace"`
}

// DeviceUncarried are device fields of the public API not carried out yet.
type DeviceUncarried struct {
	FirstAvailable json.RawMessage `json:",omitempty" hcl:"first_available,json"`
}

// Kind is the type of device that is asked for.
func (d *RequestedDevice) Kind() string {
	parts := strings.Split(d.Name, "/")
	return parts[min(1, len(parts)-1)]
}

// Names reports whether a device of a node is of the kind that is asked for.
func (d *RequestedDevice) Names(have *NodeDeviceResource) bool {
	switch parts := strings.Split(d.Name, "/"); len(parts) {
	case 1:
		return parts[0] == have.Type
	case 2:
		return parts[0] == have.Vendor && parts[1] == have.Type
	default:
		return d.Name == have.ID()
	}
}

// String says what is asked for: "2 of nvidia/gpu with ${device.attr.memory} >= 8 GiB".
func (d *RequestedDevice) String() string {
	s := fmt.Sprintf("%d of %s", Or(d.Count, 1), d.Name)
	for i, k := range d.Constraints {
		s += []string{" with ", " and "}[min(i, 1)] + k.String()
	}
	return s
}

// DeviceValue is the name of the value that one side of a device's constraint refers to: "model" of "${device.model}".
func DeviceValue(side string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(side, "${device."); !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, "}")
	if attr, is := strings.CutPrefix(name, deviceAttribute); is {
		return name, ok && attr != ""
	}
	return name, ok && slices.Contains([]string{"vendor", "type", "model"}, name)
}

// AllDevices yields the requests of a group, in the order of its tasks.
func (g *TaskGroup) AllDevices() iter.Seq2[*Task, *RequestedDevice] {
	return func(yield func(*Task, *RequestedDevice) bool) {
		for i := range g.Tasks {
			t := &g.Tasks[i]
			for k := 0; t.Resources != nil && k < len(t.Resources.Devices); k++ {
				if !yield(t, &t.Resources.Devices[k]) {
					return
				}
			}
		}
	}
}

// canonicalDevices sorts by name: the order means nothing.
func canonicalDevices(ds []RequestedDevice) []RequestedDevice {
	for i := range ds {
		d := &ds[i]
		setDefaultPtr(&d.Count, 1)
		canonicalConstraints(d.Constraints)
		d.Constraints = emptyNil(d.Constraints)
		d.Affinities = canonicalAffinities(d.Affinities)
		clearEmpty(&d.DeviceUncarried)
	}
	slices.SortStableFunc(ds, func(a, b RequestedDevice) int { return cmp.Compare(a.Name, b.Name) })
	return emptyNil(ds)
}

// plainText reports whether s is not empty and has no control character and no comma, at which lists of what tasks are told
// are cut. A regular expression said the same ten times slower, for each device of each node that a job asks.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f || c == ',' {
			return false
		}
	}
	return s != ""
}

// checkDeviceName says what is wrong with the name of a device of at least that many parts.
func checkDeviceName(name string, parts int) error {
	split := strings.Split(name, "/")
	if len(split) < parts || len(split) > deviceNamePartsMax || len(name) > DeviceNameBytesMax {
		return fmt.Errorf("%q names no device", name)
	}
	for _, p := range split {
		if !plainText(p) || len(p) > deviceNamePartBytes {
			return fmt.Errorf("%q names no device: a part of a name has 1 to %d bytes, and no comma or control character", name, deviceNamePartBytes)
		}
	}
	return nil
}

func (c *checker) devices(path string, g *TaskGroup) {
	requests, instances := 0, 0
	for i := range g.Tasks {
		ds := g.Tasks[i].Resources.Devices
		for k := range ds {
			c.device(fmt.Sprintf("%s[%d].Resources.Devices[%d]", path, i, k), &ds[k])
			requests, instances = requests+1, instances+max(0, *ds[k].Count)
		}
	}
	if requests > DevicesMax {
		c.refuse(path, fmt.Sprintf("the tasks of group %q have %d device blocks", g.Name, requests), fmt.Sprintf("at most %d", DevicesMax))
	}
	if instances > DeviceInstancesMax {
		c.refuse(path, fmt.Sprintf("the tasks of group %q ask for %d devices", g.Name, instances), fmt.Sprintf("at most %d", DeviceInstancesMax))
	}
}

func (c *checker) device(path string, d *RequestedDevice) {
	if err := checkDeviceName(d.Name, 1); err != nil {
		c.refuse(path+".Name", err.Error(), "write TYPE, VENDOR/TYPE or VENDOR/TYPE/NAME, as node status lists them")
	}
	if n := *d.Count; n < 1 || n > DeviceInstancesMax {
		c.refuse(path+".Count", fmt.Sprintf("%d is out of range", n), fmt.Sprintf("use 1 to %d", DeviceInstancesMax))
	}
	if n := len(d.Constraints); n > AffinitiesMax {
		c.refuse(path+".Constraints", fmt.Sprintf("%d constraints", n), fmt.Sprintf("at most %d", AffinitiesMax))
	}
	for i, k := range d.Constraints {
		c.deviceRule(fmt.Sprintf("%s.Constraints[%d]", path, i), k)
	}
	if n := len(d.Affinities); n > AffinitiesMax {
		c.refuse(path+".Affinities", fmt.Sprintf("%d affinities", n), fmt.Sprintf("at most %d", AffinitiesMax))
	}
	for i, a := range d.Affinities {
		p := fmt.Sprintf("%s.Affinities[%d]", path, i)
		c.weight(p, *a.Weight)
		c.deviceRule(p, a.Rule())
	}
	c.checkUncarried("Device", path, &d.DeviceUncarried)
}

// deviceRule checks what constraints and affinities of a device have in common.
func (c *checker) deviceRule(p string, k Constraint) {
	const forms = "use ${device.attr.NAME}, ${device.vendor}, ${device.type} or ${device.model}"
	_, left := DeviceValue(k.LTarget)
	_, right := DeviceValue(k.RTarget)
	switch op := k.Op(); {
	case op == OpDistinctHosts || op == OpDistinctProperty:
		c.refuse(p+".Operand", op+" is a rule for nodes and not for a device", "write it beside the tasks of the group")
		return
	case !left:
		c.refuse(p+".LTarget", fmt.Sprintf("%q is no value of a device", k.LTarget), forms)
	case strings.HasPrefix(k.RTarget, "${") && !right:
		c.refuse(p+".RTarget", fmt.Sprintf("%q is no value of a device", k.RTarget), forms+", or a plain value")
	case k.Mode != "":
		c.refuse(p+".Mode", fmt.Sprintf("mode %q is not carried out for devices: an allocation keeps what it holds", k.Mode), "leave it out")
	}
	c.rule(p, k)
}
