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
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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
}

// Transport is what one endpoint has done.
type Transport struct {
	Links      int
	Handshakes link.Handshakes
}

// Handler serves scrapes of s, of the Go runtime and of the process.
func Handler(s Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: ScrapesMax})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dunlin_"+name, help, labels, nil)
}

var (
	index       = desc("index", "Index of the region's newest entry that this server has applied.")
	leads       = desc("leader", "1 on the server that leads the region.")
	epoch       = desc("region_epoch", "The region's epoch; raised when it was put back from an older copy.")
	brake       = desc("loss_brake", "1 while the loss brake holds replacements.")
	nodes       = desc("nodes", "Nodes by the state of their link.", "state")
	quarantined = desc("nodes_quarantined", "Nodes that an operator quarantined.")
	orphans     = desc("orphans", "Allocations that devices run and the region does not know.")
	rows        = desc("rows", "Rows of the region's state.", "table")
	links       = desc("links", "Links of devices to this server.", "transport")
	handshakes  = desc("handshakes_total", "Handshakes of devices with this server.", "transport", "result")
	carried     = desc("link_bytes_total", "Bytes on devices' links to this server, headers included; begins anew with each month.", "class", "direction")
	refused     = desc("refused_total", "What devices tried on this server and may not.", "kind")
	expires     = desc("certificate_expires_seconds", "Unix time of the earliest end of a certificate.", "of")
)

// Describe says nothing in advance: which labels there are, a scrape finds out.
func (s Source) Describe(chan<- *prometheus.Desc) {}

// Collect reads all figures.
func (s Source) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	v := s.View()
	gauge(index, float64(v.Index()))
	gauge(leads, truth(s.Leads()))
	gauge(epoch, float64(v.Region().Epoch))
	gauge(brake, truth(v.Region().Brake.On))
	for table, n := range map[string]int{"jobs": v.JobCount(), "allocations": v.AllocCount(), "evaluations": v.EvalCount()} {
		gauge(rows, float64(n), table)
	}
	collectNodes(v, gauge)
	for name, t := range s.Links() {
		gauge(links, float64(t.Links), name)
		for result, n := range map[string]uint64{"full": t.Handshakes.Full, "resumed": t.Handshakes.Resumed, "failed": t.Handshakes.Failed} {
			count(handshakes, n, name, result)
		}
	}
	for class, c := range s.Carried() {
		count(carried, c.Sent, traffic.Class(class).String(), "sent")
		count(carried, c.Received, traffic.Class(class).String(), "received")
	}
	for kind, n := range s.Refused() {
		count(refused, n, kind)
	}
	ca, server := s.Expires()
	gauge(expires, float64(ca.Unix()), "ca")
	gauge(expires, float64(server.Unix()), "server")
}

func collectNodes(v *state.View, gauge func(*prometheus.Desc, float64, ...string)) {
	states := map[fleet.LinkState]int{fleet.LinkOnline: 0, fleet.LinkLate: 0, fleet.LinkUnreachable: 0, fleet.LinkLost: 0}
	var waiting, unknown int
	var earliest int64
	for n := range v.Nodes() {
		states[n.Link]++
		unknown += len(n.Orphans)
		if i := n.Identity; i != nil {
			if i.Standing == fleet.StandingQuarantined {
				waiting++
			}
			if i.Standing != fleet.StandingRevoked && i.CertExpiresAt > 0 && (earliest == 0 || i.CertExpiresAt < earliest) {
				earliest = i.CertExpiresAt
			}
		}
	}
	for state, n := range states {
		gauge(nodes, float64(n), string(state))
	}
	gauge(quarantined, float64(waiting))
	gauge(orphans, float64(unknown))
	if earliest > 0 {
		gauge(expires, float64(earliest/1e9), "node")
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
