package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	guests "github.com/dunlin-edge/dunlin/examples/guests/build"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

const (
	guestRepeats = 11
	// spareRest lets a pre-started guest process finish making itself ready; it
	// tells nobody when it has.
	spareRest = 150 * time.Millisecond
)

// guestStarts measures from the spec that is given to a guest process to the
// guest's first byte of output.
func guestStarts(ctx context.Context, r *rig) (*report, error) {
	wasm, err := r.hello(ctx)
	if err != nil {
		return nil, err
	}
	tiny, err := r.guestSpec("tiny.wasm", guests.TinySleep())
	if err != nil {
		return nil, err
	}
	program, err := r.guestSpec("hello.wasm", wasm)
	if err != nil {
		return nil, err
	}
	rep := &report{}
	size := fmt.Sprintf("Go module of %s MB", number(float64(len(wasm))/1e6))
	for _, m := range []struct {
		figure
		spec         engine.Spec
		spare, cache bool
	}{
		{figure{Name: "warm start, tiny module", Target: 0.1, Conditions: "pre-started process, machine code on disk"}, tiny, true, true},
		{figure{Name: "cold start, tiny module", Conditions: "process start included, no cache"}, tiny, false, false},
		{figure{Name: "from disk cache, Go module", Target: 60, Conditions: size + ", pre-started process"}, program, true, true},
		{figure{Name: "from disk cache, no spare, Go module", Conditions: size + ", process start included"}, program, false, true},
		{figure{Name: "cold compile, Go module", Conditions: size + ", process start included, no cache"}, program, false, false},
	} {
		m.spec.CacheDir = ""
		if m.cache {
			m.spec.CacheDir = r.path("cache")
			if _, err := r.firstOutput(ctx, m.spec, false); err != nil { // fills the cache
				return nil, err
			}
		}
		var took []float64
		for range guestRepeats {
			d, err := r.firstOutput(ctx, m.spec, m.spare)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
			took = append(took, millis(d))
		}
		m.figure.Value, m.figure.Unit, m.figure.Name = median(took), "ms", m.Name+" p50"
		rep.add(m.figure)
	}
	rep.condition("dunlin guest, one process per guest, from the spec to the guest's first output; %d repeats; %s", guestRepeats, engine.EngineName())
	return rep, nil
}

func (r *rig) guestSpec(name string, wasm []byte) (engine.Spec, error) {
	path := r.path(name)
	return engine.Spec{Module: path, Digest: digestOf(wasm), Name: name}, os.WriteFile(path, wasm, 0o600)
}

// firstOutput runs one guest process until its first output, and ends it.
func (r *rig) firstOutput(ctx context.Context, spec engine.Spec, spare bool) (time.Duration, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return 0, err
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer specR.Close()
	defer specW.Close()
	reportR, reportW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer reportR.Close()
	defer reportW.Close()
	c := exec.CommandContext(ctx, r.program, "guest") // ends with ctx
	c.ExtraFiles, c.Env = []*os.File{specR, reportW}, r.environ()
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := c.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = c.Wait() }() // it was killed: its end says nothing
	defer func() { _ = c.Process.Kill() }()
	if spare {
		if err := rest(ctx, spareRest); err != nil {
			return 0, err
		}
		begin = time.Now()
	}
	if _, err := specW.Write(text); err != nil {
		return 0, err
	}
	if err := specW.Close(); err != nil {
		return 0, err
	}
	if _, err := bufio.NewReader(out).ReadByte(); err != nil {
		_ = reportW.Close()
		said, _ := bufio.NewReader(reportR).ReadString('\n') // the better error is the report's
		return 0, errors.Join(fmt.Errorf("the guest said nothing: %w", err), errors.New(said))
	}
	return time.Since(begin), nil
}

// rest waits for something that cannot be watched.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
