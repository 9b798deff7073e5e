package api

import (
	"context"

	"github.com/dunlin-edge/dunlin/fleet"
)

// NodeTraffic is what a node's links carried. All bytes are the device's view: Sent is what it sent.
type NodeTraffic struct {
	NodeID fleet.NodeID
	Name   string
	// Server is what the answering server counted since it started; empty if the node has had no link to it.
	Server *Traffic
	// Device is the device's own account, which goes on over restarts. It is asked for one node only, and nil with DeviceError set
	// when the device could not be asked.
	Device      *Traffic       `json:",omitempty"`
	DeviceError string         `json:",omitempty"`
	Budget      uint64         `json:",omitempty"` // bytes a month; 0: none, or not known
	MonthPassed fleet.Duration `json:",omitempty"` // of the device's month
	Slowed      []string       `json:",omitempty"` // classes that the budget slows now
	Links       uint64         `json:",omitempty"` // that the device made since its agent started
}

// Traffic is an account by class. The classes together are what the link is billed for, IP and UDP headers included.
type Traffic struct{ Classes []TrafficClass }

// TrafficClass is one class: beat, allocations, status, modules, logs, exec, handshake or other.
type TrafficClass struct {
	Class string
	Link  TrafficCount // on the present link, or the last one
	Today TrafficCount
	Month TrafficCount
}

// TrafficCount is bytes in both directions.
type TrafficCount struct{ Sent, Received uint64 }

// Total is both directions.
func (c TrafficCount) Total() uint64 { return c.Sent + c.Received }

func (c *TrafficCount) add(d TrafficCount) {
	c.Sent, c.Received = c.Sent+d.Sent, c.Received+d.Received
}

// Sum is all classes together.
func (t *Traffic) Sum() TrafficClass {
	sum := TrafficClass{Class: "all"}
	if t == nil {
		return sum
	}
	for _, c := range t.Classes {
		sum.Link.add(c.Link)
		sum.Today.add(c.Today)
		sum.Month.add(c.Month)
	}
	return sum
}

// NodeTraffic returns one node's traffic and asks the device for its own account.
func (c *Client) NodeTraffic(ctx context.Context, id fleet.NodeID) (*NodeTraffic, error) {
	var out NodeTraffic
	_, err := c.read(ctx, "/node/"+segment(id)+"/traffic", nil, nil, &out)
	return &out, err
}

// NodesTraffic lists the traffic of all nodes that had a link to the answering server since it started.
func (c *Client) NodesTraffic(ctx context.Context) (out []*NodeTraffic, err error) {
	_, err = c.read(ctx, "/nodes/traffic", nil, nil, &out)
	return out, err
}
