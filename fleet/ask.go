package fleet

// Ask is a sum of resources: what an allocation takes, or what a node has.
type Ask struct {
	CPU      int64 // MHz
	MemoryMB int64 // MiB
	DiskMB   int64 // MiB
}

// DiskUnknownMB is what a node that reports no disk counts as: more than all that may be asked for adds up to. Unknown is not
// zero; a device whose disk nobody could find out takes what it took before disk was counted.
const DiskUnknownMB = 1 << 52

// Plus is the sum of both.
func (a Ask) Plus(b Ask) Ask {
	return Ask{CPU: a.CPU + b.CPU, MemoryMB: a.MemoryMB + b.MemoryMB, DiskMB: a.DiskMB + b.DiskMB}
}

// Minus is a without b; parts of it may be negative.
func (a Ask) Minus(b Ask) Ask {
	return Ask{CPU: a.CPU - b.CPU, MemoryMB: a.MemoryMB - b.MemoryMB, DiskMB: a.DiskMB - b.DiskMB}
}

// Within reports whether a fits into free, each part of it.
func (a Ask) Within(free Ask) bool {
	return a.CPU <= free.CPU && a.MemoryMB <= free.MemoryMB && a.DiskMB <= free.DiskMB
}

// Capacity is what allocations may take: all resources less the reserve.
func (n *Node) Capacity() Ask {
	a := Ask{
		CPU:      max(0, n.NodeResources.CPU.CPUShares-n.ReservedResources.CPU.CPUShares),
		MemoryMB: max(0, n.NodeResources.Memory.MemoryMB-n.ReservedResources.Memory.MemoryMB),
		DiskMB:   DiskUnknownMB,
	}
	if has := n.NodeResources.Disk.DiskMB; has > 0 {
		a.DiskMB = max(0, has-n.ReservedResources.Disk.DiskMB)
	}
	return a
}

// Share is how much of a whole a is: the sum over what is measured, each in parts of scale. What the whole has nothing of
// counts nothing.
func (a Ask) Share(whole Ask, scale int64) int64 {
	return share(a.CPU, whole.CPU, scale) + share(a.MemoryMB, whole.MemoryMB, scale) + share(a.DiskMB, whole.DiskMB, scale)
}

func share(part, whole, scale int64) int64 {
	if whole <= 0 {
		return 0
	}
	return part * scale / whole
}

// OrNothing is a with 0 for what is negative.
func (a Ask) OrNothing() Ask {
	return Ask{CPU: max(a.CPU, 0), MemoryMB: max(a.MemoryMB, 0), DiskMB: max(a.DiskMB, 0)}
}
