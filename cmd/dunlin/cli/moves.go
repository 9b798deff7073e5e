package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/wire/patch"
)

// weighBytesMax is the size of a module beyond which plan does not make the patch to tell its size: it would take longer than
// anybody wants to wait for a plan.
const weighBytesMax = 64 << 20

// weigh computes what goes to each class of devices, by making the very forms that the region would send. It is done here
// because at this point only this machine has the new module.
func (e *env) weigh(ctx context.Context, c *api.Client, l *loaded, modules []api.PlanModule) error {
	w := weigher{client: c, local: map[string]string{}, sizes: map[[2]string]int64{}}
	for _, m := range l.Modules {
		w.local[m.Digest] = m.Path
	}
	for i := range modules {
		m := &modules[i]
		for k := range m.Devices {
			n, err := w.least(ctx, m.Digest, m.Devices[k].Base)
			if err != nil {
				return fmt.Errorf("weigh module %s: %w", shortDigest(m.Digest), err)
			}
			if n >= 0 {
				m.Devices[k].BytesEach = &n
			}
		}
	}
	return nil
}

type weigher struct {
	client *api.Client
	local  map[string]string   // paths by digest
	sizes  map[[2]string]int64 // of forms, by module and base
}

// least is the size of the smallest form for a device that holds base; -1 when that is not worth computing.
func (w *weigher) least(ctx context.Context, digest, base string) (int64, error) {
	if digest == base {
		return 0, nil
	}
	if n, known := w.sizes[[2]string{digest, base}]; known {
		return n, nil
	}
	module, err := w.bytes(ctx, digest)
	if err != nil || module == nil {
		return -1, err
	}
	size := int64(len(module))
	count := counter(0)
	if err := patch.Compress(ctx, &count, bytes.NewReader(module), size); err != nil {
		return 0, err
	}
	n := min(size, int64(count))
	if base != "" {
		old, err := w.bytes(ctx, base)
		if err != nil && !api.IsNotFound(err) {
			return 0, err
		}
		if old != nil {
			count = 0
			if err := patch.EncodeDelta(ctx, &count, bytes.NewReader(old), int64(len(old)), bytes.NewReader(module), size); err != nil {
				return 0, err
			}
			n = min(n, int64(count))
		}
	}
	w.sizes[[2]string{digest, base}] = n
	return n, nil
}

// bytes reads a module here or at the region; nil when it is too long.
func (w *weigher) bytes(ctx context.Context, digest string) ([]byte, error) {
	if path, here := w.local[digest]; here {
		info, err := os.Stat(path)
		if err != nil || info.Size() > weighBytesMax {
			return nil, err
		}
		return os.ReadFile(path)
	}
	body, _, err := w.client.ModuleContent(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, weighBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read it from the region: %w", err)
	}
	if len(b) > weighBytesMax {
		return nil, nil
	}
	return b, nil
}

// counter is a writer that only counts.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// printMoves says what goes over the devices' links, by class.
func printMoves(w io.Writer, modules []api.PlanModule) {
	for _, m := range modules {
		for _, d := range m.Devices {
			has := "nothing of it"
			switch d.Base {
			case "":
			case m.Digest:
				has = "it"
			default:
				has = "version " + shortDigest(d.Base)
			}
			devices := "1 device holds "
			if d.Count != 1 {
				devices = fmt.Sprintf("%d devices hold ", d.Count)
			}
			arch := d.Arch
			if arch == "" {
				arch = "unknown architecture"
			}
			weight := "bytes to move not computed: the module is too large for that"
			switch {
			case d.BytesEach != nil && *d.BytesEach == 0:
				weight = "nothing to move"
			case d.BytesEach != nil:
				weight = fmt.Sprintf("%s each, %s in all", size(*d.BytesEach), size(*d.BytesEach*int64(d.Count)))
			}
			fmt.Fprintf(w, "module of task %q: %s%s (%s): %s\n", m.Task, devices, has, arch, weight)
		}
	}
}
