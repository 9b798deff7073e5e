package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Types of volumes.
const (
	VolumeTypeHost = "host" // a folder of the device
	volumeTypeCSI  = "csi"
)

// Limits of volumes.
const (
	VolumesMax          = 32 // of a group, and mounts of a task
	HostVolumesMax      = 64 // that a device offers
	VolumeNameBytesMax  = 128
	VolumePathsBytesMax = 4 << 10 // of a path on a device, or in a task
)

// HostVolume is a folder that a device offers to tasks, by name.
type HostVolume struct {
	Name     string
	Path     string // absolute, on the device
	ReadOnly bool   // nobody gets it for writing
}

// Volume is what a group asks of the device that it is placed on, under a name of its own.
type Volume struct {
	Name     string `hcl:",label" change:"restart"`
	Type     string `hcl:"type" change:"restart"`
	Source   string `hcl:"source" change:"restart"` // the host volume's name
	ReadOnly bool   `hcl:"read_only" change:"restart"`

	PerAlloc       json.RawMessage `json:",omitempty" hcl:"per_alloc,json" change:"restart"`
	Sticky         json.RawMessage `json:",omitempty" hcl:"sticky,json" change:"inplace"`
	AccessMode     json.RawMessage `json:",omitempty" hcl:"access_mode,json" change:"inplace"`
	AttachmentMode json.RawMessage `json:",omitempty" hcl:"attachment_mode,json" change:"inplace"`
	MountOptions   json.RawMessage `json:",omitempty" hcl:"mount_options,json" change:"inplace"`
}

// VolumeMount shows a volume of the group to a task.
type VolumeMount struct {
	Volume      string `hcl:"volume" change:"restart"`
	Destination string `hcl:"destination" change:"restart"` // absolute, as the task sees it
	ReadOnly    bool   `hcl:"read_only" change:"restart"`

	PropagationMode json.RawMessage `json:",omitempty" hcl:"propagation_mode,json" change:"inplace"`
	SELinuxLabel    json.RawMessage `json:",omitempty" hcl:"selinux_label,json" change:"inplace"`
}

// Volumes are those of a group, sorted by name when canonical. In JSON they are an object by name, as in the public API; as
// a map in memory they would have an order of their own in each place that walks them.
type Volumes []Volume

// MarshalJSON writes the object by name. Of two of one name, which Validate refuses, it has the last.
func (vs Volumes) MarshalJSON() ([]byte, error) {
	byName := make(map[string]*Volume, len(vs))
	for i := range vs {
		byName[vs[i].Name] = &vs[i]
	}
	return json.Marshal(byName)
}

// UnmarshalJSON reads what MarshalJSON wrote. A volume is named by its key.
func (vs *Volumes) UnmarshalJSON(b []byte) error {
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	var byName map[string]Volume
	if err := json.Unmarshal(b, &byName); err != nil {
		return err
	}
	*vs = make(Volumes, 0, len(byName))
	for _, name := range sortedKeys(byName) {
		v := byName[name]
		v.Name = name
		*vs = append(*vs, v)
	}
	return nil
}

// Volume returns the group's volume of that name, or nil.
func (g *TaskGroup) Volume(name string) *Volume {
	for i := range g.Volumes {
		if g.Volumes[i].Name == name {
			return &g.Volumes[i]
		}
	}
	return nil
}

func canonicalVolumes(g *TaskGroup) {
	slices.SortStableFunc(g.Volumes, func(a, b Volume) int { return cmp.Compare(a.Name, b.Name) })
	g.Volumes = emptyNil(g.Volumes)
	for i := range g.Volumes {
		clearEmpty(&g.Volumes[i])
	}
	for i := range g.Tasks {
		t := &g.Tasks[i]
		t.VolumeMounts = emptyNil(t.VolumeMounts)
		for k := range t.VolumeMounts {
			clearEmpty(&t.VolumeMounts[k])
		}
	}
}

