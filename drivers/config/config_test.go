package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestCheck(t *testing.T) {
	cases := []struct {
		driver, raw, want string // want "" is accepted, else a part of the error
	}{
		{"wasm", `{"module":"./hello.wasm"}`, ""},
		{"wasm", `{"module":"` + digest + `","args":["-v","x"],"stop":"stdin"}`, ""},
		{"raw_exec", `{"command":"/bin/sh","args":["-c","true"]}`, ""},
		{"wasm", `{}`, "module is empty"},
		{"wasm", ``, "module is empty"},
		{"wasm", `null`, "module is empty"},
		{"wasm", `{"modul":"x"}`, `did you mean "module"?`},
		{"wasm", `{"Module":"x"}`, `did you mean "module"?`},
		{"wasm", `{"zzzzzz":"x"}`, "keys are module, args, stop"},
		{"wasm", `{"module":7}`, "config module: want a string, got number"},
		{"wasm", `{"module":"a","args":"x"}`, "config args: want a list, got string"},
		{"wasm", `{"module":"a","args":["x",2]}`, "config args[1]: want a string, got number"},
		{"wasm", `{"module":"a","args":[null]}`, "config args[0]: want a string, got null"},
		{"wasm", `{"module":"a","module":"b"}`, `"module" is given twice`},
		{"wasm", `{"module":"a","stop":"now"}`, `"now" is neither "kill" nor "stdin"`},
		{"wasm", `["module"]`, "want an object, got list"},
		{"wasm", `{"module":`, "not valid JSON"},
		{"raw_exec", `{"args":["x"]}`, "command is empty"},
		{"raw_exec", `{"command":"a\u0000b"}`, "zero byte"},
		{"raw_exec", `{"command":"sh","args":["\u0000"]}`, "args[0]"},
		{"raw_exec", `{"comand":"sh"}`, `did you mean "command"?`},
		{"raw-exec", `{}`, `unknown driver "raw-exec"; did you mean "raw_exec"?`},
		{"java", `{}`, `drivers are raw_exec, wasm`},
		{"raw_exec", `{"command":"` + strings.Repeat("a", BytesMax) + `"}`, "the limit is"},
	}
	for _, c := range cases {
		err := Check(c.driver, json.RawMessage(c.raw))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s %.80s: %v", c.driver, c.raw, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s %.80s: got %v, want it to contain %q", c.driver, c.raw, err, c.want)
		}
	}
	if err := Check("jaba", nil); !errors.Is(err, ErrUnknownDriver) {
		t.Errorf("unknown driver: %v", err)
	}
}

func TestParseModuleRef(t *testing.T) {
	cases := []struct {
		in   string
		want ModuleRef
		err  string
	}{
		{in: "./hello.wasm", want: ModuleRef{Kind: ModuleLocal, Path: "./hello.wasm"}},
		{in: "/srv/hello.wasm", want: ModuleRef{Kind: ModuleLocal, Path: "/srv/hello.wasm"}},
		{in: `C:\mods\hello.wasm`, want: ModuleRef{Kind: ModuleLocal, Path: `C:\mods\hello.wasm`}},
		{in: digest, want: ModuleRef{Kind: ModuleDigest, Digest: digest}},
		{in: "sha256:" + strings.ToUpper(digest[7:]), want: ModuleRef{Kind: ModuleDigest, Digest: digest}},
		{in: "https://example.org/a/b.wasm#" + digest, want: ModuleRef{Kind: ModuleURL, URL: "https://example.org/a/b.wasm", Digest: digest}},
		{in: "https://example.org/b.wasm?v=1#" + digest, want: ModuleRef{Kind: ModuleURL, URL: "https://example.org/b.wasm?v=1", Digest: digest}},
		{in: "", err: "module is empty"},
		{in: "sha256:abc", err: "has 3 hex digits"},
		{in: "sha256:" + strings.Repeat("g", 64), err: "invalid byte"},
		{in: "http://example.org/b.wasm#" + digest, err: `scheme "http" is not supported`},
		{in: "https://example.org/b.wasm", err: "has no digest"},
		{in: "https://example.org/b.wasm#md5:00", err: "does not begin with sha256:"},
		{in: "https:///b.wasm#" + digest, err: "names no host"},
		{in: "https://u:p@example.org/b.wasm#" + digest, err: "carries a password"},
	}
	for _, c := range cases {
		got, err := ParseModuleRef(c.in)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%q: got %+v, %v; want %+v", c.in, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: got %v, want it to contain %q", c.in, err, c.err)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: the error shows the password: %v", c.in, err)
		}
	}
}

func TestModulesAndRewrite(t *testing.T) {
	refs, err := Modules("wasm", json.RawMessage(`{"module":"./a.wasm","args":["x"]}`))
	if err != nil || len(refs) != 1 || refs[0].Path != "./a.wasm" {
		t.Fatalf("got %+v, %v", refs, err)
	}
	w, err := ParseWasm(json.RawMessage(`{"module":"./a.wasm","args":["x"]}`))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := w.WithModule(ModuleRef{Kind: ModuleDigest, Digest: digest})
	if err != nil || string(raw) != `{"module":"`+digest+`","args":["x"]}` {
		t.Errorf("got %s, %v", raw, err)
	}
	if refs, err := Modules("raw_exec", json.RawMessage(`{"command":"sh"}`)); err != nil || len(refs) != 0 {
		t.Errorf("raw_exec names no modules: %v, %v", refs, err)
	}
}

// What is accepted must survive being written and read again.
func TestWasmRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := Wasm{
			Module: rapid.SampledFrom([]string{"./a.wasm", digest, "https://h/x#" + digest}).Draw(rt, "module"),
			Args:   rapid.SliceOf(rapid.StringMatching(`[ -~äöü]*`)).Draw(rt, "args"),
			Stop:   rapid.SampledFrom([]string{"", StopKill, StopStdin}).Draw(rt, "stop"),
		}
		raw, err := json.Marshal(w)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := ParseWasm(raw)
		if err != nil {
			rt.Fatalf("%s: %v", raw, err)
		}
		again, _ := json.Marshal(got)
		if string(raw) != string(again) {
			rt.Fatalf("%s became %s", raw, again)
		}
	})
}

func TestNearestPrefersTheClosest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{"module", "command"}).Draw(rt, "name")
		i := rapid.IntRange(0, len(name)-1).Draw(rt, "at")
		slip := name[:i] + name[i+1:] // one letter left out
		if got := nearest(slip, []string{"args", "command", "module", "stop"}); got != name {
			rt.Fatalf("nearest(%q) = %q, want %q", slip, got, name)
		}
	})
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"module":"a","args":["x"]}`, `{"command":"sh"}`, `{"a":{"b":[1,2]}}`, `[`, `{"module":1e9}`, `{"":""}`, "null", ""} {
		f.Add("wasm", []byte(s))
		f.Add("raw_exec", []byte(s))
	}
	f.Fuzz(func(t *testing.T, driver string, raw []byte) {
		if err := Check(driver, raw); err != nil {
			return
		}
		if _, err := Modules(driver, raw); err != nil {
			t.Fatalf("accepted by Check, refused by Modules: %v", err)
		}
	})
}

func FuzzParseModuleRef(f *testing.F) {
	for _, s := range []string{"", "a.wasm", digest, "https://h/x#" + digest, "https://h/%zz#x", "sha256:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseModuleRef(s)
		if err != nil {
			return
		}
		if again, err := ParseModuleRef(ref.String()); err != nil || again != ref {
			t.Fatalf("%q → %+v → %+v, %v", s, ref, again, err)
		}
	})
}
