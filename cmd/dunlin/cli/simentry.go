//go:build !edgeonly

package cli

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/sim/devices"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// simEntry is how simulated devices get into a region.
type simEntry struct {
	*env
	flags   *simFlags
	servers []link.Server
	lines   []devices.Line

	mu   sync.Mutex
	ends []io.Closer
}

func (s *simEntry) close() {
	for _, end := range s.ends {
		_ = end.Close() // nothing of it is needed any more
	}
}

func (s *simEntry) enter(ctx context.Context) error {
	if s.flags.tlsDir != "" {
		m, err := trust.LoadFolder(s.flags.tlsDir)
		if err != nil {
			return err
		}
		if m.Identity.Kind != trust.KindGateway {
			return usageError("%s is for %s; a gateway's is made by: dunlin tls cert create -kind gateway -id NAME", s.flags.tlsDir, m.Identity)
		}
		return s.share(m)
	}
	if s.flags.links > 0 {
		m, _, err := s.invited(ctx, fleet.InviteRoleGateway, 1)
		if err != nil {
			return err
		}
		answer, err := m.ask(ctx)
		if err != nil {
			return err
		}
		material, err := answer.files.Material()
		if err != nil {
			return err
		}
		return s.share(material)
	}
	return s.each(ctx)
}

// invited makes an invite and reads who answers it.
func (s *simEntry) invited(ctx context.Context, role string, count int) (*joining, *api.Client, error) {
	c, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	resp, err := c.Invite(ctx, &api.InviteRequest{Role: role, Count: count, Datacenter: s.flags.datacenter, Pool: s.flags.pool, TTL: fleet.Duration(simInviteTTL)})
	if err != nil {
		return nil, nil, s.explain(c, err)
	}
	invite, err := trust.ParseInvite(resp.Invite)
	if err != nil {
		return nil, nil, err
	}
	if s.flags.server != "" {
		invite.Addresses = []string{s.flags.server}
	}
	if s.servers, err = link.ParseServers(invite.Addresses); err != nil {
		return nil, nil, err
	}
	return &joining{invite: invite, name: "sim"}, c, nil
}

// share spreads the devices over links of one gateway.
func (s *simEntry) share(m *trust.Material) error {
	if s.servers == nil {
		var err error
		if s.servers, err = link.ParseServers([]string{s.flags.server}); err != nil {
			return usageError("-server: %w", err)
		}
	}
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.Client{Source: m.Source(), Clock: trust.NewClock(time.Now)}})
	if err != nil {
		return err
	}
	s.ends = append(s.ends, end)
	s.lines = make([]devices.Line, s.flags.links)
	for i := range s.lines {
		s.lines[i].Dialer = end
	}
	for n := range s.flags.nodes {
		var name [16]byte
		binary.BigEndian.PutUint64(name[:8], s.flags.seed)
		binary.BigEndian.PutUint64(name[8:], uint64(n))
		sum := sha256.Sum256(append([]byte("dunlin simulated device "), name[:]...))
		l := &s.lines[n%len(s.lines)]
		l.Nodes = append(l.Nodes, fleet.MintUUID([16]byte(sum[:16])))
	}
	return nil
}

// each lets every device join by itself, as real ones do.
func (s *simEntry) each(ctx context.Context) error {
	j, _, err := s.invited(ctx, fleet.InviteRoleNode, s.flags.nodes)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.lines = make([]devices.Line, s.flags.nodes)
	var wg sync.WaitGroup
	slots := make(chan struct{}, simJoins)
	for n := range s.lines {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			line, err := s.one(ctx, &joining{invite: j.invite, name: simName(n)})
			if err != nil {
				cancel(fmt.Errorf("device %s does not get in: %w", simName(n), err))
				return
			}
			s.lines[n] = line
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (s *simEntry) one(ctx context.Context, j *joining) (devices.Line, error) {
	answer, err := j.ask(ctx)
	if err != nil {
		return devices.Line{}, err
	}
	m, err := answer.files.Material()
	if err != nil {
		return devices.Line{}, err
	}
	end, err := quicnet.Open("", quicnet.Options{Credentials: trust.Client{Source: m.Source(), Clock: trust.NewClock(time.Now)}})
	if err != nil {
		return devices.Line{}, fmt.Errorf("%w; each device has a socket, see ulimit -n", err)
	}
	s.mu.Lock()
	s.ends = append(s.ends, end)
	s.mu.Unlock()
	return devices.Line{Dialer: end, Nodes: []fleet.UUID{answer.Node}}, nil
}

func simName(n int) string { return fmt.Sprintf("sim-%05d", n) }

// spec is what a simulated device says that it is.
func (s *simEntry) spec(n int, id fleet.UUID) *fleet.Node {
	f := s.flags
	return &fleet.Node{
		ID: fleet.NodeID(id.String()), Name: simName(n), Datacenter: f.datacenter, NodePool: f.pool, NodeClass: f.class, Version: Version,
		Attributes: map[string]string{"kernel.name": "linux", "cpu.arch": "arm64", "os.name": "debian", "cpu.numcores": "4", "simulated": "true"},
		Drivers:    map[string]fleet.DriverInfo{"wasm": {Detected: true, Healthy: true}, "raw_exec": {Detected: true, Healthy: true}},
		NodeResources: fleet.NodeResources{
			CPU: fleet.NodeCPU{CPUShares: f.cpu, TotalCPUCores: 4}, Memory: fleet.NodeMemory{MemoryMB: f.memory}, Disk: fleet.NodeDisk{DiskMB: f.disk},
		},
	}
}
