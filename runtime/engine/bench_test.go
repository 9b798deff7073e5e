package engine_test

import (
	"bytes"
	"path/filepath"
	"testing"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

func bench(b *testing.B, path, cacheDir string) {
	s := spec(b, path)
	s.CacheDir = cacheDir
	prepared := engine.Prepare()
	if cacheDir != "" {
		run(b, s, "") // fills the cache
	}
	b.ReportAllocs()
	for b.Loop() {
		var out bytes.Buffer
		if rep := prepared.Run(b.Context(), s, nil, &out, &out); rep.Error != "" {
			b.Fatal(rep.Error)
		}
	}
}

// BenchmarkCold compiles each time; BenchmarkDiskCache reads the machine code from disk. Both run the guest to its end.
func BenchmarkCold(b *testing.B) {
	b.Run("tiny", func(b *testing.B) { bench(b, guests.Write(b, guests.TinyHello(0)), "") })
	b.Run("go", func(b *testing.B) { bench(b, guests.Build(b, "exit"), "") })
}

func BenchmarkDiskCache(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "cache")
	b.Run("tiny", func(b *testing.B) { bench(b, guests.Write(b, guests.TinyHello(0)), dir) })
	b.Run("go", func(b *testing.B) { bench(b, guests.Build(b, "exit"), dir) })
}

// BenchmarkPrepare is what a spare has behind it when its guest comes.
func BenchmarkPrepare(b *testing.B) {
	for b.Loop() {
		engine.Prepare()
	}
}
