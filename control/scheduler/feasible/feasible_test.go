package feasible

import (
	"fmt"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

func device() *fleet.Node {
	return &fleet.Node{
		ID: "id-1", Name: "kiosk", Datacenter: "dc1", NodeClass: "small",
		Attributes: map[string]string{"cores": "8", "load": "0.5", "os": "linux", "empty": "", "kernel": "6.1.3", "tags": "a, b,c",
			"bytes": "2147483648", "rate": "1500 kB/s", "speed": "1500MHz", "power": "500mW", "cpu.frequency": "1500"},
		Meta:    map[string]string{"rack": "r7", "want": "linux"},
		Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}, "sick": {Detected: true}},
	}
}

func TestOperators(t *testing.T) {
	tests := []struct {
		left, op, right string
		want            bool
	}{
		{"${attr.os}", "", "linux", true},
		{"${attr.os}", "=", "darwin", false},
		{"${attr.none}", "=", "", false},
		{"${attr.empty}", "=", "", true},
		{"${attr.os}", "!=", "darwin", true},
		{"${attr.os}", "!=", "linux", false},
		{"${attr.none}", "!=", "linux", true},
		{"${attr.cores}", "<", "16", true}, // as text 8 > 16
		{"${attr.cores}", "<", "8", false},
		{"${attr.cores}", "<=", "8", true},
		{"${attr.cores}", ">", "7.5", true},
		{"${attr.cores}", ">=", "8.0", true},
		{"${attr.load}", "<", "1", true},
		{"${attr.os}", ">", "kernel", true}, // text
		{"${attr.none}", "<", "9", false},
		{"${attr.kernel}", "version", ">= 5.10, < 7", true},
		{"${attr.kernel}", "version", "~> 5.1", false},
		{"${attr.os}", "version", ">= 1", false},
		{"${attr.os}", "regexp", "^lin", true},
		{"${attr.os}", "regexp", "^in", false},
		{"${attr.os}", "regexp", "(", false},
		{"${attr.tags}", "set_contains", "c,a", true},
		{"${attr.tags}", "set_contains", "a,d", false},
		{"${attr.os}", "is_set", "", true},
		{"${attr.none}", "is_set", "", false},
		{"${attr.none}", "is_not_set", "", true},
		{"${attr.os}", "is_not_set", "", false},
		{"${attr.os}", "=", "${meta.want}", true},
		{"${attr.os}", "regexp", "${meta.want}", true},
		{"${meta.rack}", "=", "r7", true},
		{"${node.unique.id}", "=", "id-1", true},
		{"${node.unique.name}", "=", "kiosk", true},
		{"${node.datacenter}", "=", "dc1", true},
		{"${node.class}", "=", "small", true},
		{"${node.pool}", "=", "default", true},
		{"${attr.tags}", "set_contains_any", "x, c", true},
		{"${attr.tags}", "set_contains_any", "x,d", false},
		{"${attr.tags}", "set_contains_all", "b,a", true},
		{"${attr.kernel}", "semver", ">= 6.0.0, < 7.0.0", true},
		{"${attr.kernel}", "semver", "< 6.1.3", false},
		{"${attr.bytes}", ">=", "2GiB", true}, // a bare number is in the base unit
		{"${attr.bytes}", ">", "2 GiB", false},
		{"${attr.bytes}", ">", "2GB", true},
		{"${attr.rate}", ">", "1 MB/s", true},
		{"${attr.rate}", ">", "1 MB", false}, // kinds differ: no order
		{"${attr.rate}", "<=", "1 MB", false},
		{"${attr.speed}", "<", "1.6 GHz", true},
		{"${attr.cpu.frequency}", ">=", "1.5 GHz", true},
		{"${attr.cpu.frequency}", ">", "1.6GHz", false},
		{"1.6GHz", ">", "${attr.cpu.frequency}", true},
		{"${attr.cpu.frequency}", ">", "1400", true},
		{"${attr.power}", "<", "1W", true},
		{"${attr.power}", "<", "1MW", true},
		{"${attr.power}", ">", "0.6", false},
		{"${attr.os}", "is", "linux", true},
		{"${attr.os}", "not", "linux", false},
		{"${attr.os}", "==", "linux", true},
		{"${nonsense}", "=", "x", false},
		{"linux", "=", "${attr.os}", true},
		{"${attr.os}", "unheard_of", "linux", false},
	}
	for _, tt := range tests {
		k := fleet.Constraint{LTarget: tt.left, Operand: tt.op, RTarget: tt.right}
		if got := newConstraintRule(k).holds(device()); got != tt.want {
			t.Errorf("%s: %v, want %v", k, got, tt.want)
		}
	}
}

