package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/allocfs"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// realDevice is a device with an identity, a socket and a link of its own. Its
// session is the one that ships; what is simulated is behind it: tasks run
// because it says so, and its disk is memory that outlives its process.
type realDevice struct {
	id     fleet.UUID
	socket *cuttable
	end    *quicnet.Endpoint
	ses    *session.Session
	fleet  *realFleet
	links  atomic.Int64 // that came up

	mu       sync.Mutex
	region   fleet.UUID
	held     wire.Generation
	mark     uint64
	allocs   map[fleet.UUID]bool // running, or told to stop
	untold   map[fleet.UUID]bool
	statuses chan *wire.StatusBatch // of the link that is up; nil while down
	inflight *wire.StatusBatch
	seq      uint64
}

// realFleet is many of them.
type realFleet struct {
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	devices []*realDevice
	links   atomic.Int64 // links that came up, in all
	up      atomic.Int64 // links that are up
	fault   atomic.Pointer[error]
	dials   chan struct{} // that are in progress

	mu       sync.Mutex
	linkedAt map[*realDevice]time.Time // the first link of each since linked began to wait
}

func (f *realFleet) failed(err error) { f.fault.CompareAndSwap(nil, &err) }

func (f *realFleet) err() error {
	if p := f.fault.Load(); p != nil {
		return *p
	}
	return nil
}

// newFleet makes the devices' keys, certificates and sockets. None dials before run.
func newFleet(ctx context.Context, tlsDir, server string, n int) (*realFleet, error) {
	ca, err := trust.LoadCAFolder(tlsDir)
	if err != nil {
		return nil, err
	}
	f := &realFleet{linkedAt: map[*realDevice]time.Time{}, dials: make(chan struct{}, dialsMax)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	for i := range n {
		d, err := f.newDevice(ca, server, i)
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		f.devices = append(f.devices, d)
	}
	return f, nil
}

func (f *realFleet) newDevice(ca *trust.CA, server string, i int) (*realDevice, error) {
	var random [16]byte
	random[0], random[1], random[2], random[15] = byte(i>>16), byte(i>>8), byte(i), 1
	d := &realDevice{id: fleet.MintUUID(random), fleet: f, allocs: map[fleet.UUID]bool{}, untold: map[fleet.UUID]bool{}}
	m, err := ca.Issue(trust.Identity{Region: ca.Region, Kind: trust.KindNode, ID: d.id.String()}, time.Now(), devicesCertTTL, nil, nil)
	if err != nil {
		return nil, err
	}
	raw, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("socket of device %d: %w; each device has one, see ulimit -n", i, err)
	}
	d.socket = &cuttable{UDPConn: raw.(*net.UDPConn)}
	if d.end, err = quicnet.Over(d.socket, quicnet.Options{Credentials: trust.Client{Source: m.Source(), Clock: trust.NewClock(time.Now)}}); err != nil {
		return nil, err
	}
	spec, err := json.Marshal(&fleet.Node{
		ID: fleet.NodeID(d.id.String()), Name: fmt.Sprintf("sim-%05d", i), Datacenter: "dc1", Version: "bench",
		Attributes: map[string]string{"kernel.name": "linux", "cpu.arch": "arm64", "os.name": "debian", "cpu.numcores": "4"},
		Drivers:    map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}},
		NodeResources: fleet.NodeResources{
			CPU: fleet.NodeCPU{CPUShares: nodeCPU, TotalCPUCores: 4}, Memory: fleet.NodeMemory{MemoryMB: 8192}, Disk: fleet.NodeDisk{DiskMB: 32_000},
		},
	})
	if err != nil {
		return nil, err
	}
	d.ses = session.New(session.Options{
		Dialer: turned{d.end, f}, Servers: []link.Server{{QUIC: server}}, Node: d.id, Device: d, Log: slog.New(slog.DiscardHandler),
		Spec: func(link.Transport, bool) ([]byte, error) { return spec, nil },
	})
	return d, nil
}

// run lets all devices begin at once, as after a power cut; see dialsMax.
func (f *realFleet) run() error {
	for _, d := range f.devices {
		f.wg.Go(func() { d.ses.Run(f.ctx) })
	}
	return nil
}

func (f *realFleet) close() error {
	f.cancel()
	f.wg.Wait()
	var errs []error
	for _, d := range f.devices {
		errs = append(errs, d.end.Close())
	}
	return errors.Join(errs...)
}

// Register implements session.Device.
func (d *realDevice) Register(context.Context) (wire.Register, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return wire.Register{RegionID: d.region, Held: d.held, Mark: d.mark}, nil
}

// LinkUp implements session.Device: all there is is told first.
func (d *realDevice) LinkUp(_ context.Context, w *wire.Welcome) (<-chan *wire.StatusBatch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.region, d.statuses, d.inflight = w.RegionID, make(chan *wire.StatusBatch, 1), nil
	d.links.Add(1)
	d.fleet.links.Add(1)
	d.fleet.up.Add(1)
	d.fleet.mu.Lock()
	if d.fleet.linkedAt[d].IsZero() {
		d.fleet.linkedAt[d] = time.Now()
	}
	d.fleet.mu.Unlock()
	for id := range d.allocs {
		d.untold[id] = true
	}
	d.tell(true)
	return d.statuses, nil
}

