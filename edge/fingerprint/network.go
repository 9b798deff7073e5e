package fingerprint

import (
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Flags of a route, as the kernel prints them.
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// parseRoute finds the interface of the default route with the lowest metric in
// /proc/net/route; empty: there is none.
func parseRoute(text string) (iface string, metric uint64) {
	metric = math.MaxUint64
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		iface, metric = better(iface, metric, f[0], f[3], f[6], 10)
	}
	return iface, metric
}

// parseRoute6 does the same for /proc/net/ipv6_route, whose metrics are in hex.
func parseRoute6(text string) (iface string, metric uint64) {
	metric = math.MaxUint64
	zeros := strings.Repeat("0", 32)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != zeros || f[1] != "00" {
			continue
		}
		iface, metric = better(iface, metric, f[9], f[8], f[5], 16)
	}
	return iface, metric
}

func better(iface string, metric uint64, name, flags, m string, base int) (string, uint64) {
	bits, err := strconv.ParseUint(flags, 16, 64)
	n, err2 := strconv.ParseUint(m, base, 64)
	if err != nil || err2 != nil || bits&routeUp == 0 || bits&routeReject != 0 || n >= metric || !ifaceName(name) {
		return iface, metric
	}
	return name, n
}

// ifaceName refuses what would be a path: the name becomes one.
func ifaceName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 32 && s == clean(s) && !strings.ContainsAny(s, "/\\*?[")
}

// iface is what /sys/class/net tells of one interface.
type iface struct {
	name     string
	hardware string // the type file, ARPHRD_…
	devType  string // DEVTYPE of its uevent
	wireless bool   // it has a wireless or phy80211 folder
}

// parseLinkType names how an interface reaches the world; empty: unknown.
func parseLinkType(i iface) string {
	switch {
	case i.wireless || i.devType == "wlan":
		return "wifi"
	case i.devType == "wwan", i.hardware == "512", i.hardware == "519", // PPP, raw IP
		strings.HasPrefix(i.name, "wwan"), strings.HasPrefix(i.name, "rmnet"), strings.HasPrefix(i.name, "ppp"):
		return "cellular"
	case i.hardware == "65534", i.hardware == "768", i.hardware == "769", i.hardware == "776", i.hardware == "778", i.devType == "wireguard":
		return "tunnel"
	case i.hardware == "1":
		return "ethernet"
	}
	return ""
}

// parseUevent finds a key of a uevent file.
func parseUevent(text, key string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && k == key {
			return clean(v)
		}
	}
	return ""
}

// parseSpeed reads an interface's Mbit/s; 0: unknown, which kernels write as -1
// or as its unsigned form.
func parseSpeed(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 1 || n > 1e6 {
		return 0
	}
	return n
}

// lowerMax bounds how many bridges, bonds and VLANs are looked through.
const lowerMax = 4

func (p *prober) network() {
	name, metric := parseRoute(p.read("proc/net/route"))
	if six, m := parseRoute6(p.read("proc/net/ipv6_route")); six != "" && (name == "" || m < metric) {
		name = six
	}
	if name == "" {
		return
	}
	p.set("link.interface", name)
	if p.address != nil {
		p.set(fleet.AttributeAddress, p.address(name))
	}
	for range lowerMax {
		// A bridge, a bond or a VLAN is as good as what is below it.
		lower := p.glob("sys/class/net/" + name + "/lower_*")
		if len(lower) == 0 {
			break
		}
		below := strings.TrimPrefix(path.Base(lower[0]), "lower_")
		if !ifaceName(below) {
			break
		}
		name = below
	}
	dir := path.Join("sys/class/net", name)
	p.set("link.type", parseLinkType(iface{
		name: name, hardware: strings.TrimSpace(p.read(path.Join(dir, "type"))), devType: parseUevent(p.read(path.Join(dir, "uevent")), "DEVTYPE"),
		wireless: p.exists(path.Join(dir, "wireless")) || p.exists(path.Join(dir, "phy80211")),
	}))
	if mbits := parseSpeed(p.read(path.Join(dir, "speed"))); mbits > 0 {
		p.set("link.mbits", strconv.FormatInt(mbits, 10))
	}
}

// Quality is how the link to the region does, as the session measures it.
type Quality struct {
	RoundTrip  time.Duration // smoothed; 0: unknown
	Sent, Lost uint64        // packets of this link
}

// lossPacketsMin is how many packets a loss must be computed from to mean
// something: below, one lost packet would read as several percent.
const lossPacketsMin = 200

// Add writes the quality into what was read. The overrides stand.
func (q Quality) Add(r *Reading) {
	if q.RoundTrip > 0 {
		r.add("link.rtt_ms", strconv.FormatInt(max(1, q.RoundTrip.Milliseconds()), 10))
	}
	if q.Sent >= lossPacketsMin && q.Lost <= q.Sent {
		r.add("link.loss_percent", strconv.FormatFloat(100*float64(q.Lost)/float64(q.Sent), 'f', 1, 64))
	}
}
