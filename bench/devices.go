package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

const (
	// devicesPerLink stays below the streams that a server handles at once on one
	// link (64): each device keeps one open for its statuses.
	devicesPerLink  = 32
	devicesBeat     = 10 * time.Second // the server's default is 30 s
	devicesCertTTL  = time.Hour
	devicesDialWait = 20 * time.Second
	nodeCPU         = 8000 // MHz of each device
	// reportQueueMax holds all allocations that one device can be given here.
	reportQueueMax = 4096
)

// devices are simulated nodes. They speak the real protocol over few QUIC links
// with a gateway's certificate, one that may speak for many nodes.
type devices struct {
	ctx     context.Context
	cancel  context.CancelFunc
	end     *quicnet.Endpoint
	wg      sync.WaitGroup
	reports bool // tell that what is desired runs

	told     atomic.Int64 // allocations that devices acknowledged
	used     atomic.Int64 // devices that were told of any
	reported atomic.Int64 // running reports that the region committed
	fault    atomic.Pointer[error]
}

// device is one simulated node.
type device struct {
	id      fleet.UUID
	link    link.Link
	started chan fleet.UUID // allocations to report as running
	used    atomic.Bool
}

// connect makes n devices known to the server and keeps them alive until close.
func connect(ctx context.Context, tlsDir, address string, n int, reports bool) (*devices, error) {
	ca, err := trust.LoadCAFolder(tlsDir)
	if err != nil {
		return nil, err
	}
	m, err := ca.Issue(trust.Identity{Region: ca.Region, Kind: trust.KindGateway, ID: "bench"}, time.Now(), devicesCertTTL, nil, nil)
	if err != nil {
		return nil, err
	}
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.Client{Source: m.Source(), Clock: trust.NewClock(time.Now)}})
	if err != nil {
		return nil, err
	}
	d := &devices{end: end, reports: reports}
	d.ctx, d.cancel = context.WithCancel(ctx)
	links := (n + devicesPerLink - 1) / devicesPerLink
	errs := make(chan error, links)
	for i := range links {
		first := i * devicesPerLink
		go func() { errs <- d.connectLink(address, first, min(devicesPerLink, n-first)) }()
	}
	for range links {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// close ends the links and waits for all goroutines.
func (d *devices) close() error {
	d.cancel()
	err := d.end.Close()
	d.wg.Wait()
	return err
}

// err is the first fault of a device, which makes figures worthless.
func (d *devices) err() error {
	if p := d.fault.Load(); p != nil {
		return *p
	}
	return nil
}

func (d *devices) failed(what string, err error) {
	if err != nil && d.ctx.Err() == nil {
		err = fmt.Errorf("simulated device: %s: %w", what, err)
		d.fault.CompareAndSwap(nil, &err)
	}
}

func (d *devices) connectLink(address string, first, n int) error {
	ctx, cancel := context.WithTimeout(d.ctx, devicesDialWait)
	defer cancel()
	l, err := d.end.Dial(ctx, address, trust.ProtocolEdge)
	if err != nil {
		return err
	}
	all := map[fleet.UUID]*device{}
	var order []*device
	for range n {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		v := &device{id: fleet.MintUUID(random), link: l, started: make(chan fleet.UUID, reportQueueMax)}
		all[v.id], order = v, append(order, v)
	}
	d.wg.Go(func() { d.accept(l, all) })
	for i, v := range order {
		if err := v.register(ctx, fmt.Sprintf("sim-%04d", first+i)); err != nil {
			return err
		}
		if d.reports {
			d.wg.Go(func() { d.failed("report", d.report(v)) })
		}
	}
	d.wg.Go(func() { d.beat(l, order) })
	return nil
}

func (v *device) register(ctx context.Context, name string) error {
	spec, err := json.Marshal(&fleet.Node{
		ID: fleet.NodeID(v.id.String()), Name: name, Datacenter: "dc1", Version: "bench", Meta: map[string]string{"site": siteOf(name)},
		Attributes: map[string]string{"kernel.name": "linux", "cpu.arch": "arm64", "os.name": "debian", "cpu.numcores": "4"},
		Drivers:    map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}},
		NodeResources: fleet.NodeResources{
			CPU: fleet.NodeCPU{CPUShares: nodeCPU, TotalCPUCores: 4}, Memory: fleet.NodeMemory{MemoryMB: 8192}, Disk: fleet.NodeDisk{DiskMB: 32_000},
		},
	})
	if err != nil {
		return err
	}
	st, err := v.open(ctx, wire.KindRegister)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := wire.Write(st, &wire.Register{Spec: spec}); err != nil {
		return err
	}
	var w wire.Welcome
	if err := wire.Read(st, &w); err != nil {
		return fmt.Errorf("register %s: %w", name, err)
	}
	if w.Refusal != "" {
		return fmt.Errorf("register %s: refused: %s", name, w.Refusal)
	}
	return nil
}

