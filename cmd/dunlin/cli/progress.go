package cli

import (
	"fmt"
	"strings"
	"time"
)

// progress draws a bar while bytes move: redrawn on a terminal, one line at the
// end elsewhere, so that logs of scripts stay readable.
type progress struct {
	IO
	label       string
	total, now  int64
	start, last time.Time
}

const progressEvery = 100 * time.Millisecond

func newProgress(o IO, label string, total int64) *progress {
	return &progress{IO: o, label: label, total: total, start: time.Now()}
}

// Write counts; it is the side of a TeeReader.
func (p *progress) Write(b []byte) (int, error) {
	p.now += int64(len(b))
	if p.Terminal && time.Since(p.last) > progressEvery {
		p.last = time.Now()
		const width = 24
		full := int(p.now * width / max(1, p.total))
		fmt.Fprintf(p.Out, "\r%s [%s%s] %3d%% of %s", p.label, strings.Repeat("=", full), strings.Repeat(" ", width-full), p.now*100/max(1, p.total), size(p.total))
	}
	return len(b), nil
}

func (p *progress) done(ok bool) {
	if p.Terminal {
		fmt.Fprint(p.Out, "\r\x1b[K")
	}
	if ok {
		fmt.Fprintf(p.Out, "%s: pushed %s in %s\n", p.label, size(p.total), brief(time.Since(p.start)))
	}
}