func TestDatacentersAndDrivers(t *testing.T) {
	tests := []struct {
		name   string
		dcs    []string
		driver string
		want   bool
	}{
		{"any", []string{"*"}, "wasm", true},
		{"named", []string{"dc2", "dc1"}, "wasm", true},
		{"glob", []string{"d?1"}, "wasm", true},
		{"elsewhere", []string{"berlin"}, "wasm", false},
		{"no driver", []string{"*"}, "docker", false},
		{"sick driver", []string{"*"}, "sick", false},
	}
	for _, tt := range tests {
		g := &fleet.TaskGroup{Tasks: []fleet.Task{{Driver: tt.driver}, {Driver: tt.driver}}}
		if got := New(&fleet.Job{Datacenters: tt.dcs}, g).Judge(device(), fleet.ComputedClass{}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	g := &fleet.TaskGroup{Tasks: []fleet.Task{{Driver: "sick"}}}
	if !Staying(&fleet.Job{Datacenters: []string{"*"}}, g).Judge(device(), fleet.ComputedClass{}) {
		t.Error("a sick driver drove out what runs")
	}
}

func TestDistinctHosts(t *testing.T) {
	one := []fleet.Constraint{{Operand: fleet.OpDistinctHosts}}
	off := []fleet.Constraint{{Operand: fleet.OpDistinctHosts, RTarget: "false"}}
	tests := []struct {
		job, group, task []fleet.Constraint
		want             Hosts
	}{
		{nil, nil, nil, Hosts{}},
		{one, nil, nil, Hosts{OnePerJob: true}},
		{nil, one, nil, Hosts{OnePerGroup: true}},
		{nil, nil, one, Hosts{OnePerGroup: true}},
		{off, off, nil, Hosts{}},
	}
	for i, tt := range tests {
		g := &fleet.TaskGroup{Constraints: tt.group, Tasks: []fleet.Task{{Constraints: tt.task}}}
		if got := New(&fleet.Job{Constraints: tt.job}, g).Hosts(); got != tt.want {
			t.Errorf("%d: %+v, want %+v", i, got, tt.want)
		}
	}
}

func TestManyValuesAreCutShort(t *testing.T) {
	c := New(&fleet.Job{Datacenters: []string{"*"}, Constraints: []fleet.Constraint{{LTarget: "${node.unique.name}", RTarget: "x"}}}, &fleet.TaskGroup{})
	for i := range 7 {
		c.Judge(&fleet.Node{Name: fmt.Sprintf("n%d", i)}, fleet.ComputedClass{})
	}
	var m fleet.AllocMetric
	c.Explain(&m)
	want := "1 node has n0, 1 node has n1, 1 node has n2, 1 node has n3, 3 nodes have other values"
	if len(m.Refusals) != 1 || m.Refusals[0].Has != want || m.NodesFiltered != 7 {
		t.Fatalf("%+v", m)
	}
}

// A class may never give an answer that its node would not get by itself.
func TestClassesJudgeAsRulesDo(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b", "ab", "1", "10", "9"})
	ref := rapid.SampledFrom([]string{"${attr.x}", "${attr.y}", "${meta.x}", "${node.class}", "${node.unique.name}", "${attr.unique.z}", "a", "9"})
	rapid.Check(t, func(rt *rapid.T) {
		job := &fleet.Job{Datacenters: []string{rapid.SampledFrom([]string{"*", "a*", "b"}).Draw(rt, "dc")}}
		for range rapid.IntRange(0, 3).Draw(rt, "constraints") {
			job.Constraints = append(job.Constraints, fleet.Constraint{
				LTarget: ref.Draw(rt, "left"), Operand: rapid.SampledFrom(fleet.Operators).Draw(rt, "op"), RTarget: ref.Draw(rt, "right")})
		}
		g := &fleet.TaskGroup{Tasks: []fleet.Task{{Driver: "wasm"}}}
		if rapid.Bool().Draw(rt, "volume") {
			g.Volumes = fleet.Volumes{{Name: "v", Type: fleet.VolumeTypeHost, Source: "v", ReadOnly: rapid.Bool().Draw(rt, "reads")}}
		}
		for range rapid.IntRange(0, 2).Draw(rt, "requests") {
			r := fleet.RequestedDevice{Name: rapid.SampledFrom([]string{"b", "a/b"}).Draw(rt, "request"), Count: fleet.Ptr(rapid.IntRange(1, 2).Draw(rt, "devices"))}
			if rapid.Bool().Draw(rt, "rule") {
				r.Constraints = []fleet.Constraint{{LTarget: "${device.attr.x}", RTarget: word.Draw(rt, "value")}}
			}
			g.Tasks[0].Resources = &fleet.Resources{Devices: []fleet.RequestedDevice{r}}
		}
		c, refused := New(job, g), 0
		for range 20 {
			n := &fleet.Node{
				Datacenter: word.Draw(rt, "datacenter"), NodeClass: word.Draw(rt, "class"),
				Name: word.Draw(rt, "name"), NodePool: word.Draw(rt, "pool"),
				Attributes: map[string]string{"x": word.Draw(rt, "x"), "unique.z": word.Draw(rt, "z")}, Meta: map[string]string{"x": word.Draw(rt, "meta")},
				Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: rapid.Bool().Draw(rt, "healthy")}},
			}
			if rapid.Bool().Draw(rt, "offers") {
				n.HostVolumes = map[string]fleet.HostVolume{"v": {Path: "/v", ReadOnly: rapid.Bool().Draw(rt, "read only")}}
			}
			if v := word.Draw(rt, "y"); v != "" {
				n.Attributes["y"] = v
			}
			for i := range rapid.IntRange(0, 2).Draw(rt, "kinds") {
				d := fleet.NodeDeviceResource{Vendor: []string{"a", "c"}[i], Type: "b", Name: "x", Attributes: fleet.DeviceAttributes{"x": word.Draw(rt, "of device")}}
				for k := range rapid.IntRange(0, 2).Draw(rt, "instances") {
					d.Instances = append(d.Instances, fleet.NodeDevice{ID: fmt.Sprint(i, k), Healthy: rapid.Bool().Draw(rt, "well")})
				}
				n.NodeResources.Devices = append(n.NodeResources.Devices, d)
			}
			got, want := c.Judge(n, n.ComputedClass()), New(job, g).Judge(n, fleet.ComputedClass{})
			if got != want {
				rt.Fatalf("class says %v, the rules %v for %+v", got, want, n)
			}
			if !got {
				refused++
			}
		}
		var m fleet.AllocMetric
		c.Explain(&m)
		if m.NodesFiltered != refused || (refused > 0) != (len(m.Refusals) > 0) {
			rt.Fatalf("refused %d, explained %d by %d rules", refused, m.NodesFiltered, len(m.Refusals))
		}
	})
}

