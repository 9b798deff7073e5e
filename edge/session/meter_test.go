package session_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/edge/reach"
	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// TestCountsByClass: what the device counts by class is what was said, and all classes together are what the packets carried.
func TestCountsByClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := session.NewMeter(0, nil, slog.New(slog.DiscardHandler))
		r := newMeteredRig(t, m)
		defer r.stop()
		l := r.serve(welcome())
		st := r.open(l, wire.KindDesired, &wire.Desired{Gen: wire.Generation{Epoch: 1, N: 6}})
		var ack wire.DesiredAck
		if err := wire.Read(st, &ack); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := l.ReceiveDatagram(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second) // packets take their time
		b := m.Book()
		beat := uint64(len(wire.EncodeDatagram(&wire.Beat{Node: nodeID, Seq: 1})))
		if got := b.Link[traffic.Beat]; got != (traffic.Count{Sent: 10 * beat}) {
			t.Errorf("ten beats of %d bytes count as %+v", beat, got)
		}
		frames := func(ms ...wire.Message) (n uint64) {
			for _, m := range ms {
				frame, err := wire.Encode(m)
				if err != nil {
					t.Fatal(err)
				}
				n += uint64(len(frame))
			}
			return n
		}
		header := &wire.Header{Kind: wire.KindDesired, Node: nodeID}
		want := traffic.Count{Sent: frames(&ack), Received: frames(header, &wire.Desired{Gen: ack.Gen})}
		if got := b.Link[traffic.Desired]; got != want {
			t.Errorf("allocations count as %+v, want %+v", got, want)
		}
		server := l.Stats().Sides()
		if got := b.Link.Sum(); got.Sent != server.Received || got.Received != server.Sent {
			t.Errorf("the device counts %+v, the server's packets are %+v", got, server)
		}
		if b.Link[traffic.Handshake].Sent < 1200 || b.Link[traffic.Other].Total() == 0 {
			t.Errorf("handshake %+v, other %+v", b.Link[traffic.Handshake], b.Link[traffic.Other])
		}

		// A restarted agent goes on where the last one wrote, and a second link adds to the month.
		again := session.NewMeter(0, m.Encode(), slog.New(slog.DiscardHandler)).Book()
		if again.Month.Tally != b.Month.Tally {
			t.Errorf("kept %+v, want %+v", again.Month.Tally, b.Month.Tally)
		}
		var a wire.TrafficAnswer
		ask := r.open(l, wire.KindTraffic, &wire.TrafficRequest{})
		if err := wire.Read(ask, &a); err != nil || a.Links != 1 || a.Book.Link[traffic.Beat].Sent < 10*beat {
			t.Errorf("the device answers %+v, %v", a, err)
		}
		if err := l.Close(link.CodeShutdown, "restart"); err != nil {
			t.Fatal(err)
		}
		r.serve(welcome())
		time.Sleep(time.Second) // packets take their time
		b2 := m.Book()
		if b2.Month.Tally.Total() <= b2.Link.Total() || b2.Month.Tally.Total() < b.Link.Total()+b2.Link.Total() {
			t.Errorf("month %d, first link %d, second link %d", b2.Month.Tally.Total(), b.Link.Total(), b2.Link.Total())
		}
	})
}

// TestDamagedAccountBeginsAnew: no bytes on disk keep an agent from starting.
func TestDamagedAccountBeginsAnew(t *testing.T) {
	var said strings.Builder
	b := session.NewMeter(0, []byte{0xff, 0xff, 0xff}, slog.New(slog.NewTextHandler(&said, nil))).Book()
	if b.Month.Tally.Total() != 0 || !strings.Contains(said.String(), "begins anew") {
		t.Errorf("%+v, %s", b, said.String())
	}
}

// overdrawn is a meter whose month is ahead of its budget of 1 MB.
func overdrawn(used uint64, log io.Writer) *session.Meter {
	var kept traffic.Book
	kept.Month.Tally[traffic.Modules].Received = used
	return session.NewMeter(1e6, kept.Append(nil), slog.New(slog.NewTextHandler(log, nil)))
}

