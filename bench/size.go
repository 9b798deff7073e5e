package main

import (
	"context"
	"os"
)

// sizes builds what devices download.
func sizes(ctx context.Context, r *rig) (*report, error) {
	rep := &report{}
	for _, m := range []struct {
		name, arch, tags string
		target           float64
	}{
		{"linux amd64, everything", "amd64", "", 40},
		{"linux arm64, everything", "arm64", "", 40},
		{"linux armv7, everything", "arm", "", 40},
		{"linux amd64, edge only", "amd64", "edgeonly", 20},
		{"linux riscv64, edge only", "riscv64", "edgeonly", 20},
	} {
		env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + m.arch, "GOARM=7"}
		if err := build(ctx, r.path("size"), env, "-tags", m.tags, "./cmd/dunlin"); err != nil {
			return nil, err
		}
		info, err := os.Stat(r.path("size"))
		if err != nil {
			return nil, err
		}
		rep.add(figure{Name: m.name, Value: float64(info.Size()) / 1e6, Unit: "MB", Target: m.target})
	}
	rep.condition("CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'; targets are set for amd64")
	return rep, nil
}
