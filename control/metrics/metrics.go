// Package metrics shows what a server and its region do as figures in the
// Prometheus text format.
//
// The one idea: a scrape reads what is there anyway (a view, the counters of
// links), and nothing is kept for scrapes alone. Rejected: gauges that each part
// sets as it goes, which are one more thing to forget, and wrong after a restart.
//
// Invariants: a scrape costs a pass over the nodes and none over allocations,
// whose number may be a million; names and labels are documented in
// docs/operate.md and stay.
//
// Threading: Handler may serve any number of scrapes at once, up to ScrapesMax.
package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// ScrapesMax bounds the scrapes that are served at once; more are refused.
const ScrapesMax = 4

// Source is where the figures are.
type Source struct {
	View    func() *state.View
	Links   func() map[string]Transport // by name
	Carried func() traffic.Tally        // by this server, seen from it, since its start or the month's begin
	Refused func() map[string]uint64    // what devices tried and may not, by kind
	Expires func() (ca, server time.Time)
	Leads   func() bool
	Plans   func() Plans // that this server has verified since it leads
}

// Plans is what became of the placements of plans.
type Plans struct {
	Accepted, Refused uint64 // placements
	Refusing          int    // nodes that keep refusing
}

// Transport is what one endpoint has done.
type Transport struct {
	Links      int
	Handshakes link.Handshakes
}

// Handler serves scrapes of s, of the Go runtime and of the process.
func Handler(s Source) http.Handler {
	busy := make(chan struct{}, ScrapesMax)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		default:
			http.Error(w, fmt.Sprintf("%d scrapes are being served; come back later", ScrapesMax), http.StatusServiceUnavailable)
			return
		}
		p := &page{}
		s.write(p)
		metrics.WriteProcessMetrics(&p.Buffer)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(p.Bytes()) // who asked has gone
	})
}

// page is what a scrape gets. Names and values of labels are words of ours, which need no escaping.
type page struct{ bytes.Buffer }

// family begins the figures of one name. kind is "gauge" or "counter".
func (p *page) family(name, kind, help string) func(value float64, labels ...string) {
	fmt.Fprintf(p, "# HELP dunlin_%s %s\n# TYPE dunlin_%s %s\n", name, help, name, kind)
	return func(value float64, labels ...string) {
		full := "dunlin_" + name
		for i := 0; i+1 < len(labels); i += 2 {
			full += fmt.Sprintf("%c%s=%q", "{,"[min(i, 1)], labels[i], labels[i+1])
		}
		if len(labels) > 0 {
			full += "}"
		}
		metrics.WriteGaugeFloat64(p, full, value)
	}
}

func (s Source) write(p *page) {
	v := s.View()
	p.family("index", "gauge", "Index of the region's newest entry that this server has applied.")(float64(v.Index()))
	p.family("leader", "gauge", "1 on the server that leads the region.")(truth(s.Leads()))
	p.family("region_epoch", "gauge", "The region's epoch; raised when it was put back from an older copy.")(float64(v.Region().Epoch))
	p.family("loss_brake", "gauge", "1 while the loss brake holds replacements.")(truth(v.Region().Brake.On))
	rows := p.family("rows", "gauge", "Rows of the region's state.")
	rows(float64(v.JobCount()), "table", "jobs")
	rows(float64(v.AllocCount()), "table", "allocations")
	rows(float64(v.EvalCount()), "table", "evaluations")
	plans := s.Plans()
	placements := p.family("plan_placements_total", "counter", "Placements in plans that this server has verified since it leads.")
	placements(float64(plans.Accepted), "result", "accepted")
	placements(float64(plans.Refused), "result", "refused")
	p.family("nodes_refusing", "gauge", "Nodes that refuse plan after plan; told by the server that leads.")(float64(plans.Refusing))
	s.writeLinks(p)
	nodes := countNodes(v)
	nodes.write(p)
	ca, server := s.Expires()
	expires := p.family("certificate_expires_seconds", "gauge", "Unix time of the earliest end of a certificate.")
	expires(float64(ca.Unix()), "of", "ca")
	expires(float64(server.Unix()), "of", "server")
	if nodes.expires > 0 {
		expires(float64(nodes.expires/1e9), "of", "node")
	}
}

func (s Source) writeLinks(p *page) {
	transports := s.Links()
	names := slices.Sorted(maps.Keys(transports))
	links := p.family("links", "gauge", "Links of devices to this server.")
	for _, name := range names {
		links(float64(transports[name].Links), "transport", name)
	}
	handshakes := p.family("handshakes_total", "counter", "Handshakes of devices with this server.")
	for _, name := range names {
		h := transports[name].Handshakes
		handshakes(float64(h.Full), "transport", name, "result", "full")
		handshakes(float64(h.Resumed), "transport", name, "result", "resumed")
		handshakes(float64(h.Failed), "transport", name, "result", "failed")
	}
	carried := p.family("link_bytes_total", "counter", "Bytes on devices' links to this server, headers included; begins anew with each month.")
	for class, c := range s.Carried() {
		carried(float64(c.Sent), "class", traffic.Class(class).String(), "direction", "sent")
		carried(float64(c.Received), "class", traffic.Class(class).String(), "direction", "received")
	}
	refused := p.family("refused_total", "counter", "What devices tried on this server and may not.")
	counts := s.Refused()
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		refused(float64(counts[kind]), "kind", kind)
	}
}

// nodes is what one pass over them finds.
type nodes struct {
	states               map[fleet.LinkState]int
	quarantined, orphans int
	expires              int64 // the earliest certificate's end, Unix nanoseconds; 0: none is known
}

func countNodes(v *state.View) nodes {
	c := nodes{states: map[fleet.LinkState]int{}}
	for n := range v.Nodes() {
		c.states[n.Link]++
		c.orphans += len(n.Orphans)
		i := n.Identity
		if i == nil || i.Standing == fleet.StandingRevoked { // whose end nobody waits for
			continue
		}
		if i.Standing == fleet.StandingQuarantined {
			c.quarantined++
		}
		if i.CertExpiresAt > 0 && (c.expires == 0 || i.CertExpiresAt < c.expires) {
			c.expires = i.CertExpiresAt
		}
	}
	return c
}

func (c nodes) write(p *page) {
	states := p.family("nodes", "gauge", "Nodes by the state of their link.")
	for _, s := range []fleet.LinkState{fleet.LinkOnline, fleet.LinkLate, fleet.LinkUnreachable, fleet.LinkLost} {
		states(float64(c.states[s]), "state", string(s))
	}
	p.family("nodes_quarantined", "gauge", "Nodes that an operator quarantined.")(float64(c.quarantined))
	p.family("orphans", "gauge", "Allocations that devices run and the region does not know.")(float64(c.orphans))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
