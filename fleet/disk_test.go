package fleet

import (
	"strings"
	"testing"
)

func TestValidateDisk(t *testing.T) {
	for name, tc := range map[string]struct {
		disk *EphemeralDisk
		want string // a part of the only problem; empty: none
		warn bool
	}{
		"nothing":          {nil, "", false},
		"nothing asked":    {&EphemeralDisk{}, "", false},
		"enough":           {&EphemeralDisk{SizeMB: Ptr(300)}, "", false},
		"less than logs":   {&EphemeralDisk{SizeMB: Ptr(50)}, "EphemeralDisk.SizeMB: size is 50 MiB, and the logs of the group's tasks alone may take 200", true},
		"negative":         {&EphemeralDisk{SizeMB: Ptr(-1)}, "EphemeralDisk.SizeMB: size is -1; use 0 to 1073741824 (MiB)", false},
		"mistake of units": {&EphemeralDisk{SizeMB: Ptr(1<<31 - 1)}, "size is 2147483647", false},
		"sticky":           {&EphemeralDisk{Sticky: true}, "EphemeralDisk.Sticky: sticky is not carried out", false},
		"migrate":          {&EphemeralDisk{Migrate: true}, "EphemeralDisk.Migrate: migrate is not carried out", false},
	} {
		j := sampleJob()
		j.TaskGroups[0].EphemeralDisk = tc.disk
		Canonicalize(j)
		ps := Validate(j, nil)
		if tc.want == "" && len(ps) == 0 {
			continue
		}
		found := false
		for _, p := range ps {
			found = found || tc.want != "" && strings.Contains(p.String(), tc.want) && p.Warning == tc.warn
		}
		if !found {
			t.Errorf("%s: %v", name, ps)
		}
	}
}

// A group that says nothing of disk reads like one that was stored before disk was counted.
func TestNoDiskIsNoNewVersion(t *testing.T) {
	for _, d := range []*EphemeralDisk{nil, {}, {SizeMB: Ptr(0)}} {
		j := sampleJob()
		j.TaskGroups[0].EphemeralDisk = d
		if b := string(CanonicalBytes(j)); strings.Contains(b, "EphemeralDisk") {
			t.Errorf("%+v: %s", d, b)
		}
	}
}

func TestCapacity(t *testing.T) {
	n := &Node{}
	n.NodeResources = NodeResources{CPU: NodeCPU{CPUShares: 100}, Memory: NodeMemory{MemoryMB: 50}}
	n.ReservedResources = NodeReserved{Memory: NodeMemory{MemoryMB: 60}, Disk: NodeDisk{DiskMB: 30}}
	if got := n.Capacity(); got != (Ask{CPU: 100, DiskMB: DiskUnknownMB}) {
		t.Errorf("unknown disk: %+v", got)
	}
	if !(Ask{CPU: 100, DiskMB: GroupCountMax * DiskSizeMBMax}).Within(n.Capacity()) {
		t.Error("a node with unknown disk is too small for the largest ask")
	}
	n.NodeResources.Disk.DiskMB = 100
	if got := n.Capacity().DiskMB; got != 70 {
		t.Errorf("%d", got)
	}
	n.NodeResources.Disk.DiskMB = 20
	if got := n.Capacity().DiskMB; got != 0 {
		t.Errorf("a reserve of more than there is: %d", got)
	}
}
