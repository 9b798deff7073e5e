package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/api"
)

const (
	stormTarget  = 10_000           // devices that the targets are set for
	stormContact = 3 * time.Minute  // for all devices to be linked; what is reached by then is reported
	stormReady   = 10 * time.Second // for the region to know it
	stormSettle  = 45 * time.Second // after the storm, before anything idle is measured: the server gives memory back by then
	stormWindow  = time.Minute      // two beats of each device
	reasonsShown = 3                // of devices that were not linked
	stormGC      = 400              // GOGC of the process that plays the devices
)

// stormOf measures a fleet of n devices; see storm.
func stormOf(n int) func(context.Context, *rig) (*report, error) {
	return func(ctx context.Context, r *rig) (*report, error) { return storm(ctx, r, n) }
}

// storm measures a whole fleet against one server: first contact, idling, and
// the return after the server was restarted. Each device has its own identity,
// socket, link and session. On a slow machine it says how far it came.
func storm(ctx context.Context, r *rig, n int) (rep *report, err error) {
	server, c, quic, err := r.server(ctx)
	if err != nil {
		return nil, err
	}
	// The player's collector shares the server's processors and is no part of what is measured: a device has one link's heap.
	defer debug.SetGCPercent(debug.SetGCPercent(stormGC))
	f, err := newFleet(ctx, r.path("server", "server", "tls"), quic, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	rep = &report{}
	target := func(v float64) float64 { // for as many as it was set for
		if n != stormTarget {
			return 0
		}
		return v
	}
	rep.condition("%s devices, each with a certificate, a socket and a link of its own, at most %d of them dialling at once; the targets are for %s; load of the machine at the start %s",
		number(float64(n)), dialsMax, number(stormTarget), loadAverage())

	begun, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	first, err := f.linked(ctx, f.run)
	if err != nil {
		return nil, err
	}
	spent, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	rep.add(first.figure("first contact", target(30), fmt.Sprintf("all at once; %s ms of the server's CPU each", number(millis(spent-begun)/float64(max(len(first.at), 1))))))
	if err := addKnown(ctx, rep, c, first); err != nil {
		return nil, err
	}
	if err := rest(ctx, stormSettle); err != nil {
		return nil, err
	}
	if err := addIdle(ctx, rep, server, f, target); err != nil {
		return nil, err
	}
	stopped, back, words, err := f.restart(ctx, r, server, c, quic)
	if err != nil {
		return nil, err
	}
	rep.add(back.figure("back after a server restart", target(15),
		fmt.Sprintf("from the start of the new process; the old one took %s s to stop; %s", number(stopped.Seconds()), words)))
	online, err := metric(ctx, c, `dunlin_nodes{state="online"}`)
	if err != nil {
		return nil, err
	}
	rep.add(figure{Name: "nodes not online after the storm", Value: float64(n) - online, Unit: "", Conditions: fmt.Sprintf("of %d", n)})
	rep.condition("load of the machine at the end %s", loadAverage())
	return rep, errors.Join(f.err())
}

// contact is how far devices came that were all to be linked.
type contact struct {
	n    int
	at   []time.Duration // when each that was linked was, in order
	left string          // why the others were not
}

// figure is when the last was linked; or, where some never were, the time that was given.
func (c contact) figure(name string, target float64, conditions string) figure {
	if len(c.at) == c.n {
		half, most := c.at[c.n/2], c.at[c.n*99/100]
		return figure{Name: name + " of all", Value: c.at[c.n-1].Seconds(), Unit: "s", Target: target,
			Conditions: fmt.Sprintf("half after %s s, 99 %% after %s s; %s", number(half.Seconds()), number(most.Seconds()), conditions)}
	}
	return figure{Name: name + ", stopped waiting", Value: stormContact.Seconds(), Unit: "s", Target: target,
		Conditions: fmt.Sprintf("%d of %d were linked by then; the others: %s; %s", len(c.at), c.n, c.left, conditions)}
}

// linked runs something and waits until all devices have a new link, or stormContact has passed.
func (f *realFleet) linked(ctx context.Context, what func() error) (contact, error) {
	n := len(f.devices)
	f.mu.Lock()
	f.linkedAt = map[*realDevice]time.Time{}
	f.mu.Unlock()
	begin := time.Now()
	if err := what(); err != nil {
		return contact{}, err
	}
	late := time.NewTimer(stormContact)
	defer late.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for waiting := true; waiting && f.err() == nil; {
		select {
		case <-tick.C:
			f.mu.Lock()
			waiting = len(f.linkedAt) < n
			f.mu.Unlock()
		case <-late.C:
			waiting = false
		case <-ctx.Done():
			return contact{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := contact{n: n}
	for _, at := range f.linkedAt {
		c.at = append(c.at, at.Sub(begin))
	}
	slices.Sort(c.at)
	c.left = f.reasons()
	return c, f.err()
}

// reasons says why devices are not linked, the commonest first. f.mu is held.
func (f *realFleet) reasons() string {
	counts := map[string]int{}
	for _, d := range f.devices {
		if f.linkedAt[d].IsZero() {
			counts[d.ses.State().Reason]++
		}
	}
	var words []string
	for reason, n := range counts {
		words = append(words, fmt.Sprintf("%5d × %s", n, reason))
	}
	slices.Sort(words)
	slices.Reverse(words)
	return strings.Join(words[:min(len(words), reasonsShown)], "; ")
}

// addKnown says when the region knew of all links.
func addKnown(ctx context.Context, rep *report, c *api.Client, first contact) error {
	begin, online := time.Now(), 0.0
	err := until(ctx, stormReady, func() (_ bool, err error) {
		online, err = metric(ctx, c, `dunlin_nodes{state="online"}`)
		return int(online) >= len(first.at), err
	})
	if err != nil && ctx.Err() != nil {
		return err
	}
	failed, err := metric(ctx, c, `dunlin_handshakes_total{transport="quic",result="failed"}`)
	rep.condition("%s nodes online %s s after the last link; %s handshakes of the first contact failed or were refused, and were tried again",
		number(online), number(time.Since(begin).Seconds()), number(failed))
	return err
}

// addIdle measures the server with all devices linked and nothing to do.
func addIdle(ctx context.Context, rep *report, server *process, f *realFleet, target func(float64) float64) error {
	before, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := rest(ctx, stormWindow); err != nil {
		return err
	}
	after, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return err
	}
	resident, err := server.memory("VmRSS")
	if err != nil {
		return err
	}
	peak, err := server.memory("VmHWM")
	if err != nil {
		return err
	}
	rep.add(figure{Name: "server with all idle, resident", Value: resident, Unit: "MB", Target: target(700), Conditions: fmt.Sprintf("%d links; peak %s MB", f.up.Load(), number(peak))})
	rep.add(figure{Name: "server with all idle, CPU of one core", Value: 100 * (after - before).Seconds() / stormWindow.Seconds(), Unit: "%", Target: target(3),
		Conditions: fmt.Sprintf("%s watched, default beat", stormWindow)})
	return nil
}

// restart stops the server, starts it again on the same folder and ports, and
// waits for all devices. Its words say how they came back.
func (f *realFleet) restart(ctx context.Context, r *rig, server *process, c *api.Client, quic string) (stopped time.Duration, back contact, words string, err error) {
	begin := time.Now()
	if err := server.stop(); err != nil {
		return 0, back, "", err
	}
	stopped = time.Since(begin)
	back, err = f.linked(ctx, func() (err error) {
		server, err = r.start("server-again", "agent", "-config", r.path("server.hcl"), "-http", strings.TrimPrefix(c.Address(), "http://"), "-quic", quic)
		return err
	})
	if err != nil {
		return stopped, back, "", err
	}
	spent, err := cpuTime(server.cmd.Process.Pid)
	if err != nil {
		return stopped, back, "", err
	}
	var counts [3]string
	for i, result := range []string{"resumed", "full", "failed"} {
		v, err := metric(ctx, c, fmt.Sprintf(`dunlin_handshakes_total{transport="quic",result=%q}`, result))
		if err != nil {
			return stopped, back, "", err
		}
		counts[i] = fmt.Sprintf("%s %s", number(v), result)
	}
	words = fmt.Sprintf("handshakes %s; %s ms of the server's CPU each, its start included",
		strings.Join(counts[:], ", "), number(millis(spent)/float64(max(len(back.at), 1))))
	return stopped, back, words, nil
}

// metric reads one figure of the server's own.
func metric(ctx context.Context, c *api.Client, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Address()+"/v1/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(page)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("%s/v1/metrics has no %s", c.Address(), name)
}

func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}