func (c *checker) volumes(at string, g *TaskGroup) {
	if n := len(g.Volumes); n > VolumesMax {
		c.refuse(at, fmt.Sprintf("%d volumes", n), fmt.Sprintf("at most %d", VolumesMax))
	}
	seen := map[string]bool{}
	for i := range g.Volumes {
		v, p := &g.Volumes[i], fmt.Sprintf("%s[%d]", at, i)
		c.name(p+".Name", v.Name, VolumeNameBytesMax)
		if seen[v.Name] {
			c.refuse(p+".Name", fmt.Sprintf("two volumes of group %q are named %q", g.Name, v.Name), "give each its own name")
		}
		seen[v.Name] = true
		switch v.Type {
		case VolumeTypeHost:
		case volumeTypeCSI:
			c.refuse(p+".Type", fmt.Sprintf("volume %q is of type csi, and storage plugins are not run", v.Name), `use type = "host" with a folder that devices offer (client { host_volume })`)
		default:
			c.refuse(p+".Type", fmt.Sprintf("volume %q is of type %q, which is not known", v.Name, v.Type), `write type = "host"`)
		}
		if v.Source == "" || len(v.Source) > VolumeNameBytesMax {
			c.refuse(p+".Source", fmt.Sprintf("volume %q has a source of %d bytes", v.Name, len(v.Source)), fmt.Sprintf("name a host volume of the devices, in at most %d bytes", VolumeNameBytesMax))
		}
		c.checkUncarried("Volume", p, v)
	}
}

func (c *checker) mounts(at string, t *Task, g *TaskGroup) {
	if n := len(t.VolumeMounts); n > VolumesMax {
		c.refuse(at, fmt.Sprintf("%d mounts", n), fmt.Sprintf("at most %d", VolumesMax))
	}
	seen := map[string]bool{}
	for i := range t.VolumeMounts {
		m, p := &t.VolumeMounts[i], fmt.Sprintf("%s[%d]", at, i)
		switch v := g.Volume(m.Volume); {
		case v == nil && len(g.Volumes) == 0:
			c.refuse(p+".Volume", fmt.Sprintf("group %q has no volume %q, nor any other", g.Name, m.Volume), fmt.Sprintf("add volume %q { type = \"host\", source = … } to the group", m.Volume))
		case v == nil:
			c.refuse(p+".Volume", fmt.Sprintf("group %q has no volume %q; there are %s", g.Name, m.Volume, volumeNames(g)), "mount one of them, or add it to the group")
		}
		d := m.Destination
		if !path.IsAbs(d) || path.Clean(d) != d || d == "/" || strings.ContainsRune(d, 0) || len(d) > VolumePathsBytesMax {
			c.refuse(p+".Destination", fmt.Sprintf("%q is no place for a mount", d), "write an absolute path without dots and without a slash at its end, such as /certs")
		}
		if seen[d] {
			c.refuse(p+".Destination", fmt.Sprintf("two volumes are mounted at %s", d), "give each its own place")
		}
		seen[d] = true
		c.checkUncarried("VolumeMount", p, m)
	}
}

func volumeNames(g *TaskGroup) string {
	var names []string
	for i := range g.Volumes {
		names = append(names, g.Volumes[i].Name)
	}
	return strings.Join(names, ", ")
}

// CheckMounts asks of each mount whether its task's driver can make it, which the nouns do not know.
func CheckMounts(j *Job, can func(driver, destination string) error) Problems {
	c := &checker{}
	for i := range j.TaskGroups {
		for k := range j.TaskGroups[i].Tasks {
			t := &j.TaskGroups[i].Tasks[k]
			for m := range t.VolumeMounts {
				if err := can(t.Driver, t.VolumeMounts[m].Destination); err != nil {
					c.refuse(fmt.Sprintf("TaskGroups[%d].Tasks[%d].VolumeMounts[%d]", i, k, m), err.Error(), "")
				}
			}
		}
	}
	return c.problems
}
