package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
)

// Limits on what a guest process takes and tells.
const (
	// SpecBytesMax limits the JSON of one Spec: arguments and environment are what makes it large.
	SpecBytesMax = 1 << 20
	// TrapBytesMax limits Report.Trap, stack included.
	TrapBytesMax = 4 << 10
	// MountsMax limits the mounts of one guest, the system's two included.
	MountsMax = 64
	// CacheBytesMax is what the compile cache may hold; beyond it the modules compiled longest ago are dropped.
	CacheBytesMax = 512 << 20

	pageBytes = 64 << 10
)

// Exit codes of the guest process for ends that are not the guest's own. They are the shell's: 127 could not be run, 134
// ended by an abort.
const (
	ExitNotStarted = 127
	ExitTrap       = 134
)

// Spec is what a guest process is told, as JSON, before it starts. All host paths are absolute.
type Spec struct {
	Module         string   // path of the .wasm file
	Digest         string   // "sha256:<hex>" of that file; it is not run when the content differs
	Name           string   // argv[0]
	Args           []string // argv[1:]
	Env            []string // KEY=VALUE
	Mounts         []Mount  // folders that the guest sees; the longest matching guest path wins
	CacheDir       string   // compile cache, shared by guests, mode 0700; "" for none
	MemoryMaxBytes uint64   // limit of linear memory, rounded down to 64 KiB; 0 for the format's own 4 GiB
	Interpreter    bool     // interpret even where a compiler exists
	CompileOnly    bool     `json:",omitempty"` // fill the compile cache and run nothing; see CompileAhead
}

// Mount shows one folder of the host to the guest.
type Mount struct {
	Host     string // absolute path of a folder
	Guest    string // absolute path, with slashes
	ReadOnly bool
}

// Report says how a guest ended. Exactly one of three holds: Error is set (it never ran), Trap is set (it was stopped by
// its own fault), or neither (it ended by itself, with ExitCode).
type Report struct {
	ExitCode int    // the guest's own; ExitTrap or ExitNotStarted in the other two cases
	Trap     string // what happened, such as "unreachable", then the guest's stack; at most TrapBytesMax
	OOM      bool   // its last memory.grow was refused by the limit, and then it trapped or ended with an exit code other than 0
	Error    string // why it could not be started, in words

	CacheHit      bool   // the machine code came from the disk cache
	MemoryBytes   uint64 // linear memory at the end, which is its peak: it never shrinks
	LoadNanos     int64  // reading and verifying the module
	CompileNanos  int64  // compiling, or reading the disk cache
	StartNanos    int64  // making the instance, up to its first instruction
	RunNanos      int64  // wall time inside the guest
	EngineCompile bool   // true for the compiler, false for the interpreter
}

// ReadSpec reads one JSON value of at most SpecBytesMax and checks it. It returns io.EOF when there is nothing to read.
// Unknown fields are refused: one could be a limit that this version would not keep.
func ReadSpec(r io.Reader) (Spec, error) {
	limited := &io.LimitedReader{R: r, N: SpecBytesMax + 1}
	dec := json.NewDecoder(limited)
	dec.DisallowUnknownFields()
	var s Spec
	if err := dec.Decode(&s); err != nil {
		if errors.Is(err, io.EOF) {
			return s, io.EOF
		}
		if limited.N == 0 {
			return s, fmt.Errorf("guest spec has more than the limit of %d bytes (arguments and environment count)", SpecBytesMax)
		}
		return s, fmt.Errorf("guest spec is not understood (are host and guest of the same version?): %w", err)
	}
	return s, s.check()
}

func (s Spec) check() error {
	if !filepath.IsAbs(s.Module) {
		return fmt.Errorf("guest spec: module path %q is not absolute", s.Module)
	}
	hexPart, ok := strings.CutPrefix(s.Digest, "sha256:")
	if !ok || len(hexPart) != 64 || strings.Trim(hexPart, "0123456789abcdef") != "" {
		return fmt.Errorf("guest spec: digest %q is not sha256: and 64 lower-case hexadecimal digits", s.Digest)
	}
	if s.CacheDir != "" && !filepath.IsAbs(s.CacheDir) {
		return fmt.Errorf("guest spec: cache folder %q is not absolute", s.CacheDir)
	}
	if s.MemoryMaxBytes != 0 && s.MemoryMaxBytes < pageBytes {
		return fmt.Errorf("guest spec: memory limit of %d bytes is below one Wasm page of %d", s.MemoryMaxBytes, pageBytes)
	}
	if len(s.Mounts) > MountsMax {
		return fmt.Errorf("guest spec: %d mounts, more than the limit of %d", len(s.Mounts), MountsMax)
	}
	for _, m := range s.Mounts {
		if !filepath.IsAbs(m.Host) || !path.IsAbs(m.Guest) {
			return fmt.Errorf("guest spec: mount of %q at %q needs two absolute paths", m.Host, m.Guest)
		}
	}
	for i, kv := range s.Env {
		if k, _, ok := strings.Cut(kv, "="); !ok || k == "" || strings.Contains(kv, "\x00") {
			// The value is left out of the message: it may be a secret.
			return fmt.Errorf("guest spec: environment entry %d (%q) is not KEY=VALUE without NUL bytes", i, k)
		}
	}
	for i, a := range append([]string{s.Name}, s.Args...) {
		if strings.Contains(a, "\x00") {
			return fmt.Errorf("guest spec: argument %d has a NUL byte", i)
		}
	}
	return nil
}
