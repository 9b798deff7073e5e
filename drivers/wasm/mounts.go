package wasm

import (
	"slices"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/runtime/engine"
)

// volumeMounts are the volumes of a task as the engine mounts them, which sees to it that they cannot be left.
func volumeMounts(volumes []driver.Volume) ([]engine.Mount, error) {
	var out []engine.Mount
	for _, v := range volumes {
		if err := config.CheckMount(config.WasmDriver, v.Guest); err != nil {
			return nil, err
		}
		out = append(out, engine.Mount{Host: v.Host, Guest: v.Guest, ReadOnly: v.ReadOnly})
	}
	return out, nil
}

// addMounts adds the system's mounts, where the task has none of its own: a job may bring its own certificate authorities.
func addMounts(task, system []engine.Mount) []engine.Mount {
	for _, m := range system {
		if !slices.ContainsFunc(task, func(t engine.Mount) bool { return t.Guest == m.Guest }) {
			task = append(task, m)
		}
	}
	return task
}
