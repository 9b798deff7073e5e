package module

import "strings"

// Limits on what is read. A file beyond one of them is refused with that limit's name, never cut silently.
const (
	// SizeBytesMax is the largest module that Dunlin accepts.
	SizeBytesMax = 256 << 20
	// SectionBytesMax is the largest section that is read into memory (type, import, export, memory, custom metadata).
	SectionBytesMax = 16 << 20
	// SectionsMax is the largest number of sections, custom ones included.
	SectionsMax = 4096
	// TypesMax, ImportsMax and ExportsMax limit the entries of those sections.
	TypesMax   = 100_000
	ImportsMax = 10_000
	ExportsMax = 100_000
	// NameBytesMax limits one import, export or section name.
	NameBytesMax = 4096
	// paramsMax limits the parameters or results of one function type, as browsers do.
	paramsMax = 1000
	// producersMax limits the entries of one producers field and the names in target_features.
	producersMax = 256
	// nestingMax limits how deep modules inside a component are searched for their producers.
	nestingMax = 4
)

// Kind is what a file is.
type Kind string

const (
	// Core is a core Wasm module (preamble version 1).
	Core Kind = "core"
	// Component is a component-model binary (preamble 0d 00 01 00), which wraps core modules.
	Component Kind = "component"
	// UnknownVersion is Wasm by its magic, with a version word that is neither of the two.
	UnknownVersion Kind = "unknown-version"
	// Foreign is not Wasm at all; Info.Looks says what it seems to be.
	Foreign Kind = "foreign"
)

// Import is one thing that a module needs from outside.
type Import struct {
	Module string // for example "wasi_snapshot_preview1"
	Name   string
	Kind   string // "func", "table", "memory", "global" or "tag"
	Type   string // for a function "(i32,i32)->(i32)", otherwise the element or value type
}

// Export is one thing that a module offers.
type Export struct {
	Name string
	Kind string // as Import.Kind
}

// Memory is a module's declared linear memory. Pages are 64 KiB.
type Memory struct {
	MinPages uint64
	MaxPages uint64 // meaningful when HasMax
	HasMax   bool
	Shared   bool // can be shared between threads
	Is64     bool // 64-bit addresses (memory64)
	Imported bool
}

// Producer is one entry of the producers section: what made the file.
type Producer struct {
	Field   string // "language", "processed-by" or "sdk"
	Name    string
	Version string
}

// Info is what Inspect learned. The zero value of each field means "not there".
type Info struct {
	Kind           Kind
	Looks          string // for Foreign: what it looks like, with an article ("an ELF executable"); else empty
	SizeBytes      int64
	Imports        []Import
	Exports        []Export
	Memories       []Memory
	CustomSections []string // names in file order
	Producers      []Producer
	Features       []string // sorted: features that the file visibly needs ("memory64", "threads", "exceptions", …)
	Language       Language // best guess from the producers, custom sections and imports
	Functions      int      // functions defined in the module
}

// Language is the source language or toolchain, as far as it decides which build command to suggest.
type Language string

const (
	Unknown        Language = ""
	Go             Language = "Go"
	TinyGo         Language = "TinyGo"
	Rust           Language = "Rust"
	C              Language = "C"
	CPlusPlus      Language = "C++"
	Zig            Language = "Zig"
	AssemblyScript Language = "AssemblyScript"
	JavaScript     Language = "JavaScript"
	Python         Language = "Python"
)

// Exported tells whether the module exports a thing of that kind under that name.
func (i Info) Exported(kind, name string) bool {
	for _, e := range i.Exports {
		if e.Kind == kind && e.Name == name {
			return true
		}
	}
	return false
}

// MadeBy is the producers in one line for people, such as "Go 1.26.0, rustc 1.80.1", or empty.
func (i Info) MadeBy() string {
	var parts []string
	for _, p := range i.Producers {
		if s := strings.TrimSpace(p.Name + " " + p.Version); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// guessLanguage prefers what tools wrote about themselves; where they wrote nothing (Go's own linker writes no producers),
// the traces each toolchain leaves decide. TinyGo before Go and C: it runs on LLVM and names all of them.
func guessLanguage(i Info) Language {
	var all strings.Builder
	for _, p := range i.Producers {
		all.WriteString(strings.ToLower(p.Field + "=" + p.Name + ";"))
	}
	made := all.String()
	for _, m := range []struct {
		trace string
		lang  Language
	}{
		{"tinygo", TinyGo}, {"componentize-py", Python}, {"componentizejs", JavaScript}, {"componentize-js", JavaScript},
		{"javascript", JavaScript}, {"javy", JavaScript}, {"assemblyscript", AssemblyScript}, {"zig", Zig}, {"rust", Rust},
		{"language=go;", Go}, {"=go cmd/compile;", Go}, {"=c_plus_plus", CPlusPlus}, {"=c++", CPlusPlus}, {"=c99", C},
		{"=c11", C}, {"=c17", C}, {"=c23", C}, {"=c;", C}, {"clang", C},
	} {
		if strings.Contains(made, m.trace) {
			return m.lang
		}
	}
	for _, name := range i.CustomSections {
		if strings.HasPrefix(name, "go:") || name == "go.buildid" {
			return Go
		}
		if name == "sourceMappingURL" && i.Exported("func", "__new") {
			return AssemblyScript
		}
	}
	for _, im := range i.Imports {
		switch {
		case im.Module == "gojs" || im.Module == "go":
			return Go
		case strings.HasPrefix(im.Module, "__wbindgen") || im.Module == "wbg":
			return Rust
		}
	}
	return Unknown
}
