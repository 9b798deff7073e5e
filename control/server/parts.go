package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/consensus"
	"github.com/dunlin-edge/dunlin/control/enroll"
	"github.com/dunlin-edge/dunlin/control/metrics"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/control/term"
	"github.com/dunlin-edge/dunlin/fleet"
)

// log commits commands for the parts that want results, with or without index.
type log struct{ node *consensus.Node }

func (l log) propose(ctx context.Context, cmd any) (uint64, any, error) {
	c, ok := cmd.(command.Command)
	if !ok {
		return 0, nil, fmt.Errorf("%T is not a command", cmd)
	}
	return l.node.Propose(ctx, command.Encode(c))
}

// plainLog is the log of parts that do not ask for the index.
type plainLog struct{ log }

// Propose commits a command and returns what applying it gave.
func (l plainLog) Propose(ctx context.Context, cmd any) (any, error) {
	_, result, err := l.propose(ctx, cmd)
	return result, err
}

// indexLog is the log of the HTTP API, which shows indexes.
type indexLog struct{ log }

// Propose commits a command and returns its index and what applying it gave.
func (l indexLog) Propose(ctx context.Context, cmd any) (uint64, any, error) {
	return l.propose(ctx, cmd)
}

// invites gives the HTTP API's form to the enrolment service.
type invites struct{ *enroll.Service }

// Invite makes an invite.
func (i invites) Invite(ctx context.Context, r *api.InviteRequest) (*api.InviteResponse, error) {
	line, expires, err := i.Service.Invite(ctx, enroll.Options{
		Name: r.Name, Datacenter: r.Datacenter, TTL: r.TTL.Std(), Count: r.Count, Pool: r.Pool, Role: r.Role,
	})
	if err != nil {
		return nil, err
	}
	return &api.InviteResponse{Invite: line, ExpiresAt: expires.UnixNano()}, nil
}

// noInvites answers where the CA's key is not on this server.
type noInvites struct{}

// Invite refuses with what to do instead.
func (noInvites) Invite(context.Context, *api.InviteRequest) (*api.InviteResponse, error) {
	return nil, fmt.Errorf("this server has no CA key (tls { } brings certificates), so it cannot let devices in; make each device's certificate with: dunlin tls cert create -kind node -id UUID")
}

// info tells about the servers.
type info struct{ s *Server }

// Leader is the address of the leader.
func (i info) Leader() (string, bool) {
	addr := i.s.node.Leader().Addr
	return addr, addr != ""
}

// LastContact is how long ago the leader was heard of: a server alone leads.
func (i info) LastContact() time.Duration { return 0 }

// Peers are the voters' addresses.
func (i info) Peers() []string {
	var out []string
	for _, m := range i.s.node.Members() {
		out = append(out, m.Addr)
	}
	return out
}

// Members lists the servers of the region.
func (i info) Members() []*api.AgentMember {
	host, port, err := net.SplitHostPort(i.s.advertise())
	if err != nil {
		host = i.s.advertise()
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		n = 0
	}
	return []*api.AgentMember{{
		Name: i.s.Name, Addr: host, Port: uint16(n), Status: "alive",
		Tags: map[string]string{
			"role": "dunlin", "region": i.s.Region, "dc": i.s.Datacenter, "build": i.s.Version,
			"expires":    i.s.identity.keeper.Material().Cert.NotAfter.UTC().Format(time.RFC3339),
			"ca_expires": i.s.identity.keeper.Material().CA.NotAfter.UTC().Format(time.RFC3339),
		},
	}}
}

// Self describes this agent.
func (i info) Self() *api.AgentSelf {
	v := i.s.store.View()
	return &api.AgentSelf{
		Config: map[string]any{
			"Region": i.s.Region, "Datacenter": i.s.Datacenter, "NodeName": i.s.Name, "DataDir": i.s.DataDir,
			"Version": map[string]string{"Version": i.s.Version}, "Server": map[string]any{"Enabled": true},
		},
		Member: *i.Members()[0],
		Stats: map[string]map[string]string{
			"raft":    raftStats(i.s.node.Stats()),
			"refused": refusedStats(i.s.sessions.Refusals()),
			"links":   i.s.linkStats(),
			"plans":   i.s.planStats(),
			"dunlin": {
				"index": fmt.Sprint(v.Index()), "nodes": fmt.Sprint(v.NodeCount()), "jobs": fmt.Sprint(v.JobCount()),
				"allocations": fmt.Sprint(v.AllocCount()), "evaluations": fmt.Sprint(v.EvalCount()),
				"links": fmt.Sprint(i.s.sessions.Links()), "epoch": fmt.Sprint(v.Region().Epoch),
			},
		},
	}
}

