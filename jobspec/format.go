package jobspec

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// formatPassesMax bounds how often the formatter runs over its own output. One
// pass is enough for ordinary files; moving a comment may move the next line.
const formatPassesMax = 4

// Format returns the job file in the canonical style. The error is a syntax
// error with file name "<input>" and line; the file itself need not be a valid
// job.
func Format(src []byte) ([]byte, error) {
	const filename = "<input>"
	r := &report{sources: map[string][]byte{filename: src}}
	if checkLimits(filename, src, r) {
		_, diags := hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
		r.hcl(diags)
	}
	if err := r.all().Err(); err != nil {
		return nil, err
	}
	for range formatPassesMax {
		out := hclwrite.Format(src)
		if bytes.Equal(out, src) {
			break
		}
		src = out
	}
	return src, nil
}
