package fingerprint

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func hot(attrs map[string]string) Reading { return Reading{Pace: Hot, Attrs: attrs} }

func TestTemperatureMovesInSteps(t *testing.T) {
	d := NewDamper(map[string]string{"temperature.celsius": "45"}, start)
	now := start
	for _, c := range []struct {
		measured, told string // told is empty if nothing is
	}{
		{"45.0", ""}, {"47.6", ""}, {"48.9", ""}, {"41.1", ""}, // beyond half a step, within the slack
		{"49.1", "50"}, {"47.0", ""}, {"46.1", ""}, {"45.9", "45"}, {"-3.0", "-5"}, {"-1.1", ""}, {"0.1", "0"},
	} {
		now = now.Add(2 * CalmAfter) // so that only the steps speak
		got := d.Step(hot(map[string]string{"temperature.celsius": c.measured}), now)
		if got.Set["temperature.celsius"] != c.told || len(got.Unset) != 0 {
			t.Errorf("%s: told %+v, want %q", c.measured, got, c.told)
		}
	}
}

func TestUnevenSteps(t *testing.T) {
	d := NewDamper(map[string]string{"link.rtt_ms": "20"}, start)
	now := start
	for _, c := range []struct{ measured, told string }{
		{"36", ""}, {"43", ""}, {"45", "50"}, {"30", ""}, {"25", "20"}, {"900", "1000"}, {"99999", "5000"}, {"1", "1"},
	} {
		now = now.Add(2 * CalmAfter)
		if got := d.Step(hot(map[string]string{"link.rtt_ms": c.measured}), now); got.Set["link.rtt_ms"] != c.told {
			t.Errorf("%s: told %+v, want %q", c.measured, got, c.told)
		}
	}
}

// TestAFlappingFactIsHeld: a plug with a loose contact is told of a few times,
// then ever more seldom, and at the end as it is.
func TestAFlappingFactIsHeld(t *testing.T) {
	d := NewDamper(map[string]string{"power.source": "mains"}, start)
	now, told, last := start, 0, ""
	for i := range 8 * 60 {
		now = now.Add(time.Minute)
		source := []string{"battery", "mains"}[i%2]
		if got := d.Step(hot(map[string]string{"power.source": source}), now); !got.Empty() {
			told, last = told+1, got.Set["power.source"]
		}
	}
	if told > 8*8 || told < 5 {
		t.Errorf("told %d times in eight hours of flapping", told)
	}
	for range 16 {
		now = now.Add(time.Minute)
		if got := d.Step(hot(map[string]string{"power.source": "battery"}), now); !got.Empty() {
			last = got.Set["power.source"]
		}
	}
	if last != "battery" {
		t.Errorf("it stays on battery and the region thinks %q", last)
	}
}

func TestPaces(t *testing.T) {
	d := NewDamper(map[string]string{"tpm.version": "2.0", "board.model": "x", "driver.wasm": "1"}, start)
	if at, pace := d.Next(); !at.Equal(start.Add(HotEvery)) || pace != Hot {
		t.Fatalf("next %s %v", at, pace)
	}
	// A hot probe does not look for the TPM, so its silence says nothing.
	if got := d.Step(hot(nil), start.Add(HotEvery)); !got.Empty() {
		t.Errorf("told %+v", got)
	}
	got := d.Step(Reading{Pace: Slow}, start.Add(SlowEvery))
	if len(got.Unset) != 1 || got.Unset[0] != "tpm.version" {
		t.Errorf("a slow probe without TPM told %+v; the board and the drivers' facts are not its business", got)
	}
	slow := 0
	now := start.Add(SlowEvery)
	for range 120 {
		at, pace := d.Next()
		if !at.After(now) {
			t.Fatalf("probe at %s, it is %s", at, now)
		}
		now = at
		if pace == Slow {
			slow++
		}
		d.Step(Reading{Pace: pace}, now)
	}
	if slow != 2 || now.Sub(start.Add(SlowEvery)) > 3*time.Hour {
		t.Errorf("%d slow probes in %s", slow, now.Sub(start))
	}
}