// LinkDown implements session.Device.
func (d *realDevice) LinkDown(context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.statuses = nil
	d.fleet.up.Add(-1)
}

// Desired implements session.Device. What a full state does not name is an
// orphan, which no fault of these benches may make.
func (d *realDevice) Desired(_ context.Context, m *wire.Desired) (wire.Generation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.Gen.Less(d.held) {
		d.fleet.failed(fmt.Errorf("device %s holds %s and was sent %s", d.id, d.held, m.Gen))
	}
	named := map[fleet.UUID]bool{}
	for i := range m.Allocs {
		a := &m.Allocs[i]
		named[a.ID], d.allocs[a.ID], d.untold[a.ID] = true, !a.Stop, true
	}
	for _, id := range m.Forget {
		delete(d.allocs, id)
		delete(d.untold, id)
	}
	for id, running := range d.allocs {
		if m.Full && running && !named[id] {
			d.fleet.failed(fmt.Errorf("device %s: allocation %s became an orphan", d.id, id))
		}
	}
	d.held, d.mark = m.Gen, m.Mark
	d.tell(false)
	return m.Gen, nil
}

// StatusAcked implements session.Device.
func (d *realDevice) StatusAcked(_ context.Context, seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inflight == nil || d.inflight.Seq != seq {
		return // of a link that is gone
	}
	d.inflight = nil
	d.tell(false)
}

// tell gives the session the next batch, if there is one and none is under way. d.mu is held.
func (d *realDevice) tell(full bool) {
	if d.statuses == nil || d.inflight != nil || !full && len(d.untold) == 0 {
		return
	}
	d.seq++
	b := &wire.StatusBatch{Seq: d.seq, Full: full}
	for id := range d.untold {
		s := runs(id)
		if !d.allocs[id] {
			s.Status, s.Tasks[0].State = fleet.ClientComplete, fleet.TaskDead
		}
		b.Allocs = append(b.Allocs, s)
	}
	clear(d.untold)
	d.inflight = b
	d.statuses <- b
}

// Logs implements session.Device: nothing is printed here.
func (d *realDevice) Logs(context.Context, fleet.UUID, string) (string, string, error) {
	return "", "", errors.New("a simulated device has no logs")
}

// Ended implements session.Device.
func (d *realDevice) Ended(context.Context, fleet.UUID, string) bool { return true }

// Files implements session.Device: nothing is written here.
func (d *realDevice) Files(context.Context, fleet.UUID) (*allocfs.FS, error) {
	return nil, errors.New("a simulated device has no files")
}

// Exec implements session.Device: nothing runs here.
func (d *realDevice) Exec(context.Context, fleet.UUID, string, driver.ExecRequest) (driver.Command, error) {
	return nil, errors.New("a simulated device runs nothing")
}

// running counts what the device would run.
func (d *realDevice) running() map[fleet.UUID]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[fleet.UUID]bool{}
	for id, runs := range d.allocs {
		if runs {
			out[id] = true
		}
	}
	return out
}

// dialsMax is how many of the devices reckon handshakes at once. Each has a processor of its own in life; here one process plays
// them all on the server's, and ten thousand handshakes that are begun at once there mean that no packet is read for seconds:
// what would be measured is a starved player.
const dialsMax = 256

// turned dials when a turn is free; the time of the attempt begins then.
type turned struct {
	link.Dialer
	fleet *realFleet
}

func (t turned) Dial(ctx context.Context, addr, protocol string) (link.Link, error) {
	until, _ := ctx.Deadline()
	limit := time.Until(until)
	select {
	case t.fleet.dials <- struct{}{}:
	case <-t.fleet.ctx.Done():
		return nil, context.Cause(t.fleet.ctx)
	}
	defer func() { <-t.fleet.dials }()
	ctx, cancel := context.WithTimeout(t.fleet.ctx, limit)
	defer cancel()
	return t.Dialer.Dial(ctx, addr, protocol)
}

// cuttable is a socket whose line can be cut: nothing arrives and nothing leaves,
// and nobody is told.
type cuttable struct {
	*net.UDPConn
	cut atomic.Bool
}

func (c *cuttable) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.UDPConn.ReadFrom(p)
		if err != nil || !c.cut.Load() {
			return n, addr, err
		}
	}
}

func (c *cuttable) ReadMsgUDP(p, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	for {
		n, oobn, flags, addr, err = c.UDPConn.ReadMsgUDP(p, oob)
		if err != nil || !c.cut.Load() {
			return n, oobn, flags, addr, err
		}
	}
}

func (c *cuttable) WriteTo(p []byte, addr net.Addr) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	return c.UDPConn.WriteTo(p, addr)
}

func (c *cuttable) WriteMsgUDP(p, oob []byte, addr *net.UDPAddr) (int, int, error) {
	if c.cut.Load() {
		return len(p), len(oob), nil
	}
	return c.UDPConn.WriteMsgUDP(p, oob, addr)
}
