package patch

import (
	"bytes"
	"io"
	"testing"
)

// BenchmarkForms shows sizes and times for a program whose data moved by a few bytes in each function, as rebuilding does.
func BenchmarkForms(b *testing.B) {
	base := code(8, 9<<20)
	module := bytes.Clone(base)
	for at := 0; at < len(module); at += 20_000 {
		module[at]++
	}
	for _, c := range []struct {
		name string
		base []byte
	}{{"compressed", nil}, {"patch", base}} {
		form := encode(b, c.base, module)
		b.Run("encode/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(module)))
			for b.Loop() {
				encode(b, c.base, module)
			}
			b.ReportMetric(float64(len(form)), "form-bytes")
		})
		b.Run("decode/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(module)))
			b.ReportAllocs()
			for b.Loop() {
				var at io.ReaderAt
				if c.base != nil {
					at = bytes.NewReader(c.base)
				}
				r, err := NewReader(bytes.NewReader(form), int64(len(module)), at, int64(len(c.base)))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