// TestBudgetSlowsLowClassesOnly: with the month far ahead, statuses come in batches a minute apart and a module hardly moves, while
// beats and what the region wants pass at once.
func TestBudgetSlowsLowClassesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		r := newMeteredRig(t, overdrawn(600_000, &said))
		l := r.serve(welcome())
		time.Sleep(time.Second) // packets take their time

		r.device.send(&wire.StatusBatch{Seq: 1})
		begun := time.Now()
		status, _ := r.stream(l)
		for seq := uint64(1); seq <= 3; seq++ {
			var b wire.StatusBatch
			if err := errors.Join(wire.Read(status, &b), wire.Write(status, &wire.StatusAck{Seq: b.Seq})); err != nil || b.Seq != seq {
				t.Fatalf("batch %d: %v", b.Seq, err)
			}
			if seq < 3 {
				r.device.send(&wire.StatusBatch{Seq: seq + 1})
			}
		}
		if took := time.Since(begun); took < 2*traffic.StatusPause || took > 3*traffic.StatusPause+time.Second {
			t.Errorf("three batches took %s", took)
		}
		go func() { // a device without news ends the stream
			_, _ = io.Copy(io.Discard, status)
			_ = status.Close()
		}()

		begun = time.Now()
		st := r.open(l, wire.KindDesired, &wire.Desired{Gen: wire.Generation{Epoch: 1, N: 6}})
		var ack wire.DesiredAck
		if err := wire.Read(st, &ack); err != nil || time.Since(begun) > time.Second {
			t.Errorf("what the region wants took %s, %v", time.Since(begun), err)
		}
		begun = time.Now()
		for range 4 {
			if _, err := l.ReceiveDatagram(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 4*33*time.Second {
			t.Errorf("four beats took %s", took)
		}

		go serveModule(t, r, l)
		body, err := r.session.Module(t.Context(), &wire.ModuleRequest{Digest: "sha256:abc"})
		if err == nil {
			err = body.From(0)
		}
		if err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		n, err := io.ReadFull(body, make([]byte, 20))
		if took := time.Since(begun); n != 20 || err != nil || took < 5*traffic.PaceEvery {
			t.Errorf("%d bytes of a module took %s, %v", n, took, err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
		r.stop()
		if !strings.Contains(said.String(), "slowed=\"[modules logs status]\"") {
			t.Errorf("the log says %s", said.String())
		}
	})
}

// TestUnderBudgetNothingWaits: a budget that is not used up costs no time.
func TestUnderBudgetNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMeteredRig(t, overdrawn(0, io.Discard))
		defer r.stop()
		l := r.serve(welcome())
		time.Sleep(time.Second) // packets take their time
		go serveModule(t, r, l)
		begun := time.Now()
		body, err := r.session.Module(t.Context(), &wire.ModuleRequest{Digest: "sha256:abc"})
		if err == nil {
			err = body.From(0)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		if len(b) != 1000 || err != nil || time.Since(begun) > time.Second {
			t.Errorf("%d bytes took %s, %v", len(b), time.Since(begun), err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	})
}

// serveModule answers one request for a module of 1,000 bytes.
func serveModule(t *testing.T, r *rig, l link.Link) {
	st, err := l.AcceptStream(t.Context())
	if err == nil {
		err = errors.Join(wire.Read(st, &wire.Header{}), wire.Read(st, &wire.ModuleRequest{}), wire.Write(st, &wire.ModuleAnswer{Encoding: wire.EncodingWhole, Size: 1000, FormSize: 1000}), wire.Read(st, &wire.ModuleFrom{}))
	}
	if err == nil {
		_, err = st.Write(make([]byte, 1000))
	}
	if err = errors.Join(err, st.Close()); err != nil && l.Context().Err() == nil {
		t.Errorf("serve a module: %v", err)
	}
}

// TestKilledServerIsNoticedWithTheNextBeat, also by the first beat of a link: it is long enough for the answer that says so.
func TestKilledServerIsNoticedWithTheNextBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.serve(welcome())
		time.Sleep(time.Second) // packets take their time
		begun := time.Now()
		r.restart()
		r.serve(welcome())
		if took := time.Since(begun); took > 33*time.Second+reach.PauseMin+time.Second {
			t.Errorf("the device came back after %s", took)
		}
	})
}

// TestReturnIsSpread: devices whose server stops come back all over the time that it told them, and one that alone lost its link
// because of the protocol does not wait for the others.
func TestReturnIsSpread(t *testing.T) {
	const within = 40 * time.Second
	var first, last = time.Hour, time.Duration(0)
	for range 12 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			defer r.stop()
			w := welcome()
			w.Return = int64(within)
			l := r.serve(w)
			time.Sleep(time.Second) // packets take their time
			begun := time.Now()
			if err := l.Close(link.CodeShutdown, "the server stops"); err != nil {
				t.Fatal(err)
			}
			r.serve(w)
			took := time.Since(begun)
			first, last = min(first, took), max(last, took)
		})
	}
	if last > within+reach.PauseMin+time.Second || last-first < within/4 {
		t.Errorf("twelve devices came back from %s to %s", first, last)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		w := welcome()
		w.Return = int64(time.Hour) // more than a server may ask for
		l := r.serve(w)
		time.Sleep(time.Second) // packets take their time
		begun := time.Now()
		if err := l.Close(link.CodeDone, ""); err != nil {
			t.Fatal(err)
		}
		r.serve(w)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("a device on its own came back after %s", took)
		}
	})
}
