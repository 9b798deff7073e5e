package grant

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/control/scheduler/feasible"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// deviceTriesMax bounds the search for devices of one allocation. Requests overlap
// rarely ("gpu" beside "nvidia/gpu"), and then by two or three: without a bound a job
// made for it would cost each node exponentially much.
const deviceTriesMax = 1024

// device is one request of a task.
type device struct {
	feasible.Device
	task  string
	count int
}

func devicesOf(g *fleet.TaskGroup) (out []device) {
	for t, r := range g.AllDevices() {
		out = append(out, device{Device: feasible.NewDevice(r), task: t.Name, count: *r.Count})
	}
	return out
}

// devicesDiffer compares the devices of a placement with those asked for. They stand in
// the order of the requests.
func (a *Ask) devicesDiffer(g *wire.Grants) string {
	if len(g.Devices) != len(a.devices) {
		return fmt.Sprintf("it holds devices for %d requests and has %d", len(g.Devices), len(a.devices))
	}
	for i := range a.devices {
		want, got := &a.devices[i], &g.Devices[i]
		parts := strings.SplitN(got.Device, "/", 3)
		if len(parts) < 3 || got.Task != want.task || len(got.IDs) != want.count ||
			!want.Request.Names(&fleet.NodeDeviceResource{Vendor: parts[0], Type: parts[1], Name: parts[2]}) {
			return fmt.Sprintf("task %s asks for %s, and task %s holds %d of %s", want.task, want.Request, got.Task, len(got.IDs), got.Device)
		}
	}
	return ""
}

// offers are the devices of the node, read when somebody asks for one.
func (n *Node) offers() []fleet.NodeDeviceResource {
	if !n.read {
		n.read, n.offered = true, n.spec.Devices()
	}
	return n.offered
}

// freeOf are IDs of a kind that can be given out, at most so many.
func (n *Node) freeOf(d *fleet.NodeDeviceResource, most int) (ids []string) {
	for _, x := range d.Instances {
		if len(ids) < most && x.Healthy && n.instances[x.ID] == 0 {
			ids = append(ids, x.ID)
		}
	}
	return ids
}

// picking looks for the devices of one allocation. It tries the requests with the
// fewest kinds first, and takes back: taking what comes first would give "gpu" the
// only card that "nvidia/gpu" would take. Of the kinds that would do, each request is
// given the one that it likes best. The best sum over all requests was rejected: it
// would need every combination to be tried, and differs only where wishes overlap.
type picking struct {
	n     *Node
	asks  []device
	kinds [][]liked // by request: what it admits, best first
	order []int
	tries int
	likes int64 // of what was picked, in all
	out   []wire.GrantedDevice
}

// liked is a kind of device, by its position in offers, and how much a request likes it.
type liked struct {
	at    int
	likes int64
}

func (n *Node) picking(a *Ask) *picking {
	p := &picking{n: n, asks: a.devices, kinds: make([][]liked, len(a.devices))}
	offers := n.offers()
	for k := range a.devices {
		p.order = append(p.order, k)
		for i := range offers {
			if a.devices[k].Admits(&offers[i]) {
				p.kinds[k] = append(p.kinds[k], liked{i, a.devices[k].Likes(&offers[i])})
			}
		}
		slices.SortStableFunc(p.kinds[k], func(x, y liked) int { return cmp.Compare(y.likes, x.likes) })
	}
	slices.SortStableFunc(p.order, func(x, y int) int { return cmp.Compare(len(p.kinds[x]), len(p.kinds[y])) })
	return p
}

// pick finds devices for all requests and counts them in, or changes nothing.
func (p *picking) pick() ([]wire.GrantedDevice, bool) {
	p.tries, p.likes, p.out = 0, 0, make([]wire.GrantedDevice, len(p.asks))
	if !p.from(0) {
		return nil, false
	}
	return p.out, true
}

func (p *picking) from(next int) bool {
	if next == len(p.order) {
		return true
	}
	at := p.order[next]
	want := &p.asks[at]
	for _, k := range p.kinds[at] {
		if p.tries++; p.tries > deviceTriesMax {
			return false
		}
		kind := &p.n.offered[k.at]
		ids := p.n.freeOf(kind, want.count)
		if len(ids) < want.count {
			continue
		}
		p.out[at] = wire.GrantedDevice{Task: want.task, Device: kind.ID(), IDs: ids}
		p.n.countDevices(p.out[at:at+1], 1)
		if p.likes += k.likes; p.from(next + 1) {
			return true
		}
		p.likes -= k.likes
		p.n.countDevices(p.out[at:at+1], -1)
	}
	return false
}

func (n *Node) countDevices(ds []wire.GrantedDevice, by int) {
	for i := range ds {
		for _, id := range ds[i].IDs {
			if n.instances == nil {
				n.instances = map[string]int{}
			}
			if n.instances[id] += by; n.instances[id] <= 0 {
				delete(n.instances, id)
			}
		}
	}
}