// Health says whether the server works.
func (i info) Health() *api.AgentHealth {
	h := &api.AgentPartHealth{OK: true, Message: "ok"}
	if err := i.s.node.Err(); err != nil {
		h.OK, h.Message = false, err.Error()
	} else if _, ok := i.Leader(); !ok {
		h.OK, h.Message = false, "the region has no leader"
	}
	return &api.AgentHealth{Server: h}
}

// refusedStats is what devices tried on this server and may not, by kind.
func refusedStats(counts map[string]uint64) map[string]string {
	out := make(map[string]string, len(counts))
	for kind, n := range counts {
		out[kind] = fmt.Sprint(n)
	}
	return out
}

// planStats tells what became of plans since this server leads.
func (s *Server) planStats() map[string]string {
	v := s.lead.Verified()
	return map[string]string{
		"plans": fmt.Sprint(v.Plans), "plans_partly_refused": fmt.Sprint(v.Partly), "placements": fmt.Sprint(v.Placements),
		"placements_refused": fmt.Sprint(v.Refused), "nodes_refusing": fmt.Sprint(s.refusing(v)),
	}
}

// refusing counts the nodes that keep refusing.
func (s *Server) refusing(v term.Verified) (n int) {
	for _, row := range v.Refusing {
		if row.Now(time.Now()) {
			n++
		}
	}
	return n
}

// Refusing says that a node keeps refusing plans; nil: it does not, or another server leads and knows.
func (i info) Refusing(k state.NodeKey) *fleet.RefusedPlans {
	row, there := i.s.lead.Verified().Refusing[k]
	if !there || !row.Now(time.Now()) {
		return nil
	}
	return &fleet.RefusedPlans{InARow: row.InARow, Since: row.First, Last: row.Last, Reason: row.Reason}
}

// transports are the endpoints that devices reach.
func (s *Server) transports() map[string]metrics.Transport {
	out := map[string]metrics.Transport{"quic": {Links: s.endpoint.Links(), Handshakes: s.endpoint.Handshakes()}}
	if s.tls != nil {
		out["tls"] = metrics.Transport{Links: s.tls.Links(), Handshakes: s.tls.Handshakes()}
	}
	return out
}

// linkStats tells what handshakes the endpoints have done for devices, by transport.
func (s *Server) linkStats() map[string]string {
	out := map[string]string{}
	for name, t := range s.transports() {
		for key, value := range map[string]any{
			"links": t.Links, "handshakes_in_progress": t.Handshakes.InProgress, "handshakes_full": t.Handshakes.Full,
			"handshakes_resumed": t.Handshakes.Resumed, "handshakes_failed": t.Handshakes.Failed,
			"handshakes_peak_per_second": t.Handshakes.PeakRate, "handshakes_measured_per_second": t.Handshakes.Rate,
		} {
			out[name+"_"+key] = fmt.Sprint(value)
		}
	}
	return out
}

// metrics is what scrapes read.
func (s *Server) metrics() http.Handler {
	return metrics.Handler(metrics.Source{
		View: s.store.View, Links: s.transports, Carried: s.sessions.Carried, Refused: s.sessions.Refusals, Leads: s.node.IsLeader,
		Plans: func() metrics.Plans {
			v := s.lead.Verified()
			return metrics.Plans{Accepted: v.Placements - v.Refused, Refused: v.Refused, Refusing: s.refusing(v)}
		},
		Expires: func() (ca, server time.Time) {
			m := s.identity.keeper.Material()
			return m.CA.NotAfter, m.Cert.NotAfter
		},
	})
}

func raftStats(s consensus.Stats) map[string]string {
	return map[string]string{
		"state": s.Role, "term": fmt.Sprint(s.Term), "last_log_index": fmt.Sprint(s.LastIndex),
		"commit_index": fmt.Sprint(s.CommitIndex), "applied_index": fmt.Sprint(s.Applied), "proposals": fmt.Sprint(s.Waiting),
	}
}
