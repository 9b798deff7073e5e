package fingerprint

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// cpu is what /proc/cpuinfo tells.
type cpu struct {
	cores    int
	mhz      float64 // the fastest core named; 0: not told
	model    string
	board    string // "Model" or "Hardware" line of Arm kernels
	features []string
}

// parseCPUInfo reads /proc/cpuinfo of x86, Arm and RISC-V kernels, whose keys
// differ.
func parseCPUInfo(text string) cpu {
	var c cpu
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch key {
		case "processor":
			if _, err := strconv.Atoi(value); err == nil { // old Arm kernels also have "Processor: ARMv7 …"
				c.cores++
			}
		case "cpu MHz":
			if f, err := strconv.ParseFloat(value, 64); err == nil && f > c.mhz && f < 100_000 {
				c.mhz = f
			}
		case "model name", "uarch", "Processor", "cpu model":
			if c.model == "" {
				c.model = value
			}
		case "Model", "Hardware":
			if c.board == "" || key == "Model" {
				c.board = value
			}
		case "flags", "Features", "isa":
			if c.features == nil {
				c.features = strings.Fields(value)
			}
		}
	}
	return c
}

// memory is what /proc/meminfo tells, in MiB; 0: not told.
type memory struct{ totalMB, swapMB int64 }

func parseMemInfo(text string) memory {
	var m memory
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || kib < 0 {
			continue
		}
		switch f[0] {
		case "MemTotal:":
			m.totalMB = kib / 1024
		case "SwapTotal:":
			m.swapMB = kib / 1024
		}
	}
	return m
}

// parseOSRelease reads /etc/os-release: shell assignments with optional quotes.
func parseOSRelease(text string) (id, version string) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	}
	return id, version
}

// parseKHz reads a cpufreq file.
func parseKHz(text string) float64 {
	khz, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || khz <= 0 || khz > 1e8 {
		return 0
	}
	return khz / 1000
}

// parseCgroupBytes reads a cgroup memory limit; 0: none. Version 1 writes a
// number near the largest int64 for none, version 2 the word max.
func parseCgroupBytes(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/2 {
		return 0
	}
	return n
}

// assumedMHz is a core's speed where the kernel does not tell: a low middle of
// what is sold, since too low only wastes room.
func assumedMHz(arch string) float64 {
	switch arch {
	case "amd64":
		return 2000
	case "arm64":
		return 1500
	}
	return 1000
}

// validateOverride refuses settings that cannot be meant.
func validateOverride(name string, v int64) error {
	if v < 0 {
		return fmt.Errorf("%s is %d; write the true value, or leave it out to use the probe", name, v)
	}
	return nil
}

// riscvFeatures are the extensions of a RISC-V isa string, one by one: the
// letters after the width, then what stands after underscores.
func riscvFeatures(isa string) []string {
	base, more, _ := strings.Cut(isa, "_")
	width := strings.TrimLeft(strings.TrimPrefix(base, "rv"), "0123456789")
	var out []string
	for _, letter := range width {
		if letter < 'a' || letter > 'z' {
			return nil
		}
		out = append(out, string(letter))
	}
	for ext := range strings.SplitSeq(more, "_") {
		if ext = clean(ext); ext != "" {
			out = append(out, ext)
		}
	}
	return out
}

// splitList is the elements of a list attribute.
func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
