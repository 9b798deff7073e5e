package fleet

import "time"

// WriteClass is what bytes were written for.
type WriteClass int

// The classes. State is what the device must remember; Logs is what tasks printed; Modules is what was fetched; Other is the rest
// that the kernel saw the agent, its host and the tasks themselves write.
const (
	WriteState WriteClass = iota
	WriteLogs
	WriteModules
	WriteOther
)

// WriteClasses are bytes by class. Other is nil where the kernel does not tell.
type WriteClasses struct {
	State   int64
	Logs    int64
	Modules int64
	Other   *int64 `json:",omitempty"`
}

// Add adds to one class.
func (c *WriteClasses) Add(class WriteClass, n int64) {
	switch class {
	case WriteState:
		c.State += n
	case WriteLogs:
		c.Logs += n
	case WriteModules:
		c.Modules += n
	case WriteOther:
		if c.Other != nil {
			n += *c.Other
		}
		c.Other = &n
	}
}

// Sum adds all classes of another count.
func (c *WriteClasses) Sum(o WriteClasses) {
	c.State, c.Logs, c.Modules = c.State+o.State, c.Logs+o.Logs, c.Modules+o.Modules
	if o.Other != nil {
		c.Add(WriteOther, *o.Other)
	}
}

// All is the sum of what is known.
func (c WriteClasses) All() int64 {
	n := c.State + c.Logs + c.Modules
	if c.Other != nil {
		n += *c.Other
	}
	return n
}

// DiskWritesDay is one day (UTC, by the device's clock).
type DiskWritesDay struct {
	Date string // 2006-01-02
	WriteClasses
}

// DiskWrites is what an agent and all it runs have written to a device's disk.
type DiskWrites struct {
	Since time.Time // of the first count; zero: nothing was written yet
	Total WriteClasses
	Today WriteClasses
	Days  []DiskWritesDay `json:",omitempty"` // newest first, in the order in which they were lived
}