// deviceRoom is how many that ask so find their devices, at most limit. Where there
// are several requests it gives out and takes back: counting would have to know which
// overlap.
func (n *Node) deviceRoom(a *Ask, limit int) (room int) {
	switch {
	case len(a.devices) == 0 || limit == 0:
		return limit
	case len(a.devices) > 1:
		n.rehearse(a, limit, func(*picking) { room++ })
		return room
	}
	offers, want := n.offers(), &a.devices[0]
	for i := range offers {
		if d := &offers[i]; want.Admits(d) {
			room += len(n.freeOf(d, len(d.Instances))) / want.count
		}
	}
	return min(room, limit)
}

// rehearse picks devices for one after the other, at most limit, and takes all back.
func (n *Node) rehearse(a *Ask, limit int, each func(*picking)) {
	p := n.picking(a)
	var given [][]wire.GrantedDevice
	for len(given) < limit {
		ds, ok := p.pick()
		if !ok {
			break
		}
		given = append(given, ds)
		each(p)
	}
	for _, ds := range given {
		n.countDevices(ds, -1)
	}
}

// Likes is how much those that ask so like the devices that they are given here, the
// next one first, at most limit: the weights of the wishes that are fulfilled, against
// those of all, from -scale to scale.
func (n *Node) Likes(a *Ask, limit int, scale int64) (out []int64) {
	if a.Prefers() {
		n.rehearse(a, limit, func(p *picking) { out = append(out, p.likes*scale/a.weight) })
	}
	return out
}

func (n *Node) deviceClash(g *wire.Grants) string {
	seen := map[string]bool{}
	for i := range g.Devices {
		for _, id := range g.Devices[i].IDs {
			switch {
			case n.instances[id] > 0:
				return fmt.Sprintf("device %s (%s) is held on node %s", id, g.Devices[i].Device, n.spec.Name)
			case seen[id]:
				return fmt.Sprintf("device %s (%s) is given out twice", id, g.Devices[i].Device)
			}
			seen[id] = true
		}
	}
	return ""
}

// Missing says what of g the node does not offer any more, as when it was unplugged;
// empty: nothing. What holds it already is let be.
func (n *Node) Missing(g *wire.Grants) string {
	for i := range g.Devices {
		d := &g.Devices[i]
		at := slices.IndexFunc(n.offers(), func(o fleet.NodeDeviceResource) bool { return o.ID() == d.Device })
		for _, id := range d.IDs {
			if at < 0 || !slices.ContainsFunc(n.offered[at].Instances, func(x fleet.NodeDevice) bool { return x.ID == id && x.Healthy }) {
				return fmt.Sprintf("device %s (%s) is not offered by node %s", id, d.Device, n.spec.Name)
			}
		}
	}
	return ""
}

// deviceLacks says which requests find too few devices free, or that all do and not
// together.
func (n *Node) deviceLacks(a *Ask, who Holders) (out []Lack) {
	if n.deviceRoom(a, 1) > 0 {
		return nil
	}
	p := n.picking(a)
	for k := range a.devices {
		want := &a.devices[k]
		best, all, most, held := 0, 0, 0, ""
		for _, kind := range p.kinds[k] {
			d := &n.offered[kind.at]
			if free := len(n.freeOf(d, len(d.Instances))); all == 0 || free > best {
				best, all = free, len(d.Instances)
			}
			healthy := 0
			for _, x := range d.Instances {
				if x.Healthy {
					healthy++
				}
				if held == "" && n.instances[x.ID] > 0 {
					held = fmt.Sprintf("; %s is held by %s", x.ID, who.Device(x.ID))
				}
			}
			most = max(most, healthy)
		}
		if best >= want.count {
			continue
		}
		out = append(out, Lack{
			Dimension: "device " + want.Request.Name, Rule: "device", Wants: want.Request.String(), Free: best, Ruled: most < want.count,
			Has: fmt.Sprintf("%s has %d free of %d%s", n.spec.Name, best, all, held),
			Fix: "stop what holds it, or add a node that has one",
		})
	}
	if len(out) > 0 {
		return out
	}
	return []Lack{{
		Dimension: "devices", Rule: "device", Wants: fmt.Sprintf("%d device blocks at once", len(a.devices)),
		Has: n.spec.Name + " has enough free for each of them, and not for all", Fix: "add a node that has more, or stop what holds others there",
	}}
}

// Device is who holds a device: an allocation's job and group, an orphan, or a plan.
func (h Holders) Device(id string) string {
	return h.who(func(g *wire.Grants) bool {
		return slices.ContainsFunc(g.Devices, func(d wire.GrantedDevice) bool { return slices.Contains(d.IDs, id) })
	})
}