func TestThrottleCounters(t *testing.T) {
	d := NewDamper(map[string]string{"throttled": "false"}, start)
	now := start
	for _, c := range []struct {
		count uint64
		told  string
	}{{7, ""}, {7, ""}, {9, "true"}, {9, "false"}, {3, ""}} { // the first count and one after a reset say nothing
		now = now.Add(2 * CalmAfter)
		got := d.Step(Reading{Pace: Hot, Attrs: map[string]string{"throttled": "false"}, Throttles: c.count, ThrottlesKnown: true}, now)
		if got.Set["throttled"] != c.told || c.told == "true" && got.Set["throttled.reasons"] != reasonHeat {
			t.Errorf("at %d: told %+v", c.count, got)
		}
	}
}

func TestQuality(t *testing.T) {
	r := hot(map[string]string{})
	Quality{RoundTrip: 300 * time.Microsecond, Sent: 10, Lost: 3}.Add(&r)
	if r.Attrs["link.rtt_ms"] != "1" || len(r.Attrs) != 1 {
		t.Errorf("a young link: %v", r.Attrs)
	}
	r = Reading{Attrs: map[string]string{"link.rtt_ms": "9"}, overrides: Overrides{"link.rtt_ms": "9"}}
	Quality{RoundTrip: time.Second, Sent: 1000, Lost: 25}.Add(&r)
	if r.Attrs["link.rtt_ms"] != "9" || r.Attrs["link.loss_percent"] != "2.5" {
		t.Errorf("got %v", r.Attrs)
	}
	r = hot(map[string]string{})
	if (Quality{}).Add(&r); len(r.Attrs) != 0 {
		t.Errorf("nothing is known and reads %v", r.Attrs)
	}
}

// TestAnOverrideIsNotRounded: 73 % was written, so 73 % is shown.
func TestAnOverrideIsNotRounded(t *testing.T) {
	o := Overrides{"battery.percent": "73"}
	d := NewDamper(map[string]string{"battery.percent": "73"}, start)
	if got := d.Step(Reading{Pace: Hot, Attrs: map[string]string{"battery.percent": "73"}, overrides: o}, start.Add(time.Minute)); !got.Empty() {
		t.Errorf("told %+v", got)
	}
}

// TestDamperProperties: however facts move, what was told adds up to what is
// shown, no fact is told more often than its hold lets it, no change is long, and
// once the facts stand still the region knows them as they are.
func TestDamperProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attrs := map[string]string{"power.source": "mains", "temperature.celsius": "40", "usb.devices": "1:1"}
		d := NewDamper(attrs, start)
		region, now := maps.Clone(attrs), start
		told := map[string][]time.Time{}
		step := func() {
			at, pace := d.Next()
			now = at
			c := d.Step(Reading{Pace: pace, Attrs: maps.Clone(attrs)}, now)
			bytes := 0
			for k, v := range c.Set {
				region[k] = v
				told[k] = append(told[k], now)
				bytes += len(k) + len(v) + 2
			}
			for _, k := range c.Unset {
				delete(region, k)
				told[k] = append(told[k], now)
				bytes += len(k) + 2
			}
			if n := len(c.Set) + len(c.Unset); bytes > ChangeBytesMax && n > 1 {
				t.Fatalf("a change of %d facts has %d bytes", n, bytes)
			}
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			switch k := rapid.SampledFrom([]string{"power.source", "temperature.celsius", "usb.devices", "i2c.buses", "none"}).Draw(t, "fact"); k {
			case "temperature.celsius":
				attrs[k] = strconv.Itoa(rapid.IntRange(-40, 120).Draw(t, "celsius"))
			case "power.source":
				attrs[k] = rapid.SampledFrom([]string{"mains", "battery"}).Draw(t, "source")
			case "none":
				delete(attrs, rapid.SampledFrom([]string{"power.source", "temperature.celsius", "usb.devices"}).Draw(t, "gone"))
			default:
				attrs[k] = rapid.StringMatching(`[0-9a-f]{0,500}`).Draw(t, "value")
			}
			step()
		}
		for range 130 { // two hours of standing still, with two slow probes
			step()
		}
		for k, v := range attrs {
			if want := factNamed(k).round(v, region[k]); region[k] != want {
				t.Fatalf("%s is %q (%q) and the region thinks %q", k, v, want, region[k])
			}
		}
		for k := range region {
			if _, ok := attrs[k]; !ok {
				t.Fatalf("%s is gone and the region thinks %q", k, region[k])
			}
		}
		for k, at := range told {
			for i := range at {
				n := 0
				for _, b := range at[i:] {
					if b.Sub(at[i]) < time.Hour {
						n++
					}
				}
				if n > 8 {
					t.Fatalf("%s was told %d times within an hour", k, n)
				}
			}
		}
	})
}

