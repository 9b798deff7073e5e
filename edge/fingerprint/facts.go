package fingerprint

import (
	"slices"
	"time"
)

// Pace says how often a fact is probed.
type Pace uint8

const (
	// AtStart facts cannot change while the agent runs, or the room that the
	// region counts with hangs on them.
	AtStart Pace = iota
	// Slow facts change when somebody works on the device.
	Slow
	// Hot facts change by themselves, or by a plug.
	Hot
)

// How long it is from one probe to the next.
const (
	SlowEvery = time.Hour
	HotEvery  = time.Minute
)

// kind is what values a fact can have.
type kind uint8

const (
	text kind = iota
	list      // comma-separated
	yesNo
	number
	byteCount
	word // one of Fact.words
)

// Fact is one attribute of a device.
type Fact struct {
	Name string // as in ${attr.NAME}
	Pace Pace

	kind     kind
	words    []string  // of a word
	min, max int64     // of a number, for overrides
	steps    []float64 // how a number is rounded for the region: one value is a step, several are the only values shown
	fixed    bool      // cannot be overridden
}

// Facts is every attribute that this package finds, in the order in which
// changes are told.
var Facts = []Fact{
	{Name: "power.source", Pace: Hot, kind: word, words: []string{"mains", "battery"}},
	{Name: "throttled", Pace: Hot, kind: yesNo},
	{Name: "throttled.reasons", Pace: Hot, kind: list},
	{Name: "temperature.celsius", Pace: Hot, kind: number, min: -100, max: 200, steps: []float64{5}},
	{Name: "battery.status", Pace: Hot, kind: word, words: []string{"charging", "discharging", "full", "idle"}},
	{Name: "battery.percent", Pace: Hot, kind: number, min: 1, max: 100, steps: []float64{10}},
	{Name: "link.type", Pace: Hot, kind: word, words: []string{"ethernet", "wifi", "cellular", "tunnel"}},
	{Name: "link.metered", Pace: Hot, kind: yesNo},
	{Name: "link.interface", Pace: Hot},
	{Name: "unique.network.ip-address", Pace: Hot},
	{Name: "link.mbits", Pace: Hot, kind: number, min: 1, max: 1e6},
	{Name: "link.rtt_ms", Pace: Hot, kind: number, min: 1, max: 60_000, steps: []float64{1, 5, 20, 50, 100, 200, 500, 1000, 2000, 5000}},
	{Name: "link.loss_percent", Pace: Hot, kind: number, min: 0, max: 100, steps: []float64{0, 1, 2, 5, 10, 20, 50}},
	{Name: "camera.names", Pace: Hot, kind: list},
	{Name: "serial.ports", Pace: Hot, kind: list},
	{Name: "usb.devices", Pace: Hot, kind: list},

	{Name: "gpu.drivers", Pace: Slow, kind: list},
	{Name: "gpu.models", Pace: Slow, kind: list},
	{Name: "tpm.version", Pace: Slow, kind: word, words: []string{"1.2", "2.0"}},
	{Name: "clock.battery", Pace: Slow, kind: yesNo},
	{Name: "clock.rtc", Pace: Slow},
	{Name: "i2c.buses", Pace: Slow, kind: list},
	{Name: "spi.devices", Pace: Slow, kind: list},
	{Name: "gpio.chips", Pace: Slow, kind: list},
	{Name: "unique.hostname", Pace: Slow},
	{Name: "os.name", Pace: Slow},
	{Name: "os.version", Pace: Slow},

	{Name: "board.model"}, {Name: "board.vendor"}, {Name: "board.compatible", kind: list}, {Name: "board.virtual"},
	{Name: "arch"}, {Name: "cpu.arch"},
	{Name: "cpu.numcores", kind: number, min: 1, max: 4096},
	{Name: "cpu.frequency", kind: number, min: 1, max: 100_000},
	{Name: "cpu.totalcompute", kind: number, min: 1, max: 1 << 30},
	{Name: "cpu.modelname"},
	{Name: "cpu.features", kind: list},
	{Name: "cpu.frequency.assumed", fixed: true},
	{Name: "memory.totalbytes", kind: byteCount, min: 1 << 20, max: 1 << 50},
	{Name: "memory.swapbytes", kind: byteCount, min: 1, max: 1 << 50},
	{Name: "unique.storage.bytestotal", kind: byteCount, min: 1, max: 1 << 60},
	{Name: "unique.storage.volume"},
	{Name: "kernel.name"}, {Name: "kernel.version"},
	{Name: "dunlin.version", fixed: true},
	{Name: overriddenFact, Pace: AtStart, kind: list, fixed: true},
}

// overriddenFact lists the facts that are the configuration's word and not the
// probe's.
const overriddenFact = "fingerprint.overridden"

// factNamed finds a fact; nil: there is none.
func factNamed(name string) *Fact {
	i := slices.IndexFunc(Facts, func(f Fact) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &Facts[i]
}
