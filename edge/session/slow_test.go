package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/edge/session"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// big is a batch that no window takes as a whole.
func big(seq uint64) *wire.StatusBatch {
	b := &wire.StatusBatch{Seq: seq}
	for n := range 2000 {
		b.Allocs = append(b.Allocs, wire.AllocStatus{ID: fleet.UUID{byte(n), byte(n >> 8)}, Status: fleet.ClientRunning, Description: strings.Repeat("x", 1000)})
	}
	return b
}

// TestAServerThatReadsNoStatusesIsLeft: a server keeps a link and takes no statuses, or some bytes of them. The device goes on beating
// and obeying, leaves it after StatusAckTimeout, and tells the next link.
func TestAServerThatReadsNoStatusesIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		batch *wire.StatusBatch
		read  func(st link.Stream)
		most  time.Duration
	}{
		"a long batch, of which nothing is read": {big(1), func(link.Stream) {}, session.StatusAckTimeout},
		"a long batch, read by the byte": {big(1), func(st link.Stream) {
			for b := make([]byte, 1); ; time.Sleep(time.Second) {
				if _, err := st.Read(b); err != nil {
					return
				}
			}
		}, session.StatusAckTimeout},
		"a batch that is not acknowledged": {&wire.StatusBatch{Seq: 1}, func(st link.Stream) {
			var b wire.StatusBatch
			_ = wire.Read(st, &b)
		}, session.StatusAckTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				l := r.serve(welcome())
				time.Sleep(time.Second) // packets take their time
				begun := time.Now()
				r.device.send(c.batch)
				st, _ := r.stream(l)
				go c.read(st)
				beats := make(chan int)
				go func() {
					n := 0
					for ; ; n++ {
						if _, err := l.ReceiveDatagram(t.Context()); err != nil {
							beats <- n
							return
						}
					}
				}()
				told := r.open(l, wire.KindDesired, &wire.Desired{Gen: wire.Generation{Epoch: 1, N: 6}})
				var ack wire.DesiredAck
				if err := wire.Read(told, &ack); err != nil || ack.Gen.N != 6 || time.Since(begun) > time.Second {
					t.Errorf("obeyed %+v after %s: %v", ack, time.Since(begun), err)
				}
				<-l.Context().Done()
				if took := time.Since(begun); took > c.most+10*time.Second {
					t.Errorf("the link was kept for %s", took)
				}
				e, closed := link.Closed(context.Cause(l.Context()))
				if !closed || !strings.Contains(e.Reason, "statuses") {
					t.Errorf("the link ended with %v", context.Cause(l.Context()))
				}
				if n := <-beats; n < 3 {
					t.Errorf("%d beats came meanwhile", n)
				}
				again := r.serve(welcome())
				time.Sleep(time.Second) // packets take their time
				r.device.send(&wire.StatusBatch{Seq: 2})
				status, _ := r.stream(again)
				var b wire.StatusBatch
				if err := errors.Join(wire.Read(status, &b), wire.Write(status, &wire.StatusAck{Seq: b.Seq})); err != nil || b.Seq != 2 {
					t.Errorf("batch %d on the next link: %v", b.Seq, err)
				}
			})
		})
	}
}
