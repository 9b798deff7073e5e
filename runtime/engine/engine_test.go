package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

func digestOf(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func spec(t testing.TB, path string, args ...string) engine.Spec {
	return engine.Spec{Module: path, Digest: digestOf(t, path), Name: "guest", Args: args}
}

// sharedCache keeps compiled Go guests from one test run to the next: the compile is what takes time.
var sharedCache string

func TestMain(m *testing.M) {
	if os.Getenv("DUNLIN_TEST_GUEST") != "" {
		os.Exit(engine.Main(os.NewFile(3, "spec"), os.NewFile(4, "report")))
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	sharedCache = filepath.Join(dir, "dunlin-test-guests", "compiled")
	os.Exit(m.Run())
}

type result struct {
	engine.Report
	out, err string
}

func run(t testing.TB, s engine.Spec, stdin string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	rep := engine.Prepare().Run(t.Context(), s, strings.NewReader(stdin), &out, &errOut)
	return result{rep, out.String(), errOut.String()}
}

// runGo runs a Go guest through the shared cache.
func runGo(t testing.TB, name, stdin string, change func(*engine.Spec), args ...string) result {
	t.Helper()
	s := spec(t, guests.Build(t, name), args...)
	s.CacheDir = sharedCache
	if change != nil {
		change(&s)
	}
	r := run(t, s, stdin)
	if r.Error != "" {
		t.Fatalf("guest %s did not start: %s", name, r.Error)
	}
	return r
}

func TestHowGuestsEnd(t *testing.T) {
	for _, c := range []struct {
		name  string
		wasm  []byte
		limit uint64
		want  engine.Report
		out   string
	}{
		{name: "return", wasm: guests.TinyReturn()},
		{name: "hello", wasm: guests.TinyHello(0), out: "hello\n"},
		{name: "exit code", wasm: guests.TinyHello(7), want: engine.Report{ExitCode: 7}, out: "hello\n"},
		{name: "exit code beyond 8 bits", wasm: guests.TinyHello(256), want: engine.Report{ExitCode: 256}, out: "hello\n"},
		{name: "trap", wasm: guests.TinyTrap(), want: engine.Report{ExitCode: 134, Trap: "unreachable\nwasm stack trace:\n\t"}},
		{name: "bounds", wasm: guests.TinyOutOfBounds(), want: engine.Report{ExitCode: 134, Trap: "out of bounds memory access"}},
		{name: "eat", wasm: guests.TinyEat(), limit: 8 << 20, want: engine.Report{ExitCode: 134, Trap: "unreachable", OOM: true}},
		{name: "eat politely", wasm: guests.TinyEatPolitely(), limit: 8 << 20},
		{name: "cat", wasm: guests.TinyCat(), out: "some input"},
	} {
		for _, interpreter := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/interpreter=%t", c.name, interpreter), func(t *testing.T) {
				s := spec(t, guests.Write(t, c.wasm))
				s.MemoryMaxBytes, s.Interpreter = c.limit, interpreter
				got := run(t, s, "some input")
				if got.Error != "" || got.ExitCode != c.want.ExitCode || got.OOM != c.want.OOM || got.out != c.out {
					t.Errorf("got %+v, want %+v with output %q", got, c.want, c.out)
				}
				if !strings.HasPrefix(got.Trap, c.want.Trap) || c.want.Trap == "" && got.Trap != "" {
					t.Errorf("trap %q, want one that starts with %q", got.Trap, c.want.Trap)
				}
				if c.limit != 0 && (got.MemoryBytes > c.limit || got.MemoryBytes < c.limit-2<<20) {
					t.Errorf("memory grew to %d bytes with a limit of %d", got.MemoryBytes, c.limit)
				}
			})
		}
	}
}

