package runner

import (
	"fmt"
	"os"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
)

// volumes finds the folders that a task mounts. An error may pass: somebody plugs the disk in again, or puts the volume back into
// the agent's configuration. So it counts as a failed start, and the task's restart policy says how often to try.
func (r *Runner) volumes(a device.StartTask) ([]driver.Volume, error) {
	if len(a.Task.VolumeMounts) == 0 {
		return nil, nil
	}
	offered := r.opts.Node().HostVolumes
	var out []driver.Volume
	for i := range a.Task.VolumeMounts {
		m := &a.Task.VolumeMounts[i]
		asked := a.Group.Volume(m.Volume)
		if asked == nil {
			return nil, fmt.Errorf("group %q has no volume %q to mount at %s", a.Group.Name, m.Volume, m.Destination)
		}
		has, ok := offered[asked.Source]
		switch {
		case !ok:
			return nil, fmt.Errorf("this device offers no host volume %q any more; put host_volume %q back into the agent's configuration", asked.Source, asked.Source)
		case has.ReadOnly && !asked.ReadOnly:
			return nil, fmt.Errorf("this device offers host volume %q read-only by now, and the job asks for it for writing", asked.Source)
		}
		if info, err := os.Stat(has.Path); err != nil {
			return nil, fmt.Errorf("host volume %q is gone: %w", asked.Source, err)
		} else if !info.IsDir() {
			return nil, fmt.Errorf("host volume %q: %s is no folder", asked.Source, has.Path)
		}
		out = append(out, driver.Volume{
			Name: asked.Source, Host: has.Path, Guest: m.Destination, ReadOnly: has.ReadOnly || asked.ReadOnly || m.ReadOnly,
		})
	}
	return out, nil
}
