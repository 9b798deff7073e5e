package module

import (
	"fmt"
	"slices"
	"strings"
)

// Refusal says why a file cannot run here, and what would make one that can.
type Refusal struct {
	Reason string // what was found, as a clause: "it is a Wasm component, …"
	Fix    string // what to do, with the exact build command where one is known
}

// Error is both in one line.
func (r *Refusal) Error() string { return r.Reason + "; " + r.Fix }

// Check tells whether the inspected file can run as a preview1 command. The error is a *Refusal. Nil means that nothing
// visible in the headers speaks against it; function bodies are judged by the engine when it compiles them.
func Check(info Info) error {
	for _, check := range []func(Info) *Refusal{checkKind, checkFeatures, checkImports, checkStart} {
		if r := check(info); r != nil {
			return r
		}
	}
	return nil
}

func checkKind(i Info) *Refusal {
	switch i.Kind {
	case Core:
		return nil
	case Component:
		return &Refusal{"it is a Wasm component (WASI preview 2 or later), and only core modules with WASI preview 1 run here",
			fixFor(i.Language)}
	case UnknownVersion:
		return &Refusal{"it is Wasm of a binary version that is not known here (only version 1 is)", fixFor(i.Language)}
	}
	switch {
	case strings.HasPrefix(i.Looks, "an ELF"), strings.HasPrefix(i.Looks, "a Mach-O"), strings.HasPrefix(i.Looks, "a PE"):
		return &Refusal{"it is not Wasm but " + i.Looks, "build for Wasm (" + commands() + "), or run it with driver = \"raw_exec\""}
	case strings.Contains(i.Looks, "archive"):
		return &Refusal{"it is not Wasm but " + i.Looks, "unpack it and name the .wasm file inside"}
	case strings.Contains(i.Looks, ".wat"):
		return &Refusal{"it is not binary Wasm but " + i.Looks, "assemble it: wat2wasm app.wat -o app.wasm"}
	case i.Looks == "Go source":
		return &Refusal{"it is not Wasm but Go source", fixFor(Go)}
	}
	return &Refusal{"it is not Wasm but " + i.Looks, "name a .wasm file; to build one: " + commands()}
}

// refusedFeatures holds what no engine setting here turns on. Threads: a preview1 guest has one thread, and shared memory
// would be reserved at its maximum.
var refusedFeatures = map[string]string{
	"threads":      "it needs threads (shared memory), which guests do not have here",
	"memory64":     "it uses 64-bit memory (memory64), which does not run here",
	"multi-memory": "it has more than one memory, which does not run here",
	"gc":           "it uses garbage-collected types (the GC proposal), which do not run here",
}

func checkFeatures(i Info) *Refusal {
	for _, f := range i.Features {
		if why := refusedFeatures[f]; why != "" {
			fix := "build without it: " + buildCommand(i.Language)
			if f == "threads" && (i.Language == C || i.Language == CPlusPlus) {
				fix = "build without -pthread and for wasm32-wasip1, not wasm32-wasip1-threads: " + buildCommand(C)
			}
			return &Refusal{why, fix}
		}
	}
	return nil
}

func checkImports(i Info) *Refusal {
	for _, im := range i.Imports {
		name := im.Module + "." + im.Name
		switch {
		case im.Module != Preview1:
			why, fix := foreignImport(im, i.Language)
			return &Refusal{fmt.Sprintf("it imports %s %s, %s", im.Kind, name, why), fix}
		case im.Kind != "func":
			return &Refusal{fmt.Sprintf("it imports the %s %s, and preview 1 offers functions only", im.Kind, name), fixFor(i.Language)}
		case !preview1[im.Name]:
			return &Refusal{fmt.Sprintf("it imports %s, which is no function of WASI preview 1", name), fixFor(i.Language)}
		}
	}
	return nil
}

// foreignImport explains an import from elsewhere by the toolchains that are known to make it.
func foreignImport(im Import, lang Language) (why, fix string) {
	m := im.Module
	switch {
	case m == "wasi_unstable":
		return "the interface that came before WASI preview 1", "build with a toolchain from 2020 or later: " + buildCommand(lang)
	case m == "gojs" || m == "go":
		return "which only a JavaScript host offers (it was built with GOOS=js)", fixFor(Go)
	case m == "wasi" && im.Name == "thread-spawn":
		return "which starts threads, and guests do not have them here", "build for wasm32-wasip1, not wasm32-wasip1-threads: " + buildCommand(lang)
	case strings.HasPrefix(m, "wasi:") || strings.HasPrefix(m, "wasi_ephemeral"):
		return "an interface of another WASI version than preview 1", fixFor(lang)
	case strings.HasPrefix(m, "wasix"):
		return "an extension of one other runtime (WASIX)", fixFor(lang)
	case strings.HasPrefix(m, "__wbindgen") || m == "wbg":
		return "which only a browser offers (it was built by wasm-bindgen)", fixFor(Rust)
	case m == "javy_quickjs_provider" || strings.HasPrefix(m, "javy_"):
		return "which Javy's plugin offers (it was built with dynamic linking)", fixFor(JavaScript)
	case m == "env" && lang == AssemblyScript:
		return "which a JavaScript host offers", fixFor(AssemblyScript)
	case m == "env" || m == "GOT.mem" || m == "GOT.func":
		return "which nothing offers here: the linker left it open (an extern without a definition, or a build by Emscripten)",
			"link what is missing, then: " + buildCommand(lang)
	}
	return "which nothing offers here (guests import " + Preview1 + " only)", fixFor(lang)
}

func checkStart(i Info) *Refusal {
	if i.Exported("func", "_start") {
		return nil
	}
	if i.Exported("func", "_initialize") {
		fix := "build a command: " + buildCommand(i.Language)
		switch i.Language {
		case Go, TinyGo:
			fix = "build without -buildmode=c-shared: " + buildCommand(i.Language)
		case Rust:
			fix = "build a binary (src/main.rs), not a cdylib: " + buildCommand(Rust)
		case C, CPlusPlus:
			fix = "build with a main function and without -mexec-model=reactor: " + buildCommand(i.Language)
		}
		return &Refusal{"it is a library (it exports _initialize, not _start), and a task needs a program", fix}
	}
	return &Refusal{"it exports no _start function" + exportsInWords(i) + ", so there is nothing to run",
		"build a program with a main function: " + buildCommand(i.Language)}
}

func exportsInWords(i Info) string {
	var names []string
	for _, e := range i.Exports {
		if e.Kind == "func" && len(names) < 5 && len(e.Name) < 40 {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return " (only " + strings.Join(names, ", ") + ")"
}
