package feasible

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// volumeRule wants a host volume, for writing or not.
type volumeRule struct {
	source string
	writes bool
}

type volumeState byte

const (
	volumeThere volumeState = iota
	volumeMissing
	volumeReadOnly
)

// volumeRules are what the group's volumes demand, each once.
func volumeRules(g *fleet.TaskGroup) (out []rule) {
	for i := range g.Volumes {
		v := &g.Volumes[i]
		r := volumeRule{v.Source, !v.ReadOnly}
		if v.Type == fleet.VolumeTypeHost && !slices.Contains(out, rule(r)) {
			out = append(out, r)
		}
	}
	return out
}

func (r volumeRule) state(n *fleet.Node) volumeState {
	v, ok := n.HostVolumes[r.source]
	switch {
	case !ok:
		return volumeMissing
	case v.ReadOnly && r.writes:
		return volumeReadOnly
	}
	return volumeThere
}

func (r volumeRule) appendKey(b []byte, n *fleet.Node) []byte { return append(b, byte(r.state(n))) }
func (r volumeRule) holds(n *fleet.Node) bool                 { return r.state(n) == volumeThere }

func (r volumeRule) has(n *fleet.Node) string {
	if r.state(n) == volumeReadOnly {
		return "it read-only"
	}
	return fmt.Sprintf("no host volume %q", r.source)
}

func (r volumeRule) name() string { return "host volume " + r.source }

func (r volumeRule) refusal(fails []fail) fleet.Refusal {
	out := fleet.Refusal{Rule: "host volume", Wants: r.source, Has: haveList(fails)}
	if r.writes {
		out.Wants += ", for writing"
	}
	best := most(fails)
	switch r.state(best.example) {
	case volumeReadOnly:
		out.Fix = fmt.Sprintf("write read_only = true in the job's volume, or take read_only out of host_volume %q on %s", r.source, best.example.Name)
	default:
		out.Fix = fmt.Sprintf("add host_volume %q { path = … } to client { … } on a device", r.source)
		if there := volumesOf(fails); len(there) > 0 {
			out.Fix += ", or use one that is there: " + strings.Join(there, ", ")
		}
	}
	return counted(out, fails)
}

// volumesOf are those of the example nodes, sorted, a few of them.
func volumesOf(fails []fail) []string {
	var out []string
	for _, f := range fails {
		for name := range f.example.HostVolumes {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out[:min(len(out), valuesShownMax)]
}
