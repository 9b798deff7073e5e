package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/wire/blob"
)

// TestMoves: the new module is a file here, the old one is at the region.
func TestMoves(t *testing.T) {
	old := make([]byte, 60_000)
	for i := range old {
		old[i] = byte(i * i >> 5)
	}
	next := append(bytes.Clone(old), "one line more"...)
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if !strings.HasSuffix(r.URL.Path, "/content") || !strings.Contains(r.URL.Path, blob.DigestBytes(old).Hex()) {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(old)
	}))
	defer server.Close()
	client, err := api.New(api.Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	path := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(path, next, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := string(blob.DigestBytes(next))
	modules := []api.PlanModule{{Task: "main", Digest: digest, Devices: []api.PlanDevices{
		{Arch: "arm64", Base: string(blob.DigestBytes(old)), Count: 12},
		{Arch: "arm", Base: string(blob.DigestBytes(old)), Count: 2},
		{Arch: "arm64", Count: 1}, {Base: digest, Count: 3},
		{Base: "sha256:" + strings.Repeat("0", 64), Count: 1},
	}}}
	l := &loaded{Modules: []localModule{{Path: path, Digest: digest, Size: int64(len(next))}}}
	if err := (&env{}).weigh(t.Context(), client, l, modules); err != nil {
		t.Fatal(err)
	}
	d := modules[0].Devices
	patch, compressed := *d[0].BytesEach, *d[2].BytesEach
	if patch > 500 || *d[1].BytesEach != patch || compressed <= patch || compressed >= 60_000 || *d[3].BytesEach != 0 || *d[4].BytesEach != compressed {
		t.Errorf("patch %d, %d, compressed %d, held %d, unknown base %d", patch, *d[1].BytesEach, compressed, *d[3].BytesEach, *d[4].BytesEach)
	}
	if asked != 2 {
		t.Errorf("the region was asked %d times; want once for each base", asked)
	}
	modules[0].Devices = append(d, api.PlanDevices{Count: 7})
	var out strings.Builder
	printMoves(&out, modules)
	for _, want := range []string{
		`module of task "main": 12 devices hold version ` + blob.DigestBytes(old).Short() + " (arm64): ",
		"1 device holds nothing of it (arm64): ", "3 devices hold it (unknown architecture): nothing to move", "not computed",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
}
