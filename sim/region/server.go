package region

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// beatEvery is how often devices beat; liveness is set up to match it.
const beatEvery = 5 * time.Second

var errNoLeader = errors.New("there is no leader")

// server is the one server of the region around its cores.
type server struct {
	s        *sim
	up       bool
	life     int                      // of the process
	foreign  bool                     // of another region
	heard    map[fleet.UUID]time.Time // of devices
	mark     uint64                   // names what this life of the process writes
	after    uint64                   // index that its first term began from
	term     uint64
	log      *raftLog
	store    *state.Store
	lead     *leadership // nil: there is no leader
	sessions []*link     // by device
	links    []*link     // of this life
}

// propose commits a command; done hears exactly once, unless the server dies.
func (v *server) propose(cmd command.Command, done answer) {
	if v.lead == nil {
		done(0, nil, errNoLeader)
		return
	}
	life := v.life
	v.log.propose(v.term, cmd, func(index uint64, result any, err error) {
		if v.life == life {
			done(index, result, err)
		}
	})
}

// applied runs after each entry: whoever waits for a change looks.
func (v *server) applied() {
	for _, l := range v.sessions {
		if l != nil {
			l.pushIfChanged()
		}
	}
	if v.lead != nil {
		v.lead.applied()
	}
}

// start brings the process up on its log; it leads once it has found itself alone.
func (v *server) start() {
	if v.up {
		return
	}
	v.store = v.log.rebuild()
	v.up, v.life, v.mark, v.after = true, v.life+1, v.s.rng.Uint64()|1, 0
	v.s.note("server starts at index %d", v.store.View().Index())
	v.elect()
}

// elect begins a term; what an earlier leader left on disk is committed with the
// new leader's first entry.
func (v *server) elect() {
	life := v.life
	v.s.after(v.s.between(50*time.Millisecond, time.Second), "elected", func() {
		if v.life != life || !v.up || v.lead != nil {
			return
		}
		v.term++
		term := v.term
		v.log.append(entry{term: term, answer: func(_ uint64, _ any, err error) {
			if err == nil && v.life == life && v.term == term {
				v.takeOver()
			}
		}})
	})
}

// takeOver starts the term's core from the state that all earlier entries made.
func (v *server) takeOver() {
	v.s.note("term %d begins at index %d", v.term, v.store.View().Index())
	v.lead = newLeadership(v)
	if v.after == 0 { // as the real one does: what an earlier life wrote is applied by now
		v.after = v.store.View().Index()
	}
	region := v.store.View().Region()
	at := v.s.now.UnixNano()
	if region.ID.IsZero() {
		v.propose(command.RegionFound{ID: v.s.uuid(), Name: "sim", Epoch: 1, At: at}, func(uint64, any, error) {})
	}
	if n := len(region.Marks); n == 0 || region.Marks[n-1].ID != v.mark {
		v.propose(command.MarkBegin{ID: v.mark, After: v.after, At: at}, func(_ uint64, _ any, err error) {
			if err != nil && !errors.Is(err, errLeadership) {
				v.s.object("the mark is refused: %v", err)
			}
		})
	}
}

// crash ends the process; nothing in memory survives.
func (v *server) crash() {
	if !v.up {
		return
	}
	v.up, v.life, v.lead = false, v.life+1, nil
	v.log.cut()
	for _, l := range v.links {
		l.end()
	}
	v.links, v.sessions = nil, make([]*link, len(v.s.devices))
	v.s.after(v.s.between(200*time.Millisecond, 20*time.Second), "server starts", v.start)
}

// stepDown ends the term and keeps the process: links stay, proposals fail, and
// the state, built again from the log, must be what it is.
func (v *server) stepDown() {
	if !v.up || v.lead == nil {
		return
	}
	v.lead = nil
	v.log.cut()
	if again := v.log.replica(); again.Hash() != v.store.View().Hash() || again.Index() != v.store.View().Index() {
		v.s.object("the log gives state %x at %d; the server holds %x at %d",
			again.Hash(), again.Index(), v.store.View().Hash(), v.store.View().Index())
	}
	v.elect()
}

// build makes the region: one server and a few devices of different sizes.
func (s *sim) build() {
	n := 3 + s.rng.IntN(10)
	s.server = &server{s: s, heard: map[fleet.UUID]time.Time{}, sessions: make([]*link, n)}
	s.server.log = &raftLog{s: s, srv: s.server}
	s.checks = newChecks(s)
	for i := range n {
		s.devices = append(s.devices, s.newMachine(i))
	}
	s.users = &users{s: s}
	s.server.start()
	s.other = &server{s: s, foreign: true, heard: map[fleet.UUID]time.Time{}, sessions: make([]*link, n)}
	s.other.log = &raftLog{s: s, srv: s.other}
	s.other.start()
	for _, m := range s.devices {
		s.after(s.between(0, 15*time.Second), "agent boots", m.boot)
	}
}

func (s *sim) newMachine(i int) *machine {
	m := &machine{
		s: s, n: i, id: s.uuid(), cache: map[string]bool{}, finished: map[fleet.UUID]string{},
		room: fleet.Ask{CPU: int64(500 * (1 + s.rng.IntN(4))), MemoryMB: int64(512 * (1 + s.rng.IntN(4))), DiskMB: int64(500 * s.rng.IntN(4))}, // disk 0: unknown
	}
	m.forgetTasks()
	driver := fleet.DriverInfo{Detected: true, Healthy: true}
	spec := fleet.Node{
		ID: fleet.NodeID(m.id.String()), Name: fmt.Sprintf("device-%d", i), Datacenter: "dc1",
		NodeClass: []string{"big", "small"}[i%2], Attributes: map[string]string{"arch": []string{"arm64", "amd64"}[s.rng.IntN(2)]},
		Drivers: map[string]fleet.DriverInfo{"wasm": driver, "raw_exec": driver},
	}
	if i%4 == 3 {
		spec.NodePool = otherPool
	}
	spec.NodeResources.CPU.CPUShares, spec.NodeResources.Memory.MemoryMB = m.room.CPU, m.room.MemoryMB
	spec.NodeResources.Disk.DiskMB = m.room.DiskMB
	spec.NodeResources.MinDynamicPort, spec.NodeResources.MaxDynamicPort = dynamicsFirst, dynamicsLast
	if s.opts.Seed%2 == 1 {
		spec.NodeResources.Devices = camerasOf(i)
	}
	m.said = spec
	m.describe("mains")
	return m
}

// powerSource is the one fact that changes here.
const powerSource = "power.source"

// describe notes a changed fact, which the next registration says too.
func (m *machine) describe(source string) {
	m.said.Attributes[powerSource] = source
	raw, err := json.Marshal(m.said)
	if err != nil {
		m.s.object("a node does not encode: %v", err)
	}
	m.spec = raw
}
