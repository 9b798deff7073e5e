package fingerprint

import (
	"path"
	"strconv"
	"strings"
)

// supply is one entry of /sys/class/power_supply.
type supply struct {
	kind      string // Mains, USB, USB_PD, Wireless, Battery, UPS, …
	online    string // "0", "1" or unknown
	status    string // Charging, Discharging, Full, Not charging, Unknown
	percent   int    // 0: unknown; a device that runs is not at 0 %
	elsewhere bool   // the battery of a mouse or a headset, or a slot without one
}

// parsePercent reads a battery's capacity.
func parsePercent(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 100 {
		return 0
	}
	return n
}

// parsePower tells where the power comes from; what is not known is empty or 0.
func parsePower(supplies []supply) (source, status string, percent int) {
	mainsKnown, mains, battery := false, false, false
	for _, s := range supplies {
		switch {
		case s.elsewhere:
		case s.kind == "Battery":
			battery = true
			status = worse(status, batteryWord(s.status))
			if s.percent > 0 && (percent == 0 || s.percent < percent) {
				percent = s.percent
			}
		case s.kind == "Mains", s.kind == "Wireless", strings.HasPrefix(s.kind, "USB"):
			mainsKnown = mainsKnown || s.online == "0" || s.online == "1"
			mains = mains || s.online == "1" || s.online == "2" // 2: programmable
		}
	}
	switch {
	case mains:
		source = "mains"
	case status == "discharging":
		source = "battery"
	case status == "charging", status == "full":
		source = "mains"
	case battery && mainsKnown:
		source = "battery"
	}
	return source, status, percent
}

func batteryWord(status string) string {
	switch status {
	case "Charging":
		return "charging"
	case "Discharging":
		return "discharging"
	case "Full":
		return "full"
	case "Not charging":
		return "idle"
	}
	return ""
}

// worse of two batteries' words is what is told: one that discharges matters.
func worse(a, b string) string {
	for _, s := range []string{"discharging", "charging", "idle", "full"} {
		if a == s || b == s {
			return s
		}
	}
	return ""
}

func (p *prober) power() {
	var supplies []supply
	for _, dir := range p.glob("sys/class/power_supply/*") {
		line := func(name string) string { return strings.TrimSpace(p.read(path.Join(dir, name))) }
		supplies = append(supplies, supply{
			kind: line("type"), online: line("online"), status: line("status"), percent: parsePercent(line("capacity")),
			elsewhere: line("scope") == "Device" || line("present") == "0",
		})
	}
	source, status, percent := parsePower(supplies)
	p.set("power.source", source)
	p.set("battery.status", status)
	if percent > 0 {
		p.set("battery.percent", strconv.Itoa(percent))
	}
}
