package module_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/module"
)

const preamble = "\x00asm\x01\x00\x00\x00"

func sec(id byte, body string) string { return string([]byte{id, byte(len(body))}) + body }
func str(s string) string             { return string([]byte{byte(len(s))}) + s }
func producer(field, name, version string) string {
	return sec(0, str("producers")+"\x01"+str(field)+"\x01"+str(name)+str(version))
}

// imports makes a module of one type ()->(), one import each, and no exports.
func imports(kindAndType string, names ...string) string {
	body := string([]byte{byte(len(names) / 2)})
	for i := 0; i < len(names); i += 2 {
		body += str(names[i]) + str(names[i+1]) + kindAndType
	}
	return preamble + sec(1, "\x01\x60\x00\x00") + sec(2, body)
}

func TestTinyModulesPass(t *testing.T) {
	for name, wasm := range map[string][]byte{"hello": guests.TinyHello(0), "return": guests.TinyReturn(), "sleep": guests.TinySleep(),
		"spin": guests.TinySpin(), "cat": guests.TinyCat(), "eat": guests.TinyEat()} {
		info, err := module.InspectBytes(wasm)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if info.Kind != module.Core || !info.Exported("func", "_start") || info.Functions != 1 || len(info.Memories) != 1 {
			t.Errorf("%s: %+v", name, info)
		}
		if err := module.Check(info); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
	info, err := module.InspectBytes(guests.TinyHello(0))
	want := module.Import{Module: "wasi_snapshot_preview1", Name: "fd_write", Kind: "func", Type: "(i32,i32,i32,i32)->(i32)"}
	if err != nil || info.Imports[0] != want {
		t.Errorf("import %+v, want %+v (%v)", info.Imports, want, err)
	}
}

func TestRealGoProgram(t *testing.T) {
	f, err := os.Open(guests.Build(t, "exit"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingReaderAt{r: f}
	info, err := module.Inspect(counted, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := module.Check(info); err != nil {
		t.Errorf("a Go command is refused: %v", err)
	}
	if info.Language != module.Go || info.Functions < 100 || len(info.Imports) < 5 {
		t.Errorf("language %q, %d functions, %d imports, custom %q", info.Language, info.Functions, len(info.Imports), info.CustomSections)
	}
	if counted.bytes > st.Size()/10 {
		t.Errorf("read %d of %d bytes; headers and small sections should do", counted.bytes, st.Size())
	}
}

type countingReaderAt struct {
	r     *os.File
	bytes int64
}

func (c *countingReaderAt) ReadAt(b []byte, at int64) (int, error) {
	c.bytes += int64(len(b))
	return c.r.ReadAt(b, at)
}

func TestPreview1HasEveryFunction(t *testing.T) {
	if n := module.Preview1Functions(); n != 46 {
		t.Errorf("%d functions, want 46: 45 of the standard and sock_accept", n)
	}
}

// Each refusal names its reason and a command that helps.
func TestRefusals(t *testing.T) {
	start := sec(7, "\x01"+str("_start")+"\x00\x00")
	for _, c := range []struct{ name, file, reason, fix string }{
		{"component", "\x00asm\x0d\x00\x01\x00", "component", "GOOS=wasip1 GOARCH=wasm go build -o app.wasm ."},
		{"rust component", "\x00asm\x0d\x00\x01\x00" + producer("processed-by", "rustc", "1.90"), "component", "cargo build --release --target wasm32-wasip1"},
		{"js component, nested", "\x00asm\x0d\x00\x01\x00" + sec(1, preamble+producer("language", "JavaScript", "")), "component", "javy build"},
		{"python component", "\x00asm\x0d\x00\x01\x00" + producer("processed-by", "componentize-py", "0.1"), "component", "Python"},
		{"future version", "\x00asm\x02\x00\x00\x00", "version", "go build"},
		{"empty", "", "an empty file", "go build"},
		{"elf", "\x7fELF\x02\x01", "ELF", "raw_exec"},
		{"macho", "\xcf\xfa\xed\xfe\x00", "Mach-O", "raw_exec"},
		{"pe", "MZ\x90\x00", "PE exec", "raw_exec"},
		{"gzip", "\x1f\x8b\x08\x00", "gzip", "unpack"},
		{"wat", " (module (func))", "WebAssembly text", "wat2wasm"},
		{"script", "#!/bin/sh\necho", "a script", "GOOS=wasip1"},
		{"html", "<!DOCTYPE html><p>", "HTML", "GOOS=wasip1"},
		{"go source", "// hi\npackage main\n", "Go source", "GOOS=wasip1"},
		{"text", "hello", "text file", "GOOS=wasip1"},
		{"cut preamble", "\x00asm\x01", "cut short", "GOOS=wasip1"},
		{"unstable", imports("\x00\x00", "wasi_unstable", "fd_write") + start, "before WASI preview 1", "2020"},
		{"js go", imports("\x00\x00", "gojs", "runtime.wasmExit") + start, "GOOS=js", "GOOS=wasip1"},
		{"threads import", imports("\x00\x00", "wasi", "thread-spawn") + start, "threads", "wasm32-wasip1-threads"},
		{"preview 2 import", imports("\x00\x00", "wasi:cli/run", "x") + start, "another WASI version", "GOOS=wasip1"},
		{"bindgen", imports("\x00\x00", "wbg", "x") + start, "browser", "cargo build"},
		{"env", imports("\x00\x00", "env", "emscripten_notify") + start, "env.emscripten_notify", "link what is missing"},
		{"other", imports("\x00\x00", "spin", "x") + start, "spin.x", "GOOS=wasip1"},
		{"unknown function", imports("\x00\x00", "wasi_snapshot_preview1", "sock_open") + start, "no function of WASI preview 1", "GOOS"},
		{"memory import", imports("\x02\x00\x01", "wasi_snapshot_preview1", "memory") + start, "functions only", "GOOS"},
		{"shared memory", preamble + sec(5, "\x01\x03\x01\x02") + start + producer("processed-by", "clang", "19"), "threads", "-pthread"},
		{"memory64", preamble + sec(5, "\x01\x04\x01") + start, "memory64", "build without"},
		{"two memories", preamble + sec(5, "\x02\x00\x01\x00\x01") + start, "more than one memory", "build without"},
		{"gc", preamble + sec(1, "\x01\x5f\x00") + start, "garbage", "build without"},
		{"go library", preamble + sec(7, "\x01"+str("_initialize")+"\x00\x00") + producer("language", "Go", "1.26"), "library", "c-shared"},
		{"rust library", preamble + sec(7, "\x01"+str("_initialize")+"\x00\x00") + producer("language", "Rust", ""), "library", "cdylib"},
		{"no start", preamble + sec(7, "\x01"+str("run")+"\x00\x00"), "only run", "main function"},
		{"start is no function", preamble + sec(7, "\x01"+str("_start")+"\x03\x00"), "no _start function", "main function"},
	} {
		t.Run(c.name, func(t *testing.T) {
			info, err := module.InspectBytes([]byte(c.file))
			if err != nil {
				t.Fatal(err)
			}
			var r *module.Refusal
			if err := module.Check(info); !errors.As(err, &r) {
				t.Fatalf("not refused: %v; %+v", err, info)
			}
			if !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Fix, c.fix) {
				t.Errorf("reason %q, fix %q; want parts %q, %q", r.Reason, r.Fix, c.reason, c.fix)
			}
		})
	}
}

func TestDamagedFilesAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"section beyond the end": {preamble + "\x0a\x7fxx", "code section at byte 8 says 127 bytes, 2 remain"},
		"huge count":             {preamble + sec(2, "\xff\xff\xff\xff\x0f"), "imports, more than the limit of 10000"},
		"long number":            {preamble + sec(2, "\xff\xff\xff\xff\xff\x0f"), "more than 32 bits"},
		"cut entry":              {preamble + sec(7, "\x02"+str("_start")+"\x00\x00"), "export section"},
		"name is not text":       {preamble + sec(7, "\x01"+str("\xff\xfe")+"\x00\x00"), "UTF-8"},
		"unknown kind":           {preamble + sec(7, "\x01"+str("x")+"\x09\x00"), "unknown kind 9"},
		"too many sections":      {preamble + strings.Repeat(sec(0, str("a")), module.SectionsMax+1), "more than 4096 sections"},
	} {
		if _, err := module.InspectBytes([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := module.Inspect(bytes.NewReader(nil), module.SizeBytesMax+1); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("too large a file: %v", err)
	}
}

func TestProducersAndFeatures(t *testing.T) {
	file := preamble + producer("processed-by", "TinyGo", "0.40") +
		sec(0, str("target_features")+"\x03+"+str("tail-call")+"-"+str("simd128")+"+"+str("sign-ext")) + sec(13, "\x00")
	info, err := module.InspectBytes([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if info.MadeBy() != "TinyGo 0.40" || info.Language != module.TinyGo || !slices.Equal(info.Features, []string{"exceptions", "tail-call"}) {
		t.Errorf("made by %q, %q, features %q", info.MadeBy(), info.Language, info.Features)
	}
}

func FuzzInspect(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(guests.TinyHello(0))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00" + sec(1, preamble+producer("language", "JavaScript", ""))))
	f.Add([]byte(preamble + sec(1, "\x01\x60\x01\x7f\x01\x64\x00") + sec(5, "\x01\x07\x01\x02") + sec(13, "\x00")))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := module.InspectBytes(b)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if info.Kind == module.Foreign && info.Looks == "" {
			t.Error("a foreign file that looks like nothing")
		}
		var r *module.Refusal
		if err := module.Check(info); err != nil && (!errors.As(err, &r) || r.Reason == "" || r.Fix == "") {
			t.Errorf("refusal without reason or fix: %#v", err)
		}
	})
}
