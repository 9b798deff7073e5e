package config

import (
	"strings"
	"testing"
)

func TestCheckMount(t *testing.T) {
	for _, tc := range []struct{ driver, at, want string }{
		{"wasm", "/certs", ""},
		{"wasm", "/local/certs", ""},
		{"wasm", "/local", "/local is where a guest finds the folders of its allocation"},
		{"wasm", "/alloc", "/alloc is where"},
		{"raw_exec", "/certs", "raw_exec cannot mount /certs: its tasks see the device's own files"},
		{"other", "/certs", ""},
	} {
		err := CheckMount(tc.driver, tc.at)
		if (err == nil) != (tc.want == "") || err != nil && !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s at %s: %v", tc.driver, tc.at, err)
		}
	}
}