func TestNotStarted(t *testing.T) {
	hello := spec(t, guests.Write(t, guests.TinyHello(0)))
	text := guests.Write(t, []byte("hello"))
	foreign := guests.Write(t, guests.TinyImport("env", "print"))
	big := spec(t, guests.Write(t, guests.TinyMemory(64)))
	invalid := guests.Write(t, append(guests.TinyReturn()[:len(guests.TinyReturn())-6], 0x01, 0x03, 0x00, 0x45, 0x0b, 0x0b))
	for _, c := range []struct {
		name   string
		spec   engine.Spec
		change func(*engine.Spec)
		want   string
	}{
		{"digest", hello, func(s *engine.Spec) { s.Digest = "sha256:" + strings.Repeat("0", 64) }, "is damaged or another file"},
		{"no digest", hello, func(s *engine.Spec) { s.Digest = "" }, "64 lower-case hexadecimal"},
		{"no file", hello, func(s *engine.Spec) { s.Module = "/nowhere/x.wasm" }, "/nowhere/x.wasm"},
		{"relative path", hello, func(s *engine.Spec) { s.Module = "x.wasm" }, "not absolute"},
		{"text", spec(t, text), nil, "it is not Wasm but a text file"},
		{"foreign import", spec(t, foreign), nil, "imports func env.print"},
		{"invalid code", spec(t, invalid), nil, "module"},
		{"memory", big, func(s *engine.Spec) { s.MemoryMaxBytes = 1 << 20 }, "needs 4 MiB of memory to start, its limit is 1 MiB"},
		{"environment", hello, func(s *engine.Spec) { s.Env = []string{"SECRET"} }, "not KEY=VALUE"},
		{"argument", hello, func(s *engine.Spec) { s.Args = []string{"a\x00b"} }, "NUL"},
		{"mount", hello, func(s *engine.Spec) { s.Mounts = []engine.Mount{{Host: "/nowhere", Guest: "/x"}} }, "mount at /x"},
		{"mount of a file", hello, func(s *engine.Spec) { s.Mounts = []engine.Mount{{Host: text, Guest: "/x"}} }, "mount at /x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.change != nil {
				c.change(&c.spec)
			}
			got := run(t, c.spec, "")
			if !strings.Contains(got.Error, c.want) || got.ExitCode != engine.ExitNotStarted || got.out != "" {
				t.Errorf("got %+v, want an error with %q", got, c.want)
			}
		})
	}
}

func TestGuestSeesTheWorld(t *testing.T) {
	mounts, env, err := engine.SystemMounts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if !m.ReadOnly {
			t.Errorf("mount %+v can be written", m)
		}
	}
	var seen [2]map[string]string
	for i := range seen {
		r := runGo(t, "report", "", func(s *engine.Spec) { s.Mounts, s.Env = mounts, append(env, "COLOUR=sand=grey") }, "a b", "")
		if r.ExitCode != 0 {
			t.Fatalf("%+v", r)
		}
		seen[i] = map[string]string{}
		for line := range strings.Lines(r.out) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
			seen[i][k] = v
		}
	}
	got := seen[0]
	for k, want := range map[string]string{"args": `["guest" "a b" ""]`, "env.COLOUR": "sand=grey", "zone": "14:00 CEST", "roots_empty": "false"} {
		if got[k] != want {
			t.Errorf("%s is %q, want %q (%v)", k, got[k], want, got)
		}
	}
	var unix, slept int64
	fmt.Sscan(got["unix"], &unix)
	fmt.Sscan(got["slept_ms"], &slept)
	if off := time.Now().Unix() - unix; off < 0 || off > 600 {
		t.Errorf("guest's clock is %d s off", off)
	}
	if slept < 20 || slept > 60_000 {
		t.Errorf("20 ms of sleep took %d ms", slept)
	}
	if len(got["random"]) != 32 || got["random"] == seen[1]["random"] {
		t.Errorf("randomness %q, then %q", got["random"], seen[1]["random"])
	}
}

