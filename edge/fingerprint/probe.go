package fingerprint

import (
	"errors"
	"io/fs"
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
	Root        fs.FS  // the file system to read; nil: the machine's
	DataDir     string // its disk is reported
	CPUTotal    int64  // MHz, overrides the probe; 0: probe
	MemoryTotal int64  // MiB, overrides the probe; 0: probe
	Version     string // of the agent
}

// Limits of a probe.
const (
	fileBytesMax      = 1 << 20
	attributeBytesMax = fleet.NodeAttributeBytesMax
)

// featuresShown are the processor features jobs ask about; the full list of an
// x86 is over 1 KiB and changes with each kernel.
var featuresShown = []string{
	"aes", "avx", "avx2", "avx512f", "fma", "sha_ni", "sse4_1", "sse4_2", "ssse3", "vmx", "svm",
	"asimd", "neon", "sha1", "sha2", "crc32", "atomics", "fp", "vfpv4",
}

// Probe returns what the device is. Attributes that could not be found are
// absent. The error says that memory or an override is unusable.
func Probe(o Options) (*fleet.Node, error) {
	for name, v := range map[string]int64{"client.cpu_total_compute": o.CPUTotal, "client.memory_total_mb": o.MemoryTotal} {
		if err := validateOverride(name, v); err != nil {
			return nil, err
		}
	}
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	p := &prober{root: o.Root, attrs: map[string]string{}}
	n := &fleet.Node{Attributes: p.attrs, Version: o.Version}
	p.set("kernel.name", runtime.GOOS)
	p.set("arch", runtime.GOARCH) // the field's older name beside cpu.arch
	p.set("cpu.arch", runtime.GOARCH)
	if host, err := os.Hostname(); err == nil {
		p.set("unique.hostname", host)
	}
	p.set("dunlin.version", o.Version)
	p.system()
	n.NodeResources.CPU = p.processor(o.CPUTotal)
	mem, err := p.memory(o.MemoryTotal)
	if err != nil {
		return nil, err
	}
	n.NodeResources.Memory.MemoryMB = mem
	if total, free, ok := disk(o.DataDir); ok {
		n.NodeResources.Disk.DiskMB = free
		p.set("unique.storage.bytestotal", strconv.FormatInt(total<<20, 10))
		p.set("unique.storage.volume", filepath.ToSlash(o.DataDir))
	}
	return n, nil
}

type prober struct {
	root  fs.FS
	attrs map[string]string
}

func (p *prober) set(key, value string) {
	if value == "" {
		return
	}
	p.attrs[key] = value[:min(len(value), attributeBytesMax)]
}

func (p *prober) read(name string) string {
	f, err := p.root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, 0, 4096)
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
	p.set("kernel.version", strings.TrimSpace(p.read("proc/sys/kernel/osrelease")))
	id, version := parseOSRelease(p.read("etc/os-release"))
	if id == "" {
		id = runtime.GOOS
	}
	p.set("os.name", id)
	p.set("os.version", version)
	board := parseModel(p.read("sys/firmware/devicetree/base/model"))
	if board == "" {
		vendor := parseModel(p.read("sys/class/dmi/id/sys_vendor"))
		board = strings.TrimSpace(vendor + " " + parseModel(p.read("sys/class/dmi/id/product_name")))
	}
	if board == "" {
		board = parseModel(parseCPUInfo(p.read("proc/cpuinfo")).board)
	}
	p.set("board.model", board)
}

func (p *prober) processor(override int64) fleet.NodeCPU {
	c := parseCPUInfo(p.read("proc/cpuinfo"))
	if c.cores == 0 {
		c.cores = runtime.NumCPU()
	}
	// The most a core can do, not what it does while idle.
	if mhz := p.maxFrequency(); mhz > 0 {
		c.mhz = mhz
	}
	assumed := c.mhz == 0
	if assumed {
		c.mhz = assumedMHz(runtime.GOARCH)
	}
	total := int64(c.mhz) * int64(c.cores)
	if override > 0 {
		total, assumed = override, false
	}
	p.set("cpu.numcores", strconv.Itoa(c.cores))
	p.set("cpu.modelname", c.model)
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
	p.set("cpu.features", strings.Join(shown, ","))
	return fleet.NodeCPU{CPUShares: total, TotalCPUCores: c.cores}
}

func (p *prober) maxFrequency() float64 {
	best := 0.0
	policies, err := fs.Glob(p.root, "sys/devices/system/cpu/cpufreq/policy*")
	if err != nil {
		return 0
	}
	for _, dir := range policies {
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
