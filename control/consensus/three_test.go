package consensus

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// member is one of three servers in a bubble, with real QUIC over memnet.
type member struct {
	*Node
	host     netip.Addr
	store    *state.Store
	endpoint *quicnet.Endpoint
}

func (m *member) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(m.Close(), m.endpoint.Close()); err != nil {
		t.Error(err)
	}
}

func openThree(t *testing.T, network *memnet.Network) (members []*member, nodes []*Node) {
	t.Helper()
	region := linktest.NewRegion(t, linktest.RegionName)
	var servers []Server
	for i := range 3 {
		m := &member{host: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), store: state.New()}
		id := fmt.Sprintf("s%d", i+1)
		identity := region.Issue(t, trust.KindServer, id, time.Now())
		socket, err := network.Listen(netip.AddrPortFrom(m.host, 4647))
		if err != nil {
			t.Fatal(err)
		}
		m.endpoint, err = quicnet.Over(socket, quicnet.Options{
			ServerTLS: region.ServerTLS(t, identity, trust.ProtocolRaft), Credentials: region.Client(identity),
		})
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
		servers = append(servers, Server{ID: id, Addr: m.endpoint.Addr().String()})
	}
	for i, m := range members {
		listener, err := m.endpoint.Listener(trust.ProtocolRaft)
		if err != nil {
			t.Fatal(err)
		}
		m.Node, err = Open(Config{
			Dir: t.TempDir(), Server: servers[i], Members: servers, Layer: NewLinks(m.endpoint, listener), Store: m.store, Logger: quiet(),
		})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, m.Node)
	}
	return members, nodes
}

// leaderOf waits, in virtual time, for a leader among the nodes.
func leaderOf(t *testing.T, nodes []*Node) *Node {
	t.Helper()
	for range 600 {
		for _, n := range nodes {
			if n.IsLeader() && n.Barrier(t.Context()) == nil {
				return n
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("nobody leads after a minute")
	return nil
}

// TestThreeServers cuts the leader off: the others go on without it, it can
// promise nothing, and once it is back all three agree.
func TestThreeServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond})
		members, nodes := openThree(t, network)
		leader := leaderOf(t, nodes)
		propose := func(n *Node, from, to int) {
			t.Helper()
			for i := from; i < to; i++ {
				if _, _, err := n.Propose(t.Context(), module(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		propose(leader, 0, 20)
		var others []*Node
		for _, m := range members {
			if m.Node == leader {
				network.Isolate(m.host)
				continue
			}
			others = append(others, m.Node)
			if _, _, err := m.Propose(t.Context(), module(1)); !errors.Is(err, ErrNotLeader) {
				t.Errorf("a follower took a proposal: %v", err)
			}
			if got, want := m.Leader(), leader.Leader(); got != want || got.ID == "" {
				t.Errorf("a follower knows the leader as %+v; it is %+v", got, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := leader.Propose(ctx, module(1000)); !errors.Is(err, ErrUnsure) {
			t.Errorf("a leader without a majority answered %v", err)
		}
		second := leaderOf(t, others)
		propose(second, 20, 40)
		network.HealAll()
		index := second.Stats().LastIndex
		for i := 0; ; i++ {
			synctest.Wait()
			a, b, c := members[0].store.View(), members[1].store.View(), members[2].store.View()
			if a.Hash() == b.Hash() && b.Hash() == c.Hash() && len(collectModules(members[0].store)) >= 40 {
				break
			}
			if i == 600 {
				t.Fatalf("a minute later the states still differ: at %d, %d and %d of %d", a.Index(), b.Index(), c.Index(), index)
			}
			time.Sleep(100 * time.Millisecond)
		}
		for _, m := range members {
			m.close(t)
		}
	})
}