func TestGoGuests(t *testing.T) {
	if r := runGo(t, "exit", "", nil, "42"); r.ExitCode != 42 || r.Trap != "" || r.OOM {
		t.Errorf("exit: %+v", r)
	}
	if r := runGo(t, "panic", "", nil); r.ExitCode != 2 || !strings.Contains(r.err, "nil pointer dereference") {
		t.Errorf("panic: %+v", r)
	}
	if r := runGo(t, "cat", strings.Repeat("wader\n", 10_000), nil); len(r.out) != 60_000 || !strings.Contains(r.err, "60000 bytes") {
		t.Errorf("cat: %d bytes, %q", len(r.out), r.err)
	}
	if r := runGo(t, "shout", "", nil, "4"); r.out != "line 0\nline 2\n" || r.err != "line 1\nline 3\n" || r.ExitCode != 3 {
		t.Errorf("shout: %+v", r)
	}
	if r := runGo(t, "hello", "", func(s *engine.Spec) { s.Env = []string{"NOMAD_ALLOC_NAME=hello.hello[0]"} }, "-n", "2", "-every", "1ms"); r.out != "hello from hello.hello[0], 1\nhello from hello.hello[0], 2\n" {
		t.Errorf("hello: %+v", r)
	}
}

func TestMemoryLimitOfGoGuest(t *testing.T) {
	const limit = 32 << 20
	limited := func(s *engine.Spec) { s.MemoryMaxBytes = limit }
	r := runGo(t, "eat", "", limited)
	if !r.OOM || r.ExitCode == 0 || r.MemoryBytes > limit {
		t.Errorf("guest that eats for ever: %+v", r.Report)
	}
	if n := strings.Count(r.out, "\n"); n < 8 || n > 32 {
		t.Errorf("it got %d MiB of %d", n, limit>>20)
	}
	if r := runGo(t, "eat", "", limited, "8"); r.OOM || r.ExitCode != 0 {
		t.Errorf("guest within its limit: %+v", r.Report)
	}
}

func TestTrapIsBounded(t *testing.T) {
	// A module of one function that calls itself: its stack trace is as long as they get.
	deep := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x06\x01\x04\x00\x10\x00\x0b")
	r := run(t, spec(t, guests.Write(t, deep)), "")
	if !strings.HasPrefix(r.Trap, "stack overflow") || len(r.Trap) > engine.TrapBytesMax {
		t.Errorf("trap of %d bytes: %q", len(r.Trap), r.Trap)
	}
}

func TestValidate(t *testing.T) {
	if err := engine.Validate(t.Context(), guests.Build(t, "exit")); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{
		guests.Write(t, []byte("#!/bin/sh")):      "a script",
		filepath.Join(t.TempDir(), "absent.wasm"): "absent.wasm",
	} {
		if err := engine.Validate(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestReadSpec(t *testing.T) {
	good := `{"Module":"/m.wasm","Digest":"sha256:` + strings.Repeat("a", 64) + `","Name":"x"}`
	if _, err := engine.ReadSpec(strings.NewReader("")); err != io.EOF {
		t.Errorf("nothing to read: %v", err)
	}
	if s, err := engine.ReadSpec(strings.NewReader(good)); err != nil || s.Name != "x" {
		t.Errorf("%+v, %v", s, err)
	}
	for in, want := range map[string]string{
		`{"Modul":"/m"}`: "same version",
		`{`:              "not understood",
		`{"Env":["` + strings.Repeat("x", engine.SpecBytesMax) + `"]}`: "limit of 1048576 bytes",
		strings.Replace(good, "/m.wasm", "m.wasm", 1):                  "not absolute",
	} {
		if _, err := engine.ReadSpec(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", in, err, want)
		}
	}
}

func FuzzReadSpec(f *testing.F) {
	f.Add([]byte(`{"Module":"/m.wasm","Digest":"sha256:00","Env":["A=b"],"Mounts":[{"Host":"/a","Guest":"/b"}]}`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := engine.ReadSpec(bytes.NewReader(b)); err == nil && (!filepath.IsAbs(s.Module) || len(s.Digest) != 71) {
			t.Errorf("accepted %+v", s)
		}
	})
}
