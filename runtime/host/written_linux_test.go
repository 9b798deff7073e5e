package host

import (
	"strings"
	"testing"
)

// A host says how much of tasks' output it gave to the disk, rotated and packed files included; none is started to be asked.
func TestWritten(t *testing.T) {
	r := newRig(t)
	if _, known, err := r.Written(r.ctx); known || err != nil {
		t.Fatalf("without a host: %v, %v", known, err)
	}
	spec := r.sh("chatty", "i=0; while [ $i -lt 2000 ]; do echo "+strings.Repeat("0123456789", 10)+"; i=$((i+1)); done")
	spec.Log.FilesMax, spec.Log.FileBytesMax = 3, 64<<10
	if _, err := r.Start(r.ctx, spec); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Wait(r.ctx, spec.ID); err != nil {
		t.Fatal(err)
	}
	const printed = 2000 * 101
	w, known, err := r.Written(r.ctx)
	if err != nil || !known || w.Began.IsZero() {
		t.Fatalf("%+v, %v, %v", w, known, err)
	}
	if w.Logs <= printed || w.Logs > printed*3/2 {
		t.Errorf("%d bytes were printed, in files of %d that are packed when full; counted as %d", printed, spec.Log.FileBytesMax, w.Logs)
	}
	if w.All != nil && *w.All < 0 {
		t.Errorf("the kernel says %d", *w.All)
	}
}