func TestCheckOverride(t *testing.T) {
	for _, c := range []struct{ name, value, want, err string }{
		{"board.model", "Kiosk 3", "Kiosk 3", ""},
		{"board.model", "", "", ""},
		{"board.modle", "x", "", `did you mean "board.model"`},
		{"shop", "x", "", "client { meta }"},
		{"attr.board.model", "x", "", "leave out the \"attr.\""},
		{"board.model", "a\nb", "", "printable"},
		{"dunlin.version", "9", "", "cannot be overridden"},
		{"link.metered", "yes", "", `write "true" or "false"`},
		{"link.metered", "true", "true", ""},
		{"power.source", "solar", "", "use one of mains, battery"},
		{"cpu.numcores", "0", "", "out of range; use 1 to 4096"},
		{"cpu.numcores", "4.5", "", "not a whole number"},
		{"cpu.numcores", "", "", "cannot place work without it"},
		{"memory.totalbytes", "512 MiB", "536870912", ""},
		{"memory.totalbytes", "1GiB", "1073741824", ""},
		{"memory.totalbytes", "12", "", "out of range"},
		{"memory.totalbytes", "99999999999999TiB", "", "out of range"},
		{"memory.totalbytes", "512MB", "", "KiB, MiB"},
	} {
		got, err := CheckOverride(c.name, c.value)
		if c.err == "" && (err != nil || got != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s = %q: got %q, %v; want %q, %q", c.name, c.value, got, err, c.want, c.err)
		}
	}
}

func TestOverridesStandAboveTheProbe(t *testing.T) {
	_, tree := loadBoard(t, "testdata/boards/raspberry-pi-4.txt")
	o := Options{Root: tree, Overrides: Overrides{
		"board.model": "Kiosk 3", "temperature.celsius": "", "link.metered": "true", "cpu.numcores": "2", "memory.totalbytes": "536870912",
	}}
	n, err := Probe(o)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"board.model": "Kiosk 3", "temperature.celsius": "", "link.metered": "true", "cpu.numcores": "2", "cpu.totalcompute": "3000",
		"memory.totalbytes": "536870912", "board.vendor": "raspberrypi",
		"fingerprint.overridden": "board.model,cpu.numcores,link.metered,memory.totalbytes,temperature.celsius",
	} {
		if n.Attributes[k] != want {
			t.Errorf("%s = %q, want %q", k, n.Attributes[k], want)
		}
	}
	if n.NodeResources.Memory.MemoryMB != 512 || n.NodeResources.CPU.CPUShares != 3000 || n.NodeResources.CPU.TotalCPUCores != 2 {
		t.Errorf("resources %+v", n.NodeResources)
	}
	// And they still do when the facts are probed again.
	if got := NewDamper(n.Attributes, start).Step(Read(o, Slow), start.Add(time.Hour)); !got.Empty() {
		t.Errorf("a second probe of the same tree tells %+v", got)
	}
	o.Overrides = Overrides{"cpu.numcores": "-3"}
	if _, err := Probe(o); err == nil || !strings.Contains(err.Error(), "override: cpu.numcores") {
		t.Errorf("got %v", err)
	}
}
