package fingerprint

import (
	"errors"
	"testing"
	"testing/fstest"
)

const piCPU = `processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm crc32 cpuid
CPU implementer	: 0x41
CPU part	: 0xd08

processor	: 1
BogoMIPS	: 108.00
Features	: fp asimd evtstrm crc32 cpuid

Hardware	: BCM2835
Revision	: c03114
Model		: Raspberry Pi 4 Model B Rev 1.4
`

const x86CPU = `processor	: 0
model name	: Intel(R) Atom(TM) x5-Z8350  CPU @ 1.44GHz
cpu MHz		: 479.996
flags		: fpu vme sse4_1 sse4_2 aes

processor	: 1
model name	: Intel(R) Atom(TM) x5-Z8350  CPU @ 1.44GHz
cpu MHz		: 1440.000
flags		: fpu vme sse4_1 sse4_2 aes
`

const armv7CPU = `Processor	: ARMv7 Processor rev 4 (v7l)
processor	: 0
BogoMIPS	: 38.40
Features	: half thumb fastmult vfp neon vfpv4
Hardware	: Allwinner sun8i Family
`

const riscvCPU = `processor	: 0
hart		: 1
isa		: rv64imafdc
uarch		: sifive,u74-mc
`

func TestParseCPUInfo(t *testing.T) {
	for _, tc := range []struct {
		name, text   string
		cores        int
		mhz          float64
		model, board string
		features     int
	}{
		{"raspberry pi 4", piCPU, 2, 0, "", "Raspberry Pi 4 Model B Rev 1.4", 5},
		{"atom", x86CPU, 2, 1440, "Intel(R) Atom(TM) x5-Z8350  CPU @ 1.44GHz", "", 5},
		{"armv7", armv7CPU, 1, 0, "ARMv7 Processor rev 4 (v7l)", "Allwinner sun8i Family", 6},
		{"riscv", riscvCPU, 1, 0, "sifive,u74-mc", "", 1},
		{"nothing", "", 0, 0, "", "", 0},
		{"nonsense", "cpu MHz : -1e999\nprocessor : x\n:::\n", 0, 0, "", "", 0},
	} {
		c := parseCPUInfo(tc.text)
		if c.cores != tc.cores || c.mhz != tc.mhz || c.model != tc.model || c.board != tc.board || len(c.features) != tc.features {
			t.Errorf("%s: got %+v", tc.name, c)
		}
	}
}

func TestParsers(t *testing.T) {
	if m := parseMemInfo("MemTotal:  948304 kB\nSwapTotal: 102396 kB\nMemFree: x kB\n"); m.totalMB != 926 || m.swapMB != 99 {
		t.Errorf("meminfo: %+v", m)
	}
	if id, v := parseOSRelease("NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n"); id != "debian" || v != "12" {
		t.Errorf("os-release: %q %q", id, v)
	}
	if mhz := parseKHz("1800000\n"); mhz != 1800 {
		t.Errorf("kHz: %v", mhz)
	}
	for text, want := range map[string]int64{"max\n": 0, "9223372036854771712\n": 0, "134217728\n": 134217728, "": 0} {
		if got := parseCgroupBytes(text); got != want {
			t.Errorf("cgroup %q: %d", text, got)
		}
	}
	if s := parseModel("Raspberry Pi 4\x00"); s != "Raspberry Pi 4" {
		t.Errorf("model: %q", s)
	}
	if s := parseModel("To Be Filled By O.E.M.\n"); s != "" {
		t.Errorf("filler: %q", s)
	}
}

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestProbeOfABoard(t *testing.T) {
	root := fstest.MapFS{
		"proc/cpuinfo":                       file(piCPU),
		"proc/meminfo":                       file("MemTotal: 948304 kB\n"),
		"proc/sys/kernel/osrelease":          file("6.1.0-rpi\n"),
		"etc/os-release":                     file("ID=raspbian\nVERSION_ID=\"11\"\n"),
		"sys/firmware/devicetree/base/model": file("Raspberry Pi 4 Model B Rev 1.4\x00"),
		"sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq": file("1500000\n"),
	}
	n, err := Probe(Options{Root: root, Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"board.model": "Raspberry Pi 4 Model B Rev 1.4", "kernel.version": "6.1.0-rpi", "os.name": "raspbian",
		"os.version": "11", "cpu.numcores": "2", "cpu.frequency": "1500", "cpu.features": "asimd,crc32,fp",
	}
	for k, v := range want {
		if n.Attributes[k] != v {
			t.Errorf("%s: got %q, want %q", k, n.Attributes[k], v)
		}
	}
	if n.NodeResources.CPU.CPUShares != 3000 || n.NodeResources.Memory.MemoryMB != 926 {
		t.Errorf("resources: %+v", n.NodeResources)
	}
	if n.Attributes["cpu.frequency.assumed"] != "" {
		t.Error("a known speed is called assumed")
	}
}

func TestUnknownIsNeverZero(t *testing.T) {
	n, err := Probe(Options{Root: fstest.MapFS{}, MemoryTotal: 512})
	if err != nil {
		t.Fatal(err)
	}
	if n.NodeResources.CPU.CPUShares == 0 || n.Attributes["cpu.frequency.assumed"] != "true" {
		t.Errorf("an unknown speed must be assumed and say so: %+v %v", n.NodeResources.CPU, n.Attributes)
	}
	if _, ok := n.Attributes["board.model"]; ok {
		t.Error("an unknown board got a name")
	}
	if _, err := Probe(Options{Root: fstest.MapFS{"proc/meminfo": file("nonsense")}}); err != nil && !errors.Is(err, ErrMemoryUnknown) {
		t.Errorf("got %v", err)
	}
	if n.NodeResources.Disk.DiskMB != 0 {
		t.Errorf("a disk nobody looked at has %d MiB", n.NodeResources.Disk.DiskMB)
	}
	if n, err := Probe(Options{Root: fstest.MapFS{}, MemoryTotal: 512, DataDir: t.TempDir()}); err != nil || n.NodeResources.Disk.DiskMB < 1 {
		t.Errorf("a disk that was looked at: %v", err)
	}
	if _, err := Probe(Options{MemoryTotal: 512, DiskFree: -1}); err == nil {
		t.Error("a negative disk was accepted")
	}
	if _, err := Probe(Options{MemoryTotal: -1}); err == nil {
		t.Error("a negative override was accepted")
	}
}

func TestOverrides(t *testing.T) {
	n, err := Probe(Options{Root: fstest.MapFS{}, MemoryTotal: 700, CPUTotal: 4200, DiskFree: 90, DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if n.NodeResources.CPU.CPUShares != 4200 || n.NodeResources.Memory.MemoryMB != 700 || n.NodeResources.Disk.DiskMB != 90 || n.Attributes["cpu.frequency.assumed"] != "" {
		t.Errorf("got %+v %v", n.NodeResources, n.Attributes)
	}
}

func FuzzParsers(f *testing.F) {
	for _, s := range []string{piCPU, x86CPU, armv7CPU, riscvCPU, "MemTotal: 1 kB", "ID=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c := parseCPUInfo(s); c.cores < 0 || c.mhz < 0 {
			t.Errorf("%+v", c)
		}
		if m := parseMemInfo(s); m.totalMB < 0 || m.swapMB < 0 {
			t.Errorf("%+v", m)
		}
		parseOSRelease(s)
		parseKHz(s)
		if m := parseModel(s); len(m) > len(s) {
			t.Errorf("%q grew to %q", s, m)
		}
		parseCgroupBytes(s)
	})
}