// Nodes that differ in nothing but their devices are judged each for itself.
func TestDevicesTellClassesApart(t *testing.T) {
	g := &fleet.TaskGroup{Tasks: []fleet.Task{{Driver: "wasm", Resources: &fleet.Resources{Devices: []fleet.RequestedDevice{{
		Name: "camera", Count: fleet.Ptr(2), Constraints: []fleet.Constraint{{LTarget: "${device.attr.lens}", RTarget: "far"}},
	}}}}}}
	c := New(&fleet.Job{Datacenters: []string{"*"}}, g)
	for _, tt := range []struct {
		lens    string
		healthy []bool
		want    bool
	}{
		{"far", []bool{true, true}, true}, {"far", []bool{true, false}, false}, {"far", []bool{true}, false}, {"near", []bool{true, true}, false},
		{"far", []bool{false, true, true}, true}, {"far", nil, false},
	} {
		n := &fleet.Node{Name: "n", Drivers: map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}}}
		d := fleet.NodeDeviceResource{Vendor: "acme", Type: "camera", Name: "c", Attributes: fleet.DeviceAttributes{"lens": tt.lens}}
		for i, healthy := range tt.healthy {
			d.Instances = append(d.Instances, fleet.NodeDevice{ID: fmt.Sprint(i), Healthy: healthy})
		}
		n.NodeResources.Devices = []fleet.NodeDeviceResource{d}
		if got := c.Judge(n, n.ComputedClass()); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
