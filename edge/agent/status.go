package agent

import (
	"context"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// Status is what an agent tells about itself on its own device.
type Status struct {
	NodeID     fleet.NodeID
	Name       string
	Region     string
	RegionID   string `json:",omitempty"` // empty before the first contact
	Datacenter string
	Servers    []string
	Link       Link
	Traffic    Traffic
	Generation string // of the desired state, as "epoch.n"
	Unwritten  string `json:",omitempty"` // why the disk refuses this state, which nothing new is started of; empty: it is on disk
	Untold     int    // allocations whose newest status the region has not committed
	Written    *fleet.DiskWrites
	LogBytes   int64 // kept of allocations that are gone
	LogQuota   int64 // of all logs on this device
	Allocs     []Alloc
}

// Link is the state of the link.
type Link struct {
	Up      bool
	Since   time.Time
	Address string `json:",omitempty"`
	Server  string `json:",omitempty"`
	Reason  string `json:",omitempty"` // why it is down

	Transport   string `json:",omitempty"` // quic/udp or tls/tcp, while it is up
	UDPFiltered bool   `json:",omitempty"` // it goes over TCP because nobody answers over UDP
}

// Traffic is what the device's links carried, in bytes, both ways, headers included.
type Traffic struct {
	Link, Today, Month uint64
	Budget             string   `json:",omitempty"` // such as "50MB/month"
	Slowed             []string `json:",omitempty"` // classes that the budget slows now
}

// traffic reads the meter.
func (a *Agent) traffic() Traffic {
	budget, slowed := a.meter.Budget()
	b := a.meter.Book()
	return Traffic{
		Link: b.Link.Total(), Today: b.Day.Tally.Total(), Month: b.Month.Tally.Total(),
		Budget: budget.String(), Slowed: traffic.Words(slowed),
	}
}

// Alloc is one allocation on this device.
type Alloc struct {
	ID          string
	Name        string
	JobID       fleet.JobID
	JobVersion  uint64
	Desired     string // fleet.DesiredRun or DesiredStop
	Status      string
	Description string `json:",omitempty"`
	Orphan      bool   `json:",omitempty"` // the region does not know it
	Tasks       map[string]*fleet.TaskState
}

// Status asks the device. It waits while the device is busy, until ctx ends.
func (a *Agent) Status(ctx context.Context) (Status, error) {
	v, err := a.runner.View(ctx)
	if err != nil {
		return Status{}, err
	}
	l, node := a.session.State(), a.Node()
	s := Status{
		NodeID: node.ID, Name: node.Name, Region: a.cfg.Identity.Region, Datacenter: node.Datacenter, Servers: a.cfg.Servers,
		Link:       Link{Up: l.Up, Since: l.Since, Address: l.Address, Server: l.Server, Reason: l.Reason, Transport: string(l.Transport), UDPFiltered: l.UDPFiltered},
		Traffic:    a.traffic(),
		Generation: v.Facts.Held.String(), Unwritten: v.Unwritten, Untold: v.Untold, Allocs: make([]Alloc, 0, len(v.Allocs)),
		Written: a.Written(ctx), LogBytes: a.logs.Used(), LogQuota: a.logs.Quota(),
	}
	if !v.Facts.Region.IsZero() {
		s.RegionID = v.Facts.Region.String()
	}
	for _, row := range v.Allocs {
		out := Alloc{
			ID: row.ID.String(), Name: row.Name, JobID: row.Job.ID, JobVersion: row.Job.Version, Desired: fleet.DesiredRun,
			Status: row.Status, Description: row.Description, Orphan: row.Orphan, Tasks: make(map[string]*fleet.TaskState, len(row.Tasks)),
		}
		if row.Stop {
			out.Desired = fleet.DesiredStop
		}
		for i := range row.Tasks {
			out.Tasks[row.Tasks[i].Name] = row.Tasks[i].View()
		}
		s.Allocs = append(s.Allocs, out)
	}
	return s, nil
}

// Node is what the agent reports of its device now. It must not be changed.
func (a *Agent) Node() *fleet.Node { return a.facts.get() }
