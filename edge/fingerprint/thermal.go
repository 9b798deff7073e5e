package fingerprint

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Temperatures outside of these are a sensor's way to say that it does not work.
const (
	milliCelsiusMin = -60_000
	milliCelsiusMax = 150_000
)

// parseMilliCelsius reads the temp file of a thermal zone or hwmon. Exactly zero
// is what many drivers give while the sensor sleeps, so it counts as unknown: a
// device that is at 0.000 °C is rarer.
func parseMilliCelsius(text string) (celsius float64, ok bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n == 0 || n < milliCelsiusMin || n > milliCelsiusMax {
		return 0, false
	}
	return float64(n) / 1000, true
}

// zoneRank says how much a thermal zone tells about the device: 2 for the
// processor, 1 for others, 0 for those that are no sensor (Tegra's PMIC-Die
// always reads 50 or 100 °C, and its fan's estimate is a mean) or are mostly off.
func zoneRank(zoneType string) int {
	t := strings.ToLower(zoneType)
	switch {
	case t == "pmic-die", t == "thermal-fan-est", strings.HasPrefix(t, "iwlwifi"):
		return 0
	case strings.Contains(t, "cpu"), strings.Contains(t, "soc"), strings.Contains(t, "pkg"), strings.Contains(t, "imx_thermal"):
		return 2
	}
	return 1
}

func (p *prober) temperature() {
	var best float64
	rank := 0
	consider := func(celsius float64, r int) {
		if r > rank || r == rank && r > 0 && celsius > best {
			best, rank = celsius, r
		}
	}
	for _, dir := range p.glob("sys/class/thermal/thermal_zone*") {
		if c, ok := parseMilliCelsius(p.read(path.Join(dir, "temp"))); ok {
			consider(c, zoneRank(clean(p.read(path.Join(dir, "type")))))
		}
	}
	if rank == 0 {
		for _, name := range p.glob("sys/class/hwmon/hwmon*/temp*_input") {
			if c, ok := parseMilliCelsius(p.read(name)); ok {
				consider(c, 1)
			}
		}
	}
	if rank > 0 {
		p.set("temperature.celsius", strconv.FormatFloat(best, 'f', 1, 64))
	}
}

// The reasons for throttling.
const (
	reasonVoltage   = "under-voltage"
	reasonFrequency = "frequency-capped"
	reasonThrottled = "throttled"
	reasonHeat      = "temperature-limit"
)

// parseGetThrottled reads the Raspberry Pi firmware's word, in hex. Bits 0 to 3
// are now; 16 to 19 say the same of some time since boot, which is history.
func parseGetThrottled(text string) (reasons []string, ok bool) {
	bits, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "0x"), 16, 32)
	if err != nil {
		return nil, false
	}
	for i, reason := range []string{reasonVoltage, reasonFrequency, reasonThrottled, reasonHeat} {
		if bits>>i&1 == 1 {
			reasons = append(reasons, reason)
		}
	}
	return reasons, true
}

// coolsProcessor says whether a cooling device of that type works by slowing the
// processor down; others are fans, or hold a setting (TCC Offset).
func coolsProcessor(coolingType string) bool {
	return strings.HasPrefix(coolingType, "thermal-cpufreq") || strings.HasPrefix(coolingType, "cpufreq-") || coolingType == "Processor"
}

// parseCount reads a number that is not negative.
func parseCount(text string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 63)
	return n, err == nil
}

// throttling tells what slows the processor down now. The counters of x86 only
// tell what was; [Damper] compares them from one probe to the next.
func (p *prober) throttling() {
	known := false
	var reasons []string
	if now, ok := parseGetThrottled(p.read("sys/devices/platform/soc/soc:firmware/get_throttled")); ok {
		known, reasons = true, now
	}
	for _, dir := range p.glob("sys/class/hwmon/hwmon*") {
		if strings.TrimSpace(p.read(path.Join(dir, "name"))) != "rpi_volt" {
			continue
		}
		if alarm, ok := parseCount(p.read(path.Join(dir, "in0_lcrit_alarm"))); ok {
			known = true
			if alarm > 0 {
				reasons = append(reasons, reasonVoltage)
			}
		}
	}
	for _, dir := range p.glob("sys/class/thermal/cooling_device*") {
		if !coolsProcessor(strings.TrimSpace(p.read(path.Join(dir, "type")))) {
			continue
		}
		if state, ok := parseCount(p.read(path.Join(dir, "cur_state"))); ok {
			known = true
			if state > 0 {
				reasons = append(reasons, reasonHeat)
			}
		}
	}
	for _, name := range []string{"core_throttle_count", "package_throttle_count"} {
		for _, f := range p.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/" + name) {
			if n, ok := parseCount(p.read(f)); ok {
				known, p.throttlesKnown = true, true
				p.throttles += n
			}
		}
	}
	if known {
		p.setThrottled(reasons)
	}
}

func (p *prober) setThrottled(reasons []string) {
	slices.Sort(reasons)
	p.setBool("throttled", len(reasons) > 0)
	p.setList("throttled.reasons", slices.Compact(reasons))
}