func (v *device) open(ctx context.Context, kind wire.Kind) (link.Stream, error) {
	st, err := v.link.OpenStream(ctx)
	if err != nil {
		return nil, err
	}
	if err := wire.Write(st, &wire.Header{Kind: kind, Node: v.id}); err != nil {
		st.Reset(link.CodeCanceled)
		return nil, err
	}
	return st, nil
}

// accept serves the streams that the server opens, one per device.
func (d *devices) accept(l link.Link, all map[fleet.UUID]*device) {
	for {
		st, err := l.AcceptStream(d.ctx)
		if err != nil {
			d.failed("link", err)
			return
		}
		d.wg.Go(func() {
			defer st.Close()
			var h wire.Header
			if err := wire.Read(st, &h); err != nil {
				d.failed("stream header", err)
				return
			}
			if v := all[h.Node]; v != nil && h.Kind == wire.KindDesired {
				d.failed("desired state", d.desired(st, v))
			}
		})
	}
}

// desired acknowledges at once what a device would first put on its disk.
func (d *devices) desired(st link.Stream, v *device) error {
	for {
		var m wire.Desired
		if err := wire.Read(st, &m); err != nil {
			return err
		}
		if err := wire.Write(st, &wire.DesiredAck{Gen: m.Gen}); err != nil {
			return err
		}
		for i := range m.Allocs {
			a := &m.Allocs[i]
			if a.Stop {
				continue
			}
			d.told.Add(1)
			if !v.used.Swap(true) {
				d.used.Add(1)
			}
			if !d.reports {
				continue
			}
			select {
			case v.started <- a.ID:
			default:
				return fmt.Errorf("more than %d allocations wait to be reported", reportQueueMax)
			}
		}
	}
}

// report tells in batches what runs; what comes while a batch is on its way is
// the next one, as on a real device.
func (d *devices) report(v *device) error {
	st, err := v.open(d.ctx, wire.KindStatus)
	if err != nil {
		return err
	}
	defer st.Close()
	for seq := uint64(1); ; seq++ {
		m := wire.StatusBatch{Seq: seq}
		select {
		case id := <-v.started:
			m.Allocs = append(m.Allocs, runs(id))
		case <-d.ctx.Done():
			return nil
		}
		for len(v.started) > 0 && len(m.Allocs) < wire.StatusesMax {
			m.Allocs = append(m.Allocs, runs(<-v.started))
		}
		if err := wire.Write(st, &m); err != nil {
			return err
		}
		var ack wire.StatusAck
		if err := wire.Read(st, &ack); err != nil {
			return err
		}
		d.reported.Add(int64(len(m.Allocs)))
	}
}

// runs is what a device says of a task that just started.
func runs(id fleet.UUID) wire.AllocStatus {
	now := time.Now().UnixNano()
	t := fleet.ObservedTask{State: fleet.TaskRunning, StartedAt: now, Events: []fleet.CodedEvent{
		{Code: fleet.EventReceived, Time: now}, {Code: fleet.EventSetup, Time: now}, {Code: fleet.EventStarted, Time: now},
	}}
	return wire.AllocStatus{ID: id, Status: fleet.ClientRunning, Tasks: []wire.TaskStatus{{Name: "t", ObservedTask: t}}}
}

func (d *devices) beat(l link.Link, all []*device) {
	tick := time.NewTicker(devicesBeat)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			return
		}
		for _, v := range all {
			if err := l.SendDatagram(wire.EncodeDatagram(&wire.Beat{Node: v.id, Seq: seq})); err != nil {
				d.failed("beat", err)
				return
			}
		}
	}
}
