package fingerprint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Options of a probe.
type Options struct {
	Root        fs.FS     // the file system to read; nil: the machine's
	DataDir     string    // its disk is reported
	CPUTotal    int64     // MHz, overrides the probe; 0: probe
	MemoryTotal int64     // MiB, overrides the probe; 0: probe
	DiskFree    int64     // MiB, overrides the probe; 0: probe
	Overrides   Overrides // stand above all that is probed
	Version     string    // of the agent
	// Address is the address of an interface, empty if it has none; nil: not asked.
	Address func(iface string) string
}

// Limits of a probe.
const (
	fileBytesMax      = 1 << 20
	globMax           = 256 // entries looked at per folder
	attributeBytesMax = fleet.NodeAttributeBytesMax
)

// featuresShown are the processor features jobs ask about; the full list of an
// x86 is over 1 KiB and changes with each kernel.
var featuresShown = []string{
	"aes", "avx", "avx2", "avx512f", "fma", "sha_ni", "sse4_1", "sse4_2", "ssse3", "vmx", "svm",
	"asimd", "neon", "sha1", "sha2", "crc32", "atomics", "fp", "vfpv4",
}

// Reading is what one probe found.
type Reading struct {
	Pace  Pace              // facts of this pace and hotter were looked for; what is not in Attrs is unknown
	Attrs map[string]string // as measured, overrides applied
	// Throttles counts how often x86 processors were slowed down since boot.
	Throttles      uint64
	ThrottlesKnown bool

	overrides Overrides
}

// add writes a fact that was not read from a file.
func (r *Reading) add(name, value string) {
	if _, overridden := r.overrides[name]; !overridden {
		r.Attrs[name] = value
	}
}

// Read probes the facts of a pace and those that are hotter.
func Read(o Options, pace Pace) Reading {
	p := newProber(&o)
	p.changing(pace)
	return Reading{Pace: pace, Attrs: p.attrs, Throttles: p.throttles, ThrottlesKnown: p.throttlesKnown, overrides: o.Overrides}
}

// Probe returns what the device is. Attributes that could not be found are
// absent, and numbers that change are rounded as [Damper] does. The error says
// that memory or an override is unusable.
func Probe(o Options) (*fleet.Node, error) {
	for name, v := range map[string]int64{"client.cpu_total_compute": o.CPUTotal, "client.memory_total_mb": o.MemoryTotal, "client.disk_free_mb": o.DiskFree} {
		if err := validateOverride(name, v); err != nil {
			return nil, err
		}
	}
	for name, v := range o.Overrides {
		if _, err := CheckOverride(name, v); err != nil {
			return nil, fmt.Errorf("override: %w", err)
		}
	}
	p := newProber(&o)
	n := &fleet.Node{Attributes: p.attrs, Version: o.Version}
	p.set("kernel.name", runtime.GOOS)
	p.set("arch", runtime.GOARCH) // the field's older name beside cpu.arch
	p.set("cpu.arch", runtime.GOARCH)
	p.set("dunlin.version", o.Version)
	p.set("kernel.version", clean(p.read("proc/sys/kernel/osrelease")))
	c := parseCPUInfo(p.read("proc/cpuinfo"))
	p.board(c)
	n.NodeResources.CPU = p.processor(c, o.CPUTotal)
	mem, err := p.memory(o.MemoryTotal)
	if err != nil {
		return nil, err
	}
	n.NodeResources.Memory.MemoryMB = mem
	if total, free, ok := disk(o.DataDir); ok {
		n.NodeResources.Disk.DiskMB = max(1, free) // a full disk is not an unknown one
		p.set("unique.storage.bytestotal", strconv.FormatInt(total<<20, 10))
		p.set("unique.storage.volume", filepath.ToSlash(o.DataDir))
	}
	if o.DiskFree > 0 {
		n.NodeResources.Disk.DiskMB = o.DiskFree
	}
	p.changing(Slow)
	p.setSorted(overriddenFact, slices.Collect(maps.Keys(o.Overrides)))
	settle(p.attrs, o.Overrides)
	return n, nil
}

// prober reads files of one probe into attributes.
type prober struct {
	root      fs.FS
	attrs     map[string]string
	overrides Overrides

	throttles      uint64
	throttlesKnown bool
	address        func(iface string) string
}

func newProber(o *Options) *prober {
	p := &prober{root: o.Root, address: o.Address, attrs: map[string]string{}, overrides: o.Overrides}
	if p.root == nil {
		p.root = os.DirFS("/")
	}
	for name, value := range o.Overrides {
		if value != "" {
			p.attrs[name] = value
		}
	}
	return p
}

// changing probes what can change while the agent runs.
func (p *prober) changing(pace Pace) {
	p.temperature()
	p.throttling()
	p.power()
	p.network()
	p.plugged()
	if pace == Hot {
		return
	}
	if host, err := os.Hostname(); err == nil {
		p.set("unique.hostname", host)
	}
	p.system()
	p.gpus()
	p.tpm()
	p.clock()
	p.buses()
}

