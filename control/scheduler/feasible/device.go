package feasible

import (
	"fmt"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// Device is what a request demands of a kind of device, and wishes of it, compiled.
type Device struct {
	Request *fleet.RequestedDevice
	rules   []*constraintRule
	wishes  []*constraintRule
	weights []int64 // parallel to wishes
}

// NewDevice compiles the rules and wishes of a request.
func NewDevice(r *fleet.RequestedDevice) Device {
	d := Device{Request: r}
	// A rule of a device is a rule of a node that has its values for attributes.
	attr := func(side string) string {
		if name, ok := fleet.DeviceValue(side); ok {
			return "${attr." + name + "}"
		}
		return side
	}
	compile := func(k fleet.Constraint) *constraintRule {
		k.LTarget, k.RTarget = attr(k.LTarget), attr(k.RTarget)
		return newConstraintRule(k)
	}
	for _, k := range r.Constraints {
		d.rules = append(d.rules, compile(k))
	}
	for _, a := range r.Affinities {
		d.wishes = append(d.wishes, compile(a.Rule()))
		d.weights = append(d.weights, int64(fleet.Or(a.Weight, fleet.DefaultWeight)))
	}
	return d
}

// Weight is what the wishes weigh in all, of either sign; 0: there are none.
func (d Device) Weight() (sum int64) {
	for _, w := range d.weights {
		sum += max(w, -w)
	}
	return sum
}

// Likes is the sum of the weights of the wishes that a kind fulfils: from -Weight to
// Weight.
func (d Device) Likes(have *fleet.NodeDeviceResource) (sum int64) {
	if len(d.wishes) == 0 {
		return 0
	}
	as := &fleet.Node{Attributes: have.Values()}
	for i, r := range d.wishes {
		if r.holds(as) {
			sum += d.weights[i]
		}
	}
	return sum
}

// Admits reports whether instances of a kind would do.
func (d Device) Admits(have *fleet.NodeDeviceResource) bool {
	if !d.Request.Names(have) {
		return false
	}
	if len(d.rules) == 0 {
		return true
	}
	as := &fleet.Node{Attributes: have.Values()}
	for _, r := range d.rules {
		if !r.holds(as) {
			return false
		}
	}
	return true
}

// deviceRule wants a node that has enough of one kind, whoever holds them.
type deviceRule struct{ Device }

// deviceRules are what the devices of a group demand, one by one.
func deviceRules(g *fleet.TaskGroup) (out []rule) {
	for _, r := range g.AllDevices() {
		out = append(out, deviceRule{NewDevice(r)})
	}
	return out
}

// deviceCount is how a node stands to a request.
type deviceCount struct {
	named   int // of the name
	admits  int // of one kind that the rules admit, sick ones included
	healthy int // of which are healthy
}

func (r deviceRule) count(n *fleet.Node) (c deviceCount) {
	for _, d := range n.Devices() {
		if r.Request.Names(&d) {
			c.named += len(d.Instances)
		}
		if !r.Admits(&d) {
			continue
		}
		c.admits = max(c.admits, len(d.Instances))
		healthy := 0
		for _, x := range d.Instances {
			if x.Healthy {
				healthy++
			}
		}
		c.healthy = max(c.healthy, healthy)
	}
	return c
}

func (r deviceRule) appendKey(b []byte, n *fleet.Node) []byte {
	return append(append(b, r.has(n)...), 0)
}

func (r deviceRule) holds(n *fleet.Node) bool { return r.count(n).healthy >= *r.Request.Count }

func (r deviceRule) has(n *fleet.Node) string {
	switch c := r.count(n); {
	case c.named == 0:
		return "none"
	case c.admits == 0:
		return "none with these values"
	case c.healthy < c.admits:
		return fmt.Sprintf("%d healthy of %d", c.healthy, c.admits)
	default:
		return fmt.Sprint(c.healthy)
	}
}

func (r deviceRule) name() string { return "device " + r.Request.Name }

func (r deviceRule) refusal(fails []fail) fleet.Refusal {
	fix := "add a node that has it, or describe it in its agent's configuration: client { device \"VENDOR/TYPE/NAME\" { ids = […] } }"
	for _, f := range fails {
		if !strings.HasPrefix(f.has, "none") {
			fix = fmt.Sprintf("%s has %s: ask for fewer, or add a node that has more", f.example.Name, f.has)
			break
		}
	}
	return counted(fleet.Refusal{Rule: "device", Wants: r.Request.String(), Has: haveList(fails), Fix: fix}, fails)
}
