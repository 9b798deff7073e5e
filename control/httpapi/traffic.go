package httpapi

import (
	"net/http"
	"slices"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// nodesTraffic lists what this server counted, without asking any device: an
// answer that costs each metered link some bytes would be no list.
func (a *API) nodesTraffic(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	rows := slices.Collect(v.Nodes())
	slices.SortFunc(rows, func(a, b *state.Node) int { return byName(b, a) }) // byName is for lists that begin with the newest
	out := []*api.NodeTraffic{}
	for _, n := range rows {
		if b, known := a.Sessions.Traffic(n.ID); known {
			out = append(out, &api.NodeTraffic{NodeID: nodeID(n), Name: n.Spec.Name, Server: account(b, true)})
		}
	}
	return a.answer(w, r, v.Index(), out)
}

func nodeID(n *state.Node) fleet.NodeID { return fleet.NodeID(n.ID.String()) }

// nodeTraffic shows both ends' accounts of one node.
func (a *API) nodeTraffic(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	n, err := findNode(v, r.PathValue("id"))
	if err != nil {
		return err
	}
	b, _ := a.Sessions.Traffic(n.ID)
	out := &api.NodeTraffic{NodeID: nodeID(n), Name: n.Spec.Name, Server: account(b, true)}
	own, err := a.Sessions.AskTraffic(r.Context(), n.ID)
	if err != nil {
		out.DeviceError = err.Error()
		return a.answer(w, r, v.Index(), out)
	}
	month := &own.Book.Month
	out.Device, out.Budget, out.Links = account(own.Book, false), uint64(own.Budget), own.Links
	out.MonthPassed = fleet.Duration(month.Elapsed)
	out.Slowed = traffic.Words(own.Budget.Slowed(month))
	return a.answer(w, r, v.Index(), out)
}

// account is a book in the API's words. What a server received, the device sent.
func account(b traffic.Book, server bool) *api.Traffic {
	count := func(c traffic.Count) api.TrafficCount {
		if server {
			c.Sent, c.Received = c.Received, c.Sent
		}
		return api.TrafficCount(c)
	}
	out := &api.Traffic{}
	for c := range traffic.Class(traffic.Classes) {
		out.Classes = append(out.Classes, api.TrafficClass{
			Class: c.String(), Link: count(b.Link[c]), Today: count(b.Day.Tally[c]), Month: count(b.Month.Tally[c]),
		})
	}
	return out
}