// set writes a fact, unless it is unknown or overridden.
func (p *prober) set(key, value string) {
	if _, overridden := p.overrides[key]; value == "" || overridden {
		return
	}
	p.attrs[key] = strings.ToValidUTF8(value[:min(len(value), attributeBytesMax)], "")
}

func (p *prober) setBool(key string, v bool) { p.set(key, strconv.FormatBool(v)) }

// setList writes as many elements as fit whole.
func (p *prober) setList(key string, elements []string) {
	n := 0
	var b []byte
	for _, e := range elements {
		if n += len(e) + 1; n > attributeBytesMax {
			break
		}
		b = append(append(b, e...), ',')
	}
	p.set(key, strings.TrimSuffix(string(b), ","))
}

// setSorted writes a list without order or repetition. Elements are names, in
// which a comma would be a border that is none.
func (p *prober) setSorted(key string, elements []string) {
	for i, e := range elements {
		elements[i] = clean(strings.ReplaceAll(e, ",", " "))
	}
	slices.Sort(elements)
	elements = slices.Compact(elements)
	p.setList(key, slices.DeleteFunc(elements, func(e string) bool { return e == "" }))
}

func (p *prober) exists(name string) bool {
	_, err := fs.Stat(p.root, name)
	return err == nil
}

// glob lists at most globMax names, sorted; none if there are none.
func (p *prober) glob(pattern string) []string {
	names, err := fs.Glob(p.root, pattern)
	if err != nil {
		return nil
	}
	return names[:min(len(names), globMax)]
}

func (p *prober) read(name string) string {
	f, err := p.root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, 0, 512)
	for len(buf) < fileBytesMax {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil || n == 0 {
			break
		}
	}
	return string(buf)
}

func (p *prober) system() {
	id, version := parseOSRelease(p.read("etc/os-release"))
	if id == "" {
		id = runtime.GOOS
	}
	p.set("os.name", id)
	p.set("os.version", version)
}

// override is the configuration's number for a fact; 0: none.
func (p *prober) override(name string) int64 {
	n, err := strconv.ParseInt(p.overrides[name], 10, 64)
	if err != nil {
		return 0 // it is not set: CheckOverride let numbers through only
	}
	return n
}

func (p *prober) processor(c cpu, total int64) fleet.NodeCPU {
	if n := p.override("cpu.numcores"); n > 0 {
		c.cores = int(n)
	}
	if c.cores == 0 {
		c.cores = runtime.NumCPU()
	}
	// The most a core can do, not what it does while idle.
	if mhz := p.maxFrequency(); mhz > 0 {
		c.mhz = mhz
	}
	if mhz := p.override("cpu.frequency"); mhz > 0 {
		c.mhz = float64(mhz)
	}
	assumed := c.mhz == 0
	if assumed {
		c.mhz = assumedMHz(runtime.GOARCH)
	}
	if n := p.override("cpu.totalcompute"); n > 0 {
		total = n
	}
	if total > 0 {
		assumed = false
	} else {
		total = int64(c.mhz) * int64(c.cores)
	}
	p.set("cpu.numcores", strconv.Itoa(c.cores))
	p.set("cpu.modelname", clean(c.model))
	p.set("cpu.frequency", strconv.FormatInt(int64(c.mhz), 10))
	p.set("cpu.totalcompute", strconv.FormatInt(total, 10))
	if assumed {
		p.set("cpu.frequency.assumed", "true")
	}
	var shown []string
	for _, f := range featuresShown {
		if slices.Contains(c.features, f) {
			shown = append(shown, f)
		}
	}
	if len(c.features) == 1 && strings.HasPrefix(c.features[0], "rv") { // RISC-V says all in one word
		shown = riscvFeatures(c.features[0])
	}
	p.set("cpu.features", strings.Join(shown, ","))
	return fleet.NodeCPU{CPUShares: total, TotalCPUCores: c.cores}
}

func (p *prober) maxFrequency() float64 {
	best := 0.0
	for _, dir := range p.glob("sys/devices/system/cpu/cpufreq/policy*") {
		best = max(best, parseKHz(p.read(path.Join(dir, "cpuinfo_max_freq"))))
	}
	return best
}

// ErrMemoryUnknown says that no source told how much memory the device has.
var ErrMemoryUnknown = errors.New("the device's memory could not be found out; set client { memory_total_mb = … } in the agent's configuration")

func (p *prober) memory(override int64) (int64, error) {
	m := parseMemInfo(p.read("proc/meminfo"))
	if m.totalMB == 0 {
		m.totalMB = systemMemoryMB()
	}
	// An agent inside a memory cgroup has no more than that to give.
	for _, name := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if limit := parseCgroupBytes(p.read(name)) >> 20; limit > 0 && limit < m.totalMB {
			m.totalMB = limit
		}
	}
	if n := p.override("memory.totalbytes"); n > 0 {
		override = n >> 20
	}
	if override > 0 {
		m.totalMB = override
	}
	if m.totalMB == 0 {
		return 0, ErrMemoryUnknown
	}
	p.set("memory.totalbytes", strconv.FormatInt(m.totalMB<<20, 10))
	if m.swapMB > 0 {
		p.set("memory.swapbytes", strconv.FormatInt(m.swapMB<<20, 10))
	}
	return m.totalMB, nil
}
