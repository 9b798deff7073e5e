package state

import (
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// TaskReport is what a device told of an allocation's tasks, in the binary form in which it came. As structs it took a third of the
// memory of a running allocation's row, and few of a million reports are ever read.
type TaskReport string

// ReportOf packs what a device told.
func ReportOf(tasks []wire.TaskStatus) TaskReport {
	if len(tasks) == 0 {
		return ""
	}
	return TaskReport(wire.AppendTasks(nil, tasks))
}

// Tasks unpacks the report.
func (t TaskReport) Tasks() []wire.TaskStatus {
	if t == "" {
		return nil
	}
	return wire.ReadTasks(codec.NewReader([]byte(t)))
}
