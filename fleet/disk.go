package fleet

import "fmt"

// EphemeralDisk is what an allocation of a group asks of its device's disk, for its folder and its logs. It is a figure for
// placement: nothing measures what tasks write.
type EphemeralDisk struct {
	Migrate bool `hcl:"migrate" change:"inplace"`
	SizeMB  *int `hcl:"size" change:"restart"` // MiB
	Sticky  bool `hcl:"sticky" change:"inplace"`
}

// DiskSizeMBMax bounds what one allocation may ask for, in MiB: more is a mistake of units.
const DiskSizeMBMax = 1 << 30

// Size is what is asked for, in MiB; a group that says nothing asks for nothing.
func (d *EphemeralDisk) Size() int {
	if d == nil {
		return 0
	}
	return Or(d.SizeMB, 0)
}

// canonicalDisk drops a block that asks for nothing. There is no default beside it: that of the field is 300 MiB, which
// nothing would keep a task to and which would leave most of a small device empty.
func canonicalDisk(g *TaskGroup) {
	if d := g.EphemeralDisk; d != nil && d.Size() == 0 && !d.Sticky && !d.Migrate {
		g.EphemeralDisk = nil
	}
}

func (c *checker) disk(path string, g *TaskGroup) {
	d := g.EphemeralDisk
	if d == nil {
		return
	}
	if n := d.Size(); n < 0 || n > DiskSizeMBMax {
		c.refuse(path+".SizeMB", fmt.Sprintf("size is %d", n), fmt.Sprintf("use 0 to %d (MiB)", DiskSizeMBMax))
	} else if logs := g.logsMB(); n > 0 && n < logs {
		c.warn(path+".SizeMB", fmt.Sprintf("size is %d MiB, and the logs of the group's tasks alone may take %d (max_files × max_file_size of two streams each); lower them in logs { … } or ask for more", n, logs))
	}
	if d.Sticky {
		c.refuse(path+".Sticky", "sticky is not carried out: a replacement begins with an empty folder, on whatever node it is placed", "remove it, and keep what must last in a host volume")
	}
	if d.Migrate {
		c.refuse(path+".Migrate", "migrate is not carried out: no files are brought to a replacement", "remove it, and keep what must last in a host volume")
	}
}

// logsMB is the most that the logs of one allocation take, in MiB.
func (g *TaskGroup) logsMB() (sum int) {
	for i := range g.Tasks {
		l := g.Tasks[i].LogConfig
		sum += 2 * *l.MaxFiles * *l.MaxFileSizeMB
	}
	return sum
}
