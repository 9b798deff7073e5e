package fingerprint

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes one line of printable text of what firmware says: without NULs,
// line ends and bytes that are no UTF-8.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// fillers are what vendors leave in a DMI table that they did not fill in.
var fillers = []string{
	"", "to be filled by o.e.m.", "system product name", "system manufacturer", "default string", "not specified", "not applicable",
	"none", "n/a", "unknown", "o.e.m.", "oem", "empty", "invalid", "type1productconfigid", "0123456789",
}

// parseModel reads a device-tree or DMI string: NUL-terminated or with a
// newline, sometimes only a filler of the vendor.
func parseModel(text string) string {
	text, _, _ = strings.Cut(text, "\x00")
	s := clean(text)
	if slices.Contains(fillers, strings.ToLower(s)) {
		return ""
	}
	return s
}

// parseCompatible reads the device tree's list of boards that this one can pass
// for, the most exact first. They hold commas themselves ("vendor,board"); a
// constraint with set_contains splits both sides alike, so they stay as they are.
func parseCompatible(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, "\x00") {
		if s = clean(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// dmi is what /sys/class/dmi/id tells, fillers left out.
type dmi struct{ vendor, product, boardVendor, boardName string }

// names are the maker and the model. Boxes without a name of their own are known
// by their mainboard.
func (d dmi) names() (vendor, model string) {
	vendor, product := d.vendor, d.product
	if product == "" {
		product = d.boardName
		if d.boardVendor != "" {
			vendor = d.boardVendor
		}
	}
	if vendor == "" {
		vendor = d.boardVendor
	}
	if strings.HasPrefix(product, vendor) {
		return vendor, product
	}
	return vendor, strings.TrimSpace(vendor + " " + product)
}

// hypervisors maps what firmware calls itself to the word for it. The order
// matters: KVM machines often name QEMU too.
var hypervisors = []struct{ says, name string }{
	{"kvm", "kvm"}, {"qemu", "qemu"}, {"bochs", "qemu"}, {"vmware", "vmware"}, {"virtualbox", "virtualbox"}, {"innotek", "virtualbox"},
	{"hvm domu", "xen"}, {"xen", "xen"}, {"amazon ec2", "kvm"}, {"google compute engine", "kvm"}, {"bhyve", "bhyve"},
	{"parallels", "parallels"}, {"openstack", "kvm"}, {"hetzner", "kvm"}, {"digitalocean", "kvm"}, {"linux,dummy-virt", "qemu"},
	{"riscv-virtio", "qemu"},
}

// hypervisor names what the machine runs in; empty: nothing says that it runs in
// anything. cpuFlag is the processor's own word, which names nobody.
func hypervisor(d dmi, compatible []string, cpuFlag bool) string {
	said := strings.ToLower(strings.Join(append([]string{d.vendor, d.product, d.boardVendor}, compatible...), "\n"))
	if strings.Contains(said, "microsoft corporation") && strings.Contains(said, "virtual machine") {
		return "hyperv"
	}
	for _, h := range hypervisors {
		if strings.Contains(said, h.says) {
			return h.name
		}
	}
	if cpuFlag {
		return "unnamed"
	}
	return ""
}

func (p *prober) board(c cpu) {
	compatible := parseCompatible(p.read("sys/firmware/devicetree/base/compatible"))
	model := parseModel(p.read("sys/firmware/devicetree/base/model"))
	if len(compatible) == 0 { // kernels without sysfs' copy
		compatible = parseCompatible(p.read("proc/device-tree/compatible"))
	}
	if model == "" {
		model = parseModel(p.read("proc/device-tree/model"))
	}
	const dir = "sys/class/dmi/id/"
	d := dmi{
		vendor: parseModel(p.read(dir + "sys_vendor")), product: parseModel(p.read(dir + "product_name")),
		boardVendor: parseModel(p.read(dir + "board_vendor")), boardName: parseModel(p.read(dir + "board_name")),
	}
	vendor, product := d.names()
	if model == "" {
		model = product
	}
	if model == "" {
		model = parseModel(c.board)
	}
	if vendor == "" && len(compatible) > 0 {
		vendor, _, _ = strings.Cut(compatible[0], ",")
	}
	p.set("board.model", model)
	p.set("board.vendor", vendor)
	p.setList("board.compatible", compatible)
	p.set("board.virtual", hypervisor(d, compatible, slices.Contains(c.features, "hypervisor")))
}
