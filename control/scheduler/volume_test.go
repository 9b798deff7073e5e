package scheduler

import (
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func offer(readOnly bool, names ...string) func(*fleet.Node) {
	return func(n *fleet.Node) {
		n.HostVolumes = map[string]fleet.HostVolume{}
		for _, name := range names {
			n.HostVolumes[name] = fleet.HostVolume{Name: name, Path: "/opt/" + name, ReadOnly: readOnly}
		}
	}
}

func TestHostVolumesInWords(t *testing.T) {
	for name, tc := range map[string]struct {
		nodes    map[string]func(*fleet.Node)
		readOnly bool
		want     string // empty: placed
	}{
		"there":             {map[string]func(*fleet.Node){"a": offer(false, "certs")}, false, ""},
		"to read only":      {map[string]func(*fleet.Node){"a": offer(true, "certs")}, true, ""},
		"nobody offers one": {map[string]func(*fleet.Node){"a": nil}, true, `host volume: certs; 1 node has no host volume "certs"; add host_volume "certs" { path = … } to client { … } on a device [1 a]`},
		"others are there": {map[string]func(*fleet.Node){"a": offer(false, "data", "cert")}, false,
			`host volume: certs, for writing; 1 node has no host volume "certs"; add host_volume "certs" { path = … } to client { … } on a device, or use one that is there: cert, data [1 a]`},
		"for writing": {map[string]func(*fleet.Node){"a": offer(true, "certs")}, false,
			`host volume: certs, for writing; 1 node has it read-only; write read_only = true in the job's volume, or take read_only out of host_volume "certs" on a [1 a]`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegion(t)
			for n, f := range tc.nodes {
				r.node(n, f)
			}
			r.job(func(j *fleet.Job) {
				j.TaskGroups[0].Volumes = fleet.Volumes{{Name: "x", Type: fleet.VolumeTypeHost, Source: "certs", ReadOnly: tc.readOnly}}
			})
			if got := words(r.run(fleet.TriggerJobRegister).Explain.Groups[0].Metric); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestOnlyWhereTheVolumeIs: equal but for the volume, nodes are of two classes.
func TestOnlyWhereTheVolumeIs(t *testing.T) {
	r := newRegion(t)
	for _, n := range []string{"a", "b", "c"} {
		r.node(n, nil)
	}
	has := r.node("d", offer(false, "certs"))
	r.node("e", offer(true, "certs"))
	r.job(func(j *fleet.Job) {
		j.TaskGroups[0].Volumes = fleet.Volumes{{Name: "x", Type: fleet.VolumeTypeHost, Source: "certs"}}
	})
	out := r.run(fleet.TriggerJobRegister)
	for _, g := range out.Plan.Groups {
		for _, k := range g.Nodes {
			if k != has.Key {
				t.Errorf("placed on node %d, which has no such volume for writing", k)
			}
		}
	}
	if g := out.Explain.Groups[0]; g.Place != 3 {
		t.Errorf("placed %d of 3: %s", g.Place, words(g.Metric))
	}
}
