package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/memnet"
	"github.com/dunlin-edge/dunlin/wire/quicnet"
)

// inBubble is a region and its devices on a network in memory, whose time passes when all wait.
func inBubble(t *testing.T) *region {
	t.Helper()
	network, devices := memnet.New(1, memnet.Conditions{Delay: 5 * time.Millisecond}), byte(1)
	return newRegionOver(t, func(addr string, o quicnet.Options) (*quicnet.Endpoint, error) {
		if addr == "" {
			devices++
			addr = fmt.Sprintf("10.0.0.%d:0", devices)
		}
		s, err := network.Listen(netip.MustParseAddrPort(addr))
		if err != nil {
			return nil, err
		}
		return quicnet.Over(s, o)
	}, "10.0.0.1:4647", 4096)
}

// long gives a node so many jobs that what it is told does not fit what a link takes unread.
func (r *region) long(t *testing.T, node fleet.UUID) {
	t.Helper()
	for n := range byte(8) {
		r.placeTask(t, node, fleet.UUID{100 + n}, fleet.JobID(fmt.Sprintf("long-%d", n)), fleet.Task{
			Name: "t", Driver: "raw_exec", Config: []byte(`{"command":"true"}`), Meta: map[string]string{"text": strings.Repeat("x", 200<<10)},
		})
	}
}

// alive sends beats until the link ends.
func (d *device) alive() {
	for seq := uint64(1); ; seq++ {
		if err := d.link.SendDatagram(wire.EncodeDatagram(&wire.Beat{Node: d.id, Seq: seq})); err != nil {
			return
		}
		select {
		case <-d.link.Context().Done():
			return
		case <-time.After(10 * time.Second):
		}
	}
}

// obeys acknowledges what it is told until the stream ends.
func (d *device) obeys(pushed link.Stream) {
	for {
		var m wire.Desired
		if wire.Read(pushed, &m) != nil || wire.Write(pushed, &wire.DesiredAck{Gen: m.Gen}) != nil {
			return
		}
	}
}

// TestASlowDeviceIsCutAndHoldsNobodyUp: a device beats, and takes one byte per second of what it is told, or takes it and never says
// so. Its link ends after what patience allows, in words; another device is told and heard meanwhile as ever.
func TestASlowDeviceIsCutAndHoldsNobodyUp(t *testing.T) {
	for name, read := range map[string]func(st link.Stream){
		"a byte per second": func(st link.Stream) {
			for b := make([]byte, 1); ; time.Sleep(time.Second) {
				if _, err := st.Read(b); err != nil {
					return
				}
			}
		},
		"nothing":                   func(link.Stream) {},
		"all, and says nothing":     func(st link.Stream) { _, _ = io.Copy(io.Discard, st) },
		"the first message, halved": func(st link.Stream) { _, _ = io.CopyN(io.Discard, st, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inBubble(t)
				slow, other := r.node(t, fleet.UUID{7}), r.node(t, fleet.UUID{8})
				r.propose(t, &command.NodeRegister{ID: slow.id, Spec: []byte(`{"Name":"slow"}`), At: time.Now().UnixNano()})
				r.long(t, slow.id)
				begun := time.Now()
				_, pushed := slow.register(wire.Register{})
				go slow.alive()
				go read(pushed)
				_, told := other.register(wire.Register{})
				other.desired(told) // nothing yet
				go other.alive()
				for n := range byte(5) { // while the slow one is waited for
					r.place(t, other.id, fleet.UUID{200 + n}, fleet.JobID(fmt.Sprintf("quick-%d", n)))
					from := time.Now()
					if m := other.desired(told); len(m.Allocs) != 1 || time.Since(from) > time.Second {
						t.Errorf("another device was told of %d allocations after %s", len(m.Allocs), time.Since(from))
					}
					time.Sleep(4 * time.Second)
				}
				<-slow.link.Context().Done()
				c, closed := link.Closed(context.Cause(slow.link.Context()))
				took := time.Since(begun)
				if !closed || c.Code != link.CodeInternal || !strings.Contains(c.Reason, "could not be told") || took < AckTimeout {
					t.Errorf("after %s the link ended with %v", took, context.Cause(slow.link.Context()))
				}
				if most := 2*patience(8*(200<<10)+64<<10) + time.Minute; took > most {
					t.Errorf("a slow device was kept for %s; want at most %s", took, most)
				}
				synctest.Wait()
				if !strings.Contains(r.said.String(), "push to device ended") {
					t.Errorf("the server's log: %s", r.said)
				}
				if other.link.Context().Err() != nil {
					t.Errorf("another device's link: %v", context.Cause(other.link.Context()))
				}
				bye(t, slow, other)
			})
		})
	}
}

// TestASlowFetchGivesItsPlaceToOthers: a device takes a module slowly. It may, as long as places are free; when others wait it is given
// up after its turn, and goes on later from where it was. One that takes nothing is given up in any case.
func TestASlowFetchGivesItsPlaceToOthers(t *testing.T) {
	const perSecond = 8 << 10
	for name, c := range map[string]struct {
		full, reads bool
		code        link.Code
		after, most time.Duration // until it is given up; 0: it is not
	}{
		"slow, and places are free": {false, true, 0, 0, 0},
		"slow, and none is free":    {true, true, link.CodeBusy, ModuleTurn, ModuleTurn + time.Minute},
		"nothing is taken":          {false, false, link.CodeProtocol, AckTimeout, patience(FormPieceBytes) + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inBubble(t)
				module := make([]byte, 4<<20)
				r.Modules = shelf{moduleA: module}
				d := r.node(t, fleet.UUID{7})
				_, pushed := d.register(wire.Register{})
				go d.alive()
				go d.obeys(pushed)
				r.placeModule(t, d.id, fleet.UUID{42}, "own", moduleA)
				for range cap(r.modules) - 1 {
					if c.full {
						r.modules <- struct{}{}
					}
				}
				st := d.open(wire.KindModule)
				d.send(st, &wire.ModuleRequest{Digest: moduleA})
				var answer wire.ModuleAnswer
				d.read(st, &answer)
				d.send(st, &wire.ModuleFrom{})
				begun := time.Now()
				if err := st.SetReadDeadline(begun.Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
				if !c.reads { // until the server has given up
					time.Sleep(c.most)
				}
				var got int64
				var err error
				for err == nil {
					var n int64
					n, err = io.CopyN(io.Discard, st, perSecond)
					got += n
					time.Sleep(time.Second)
				}
				reset, isReset := errors.AsType[*link.ResetError](err)
				took := time.Since(begun)
				switch {
				case c.after == 0 && (!errors.Is(err, io.EOF) || got != int64(len(module))):
					t.Errorf("%d of %d bytes came in %s: %v", got, len(module), took, err)
				case c.after > 0 && (!isReset || reset.Code != c.code || took < c.after || c.reads && took > c.most):
					t.Errorf("after %s and %d bytes: %v", took, got, err)
				}
				synctest.Wait()
				if want := map[bool]int{true: cap(r.modules) - 1}[c.full]; len(r.modules) != want {
					t.Errorf("%d places are taken; want %d", len(r.modules), want)
				}
				if d.link.Context().Err() != nil {
					t.Errorf("the link ended: %v", context.Cause(d.link.Context()))
				}
				bye(t, d)
			})
		})
	}
}

func bye(t *testing.T, devices ...*device) {
	t.Helper()
	for _, d := range devices {
		if err := d.link.Close(link.CodeDone, ""); err != nil {
			t.Error(err)
		}
	}
}
