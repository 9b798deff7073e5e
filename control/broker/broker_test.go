package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"pgregory.net/rapid"
)

const second = int64(time.Second)

func uid(n int) fleet.UUID {
	return fleet.MintUUID([16]byte{15: byte(n), 14: byte(n >> 8)})
}

// open is a view's open evaluations, as far as a broker sees them.
type open struct {
	rows  []*state.Eval
	index uint64
}

func (o *open) put(e state.Eval) *state.Eval {
	o.index++
	e.ModifyIndex = o.index
	for i, old := range o.rows {
		if old.ID == e.ID {
			e.Key = old.Key
			o.rows = slices.Clone(o.rows)
			if e.Ended() {
				o.rows = slices.Delete(o.rows, i, i+1)
			} else {
				o.rows[i] = &e
			}
			return &e
		}
	}
	e.Key = state.EvalKey(o.index)
	if !e.Ended() {
		o.rows = append(slices.Clone(o.rows), &e)
	}
	return &e
}

func pending(id int, job string, priority int) state.Eval {
	return state.Eval{ID: uid(id), Namespace: "default", Job: fleet.JobID(job), Priority: priority, Status: fleet.EvalPending}
}

func (o *open) sync(b *Broker, now int64) { b.Sync(slices.Values(o.rows), now) }

func take(t *testing.T, b *Broker, now int64) Delivery {
	t.Helper()
	d, ok := b.Dequeue(now)
	if !ok {
		t.Fatal("nothing to deliver")
	}
	return d
}

func TestPriorityThenAge(t *testing.T) {
	var o open
	b := New(Config{})
	for i, p := range []int{50, 80, 50, 90} {
		o.put(pending(i, fmt.Sprint("job", i), p))
	}
	o.sync(b, 0)
	var got []fleet.JobID
	for b.Ready() {
		got = append(got, take(t, b, 0).Eval.Job)
	}
	if fmt.Sprint(got) != "[job3 job1 job0 job2]" {
		t.Fatalf("order %v", got)
	}
}

func TestNewestOfAJobStaysAndInherits(t *testing.T) {
	var o open
	b := New(Config{})
	o.put(pending(1, "a", 50))
	o.put(pending(2, "b", 60))
	o.put(pending(3, "a", 40))
	o.put(pending(4, "a", 70))
	o.sync(b, 0)
	if d := take(t, b, 0); d.Eval.ID != uid(4) {
		t.Fatalf("first is %s", d.Eval.ID)
	}
	out := b.Outcomes(10)
	if len(out) != 2 || out[0].Status != fleet.EvalCancelled || out[1].Status != fleet.EvalCancelled || out[1].Next != uid(4) {
		t.Fatalf("outcomes %+v", out)
	}
	for _, e := range out {
		o.put(e)
	}
	o.sync(b, 0)
	if b.Open() != 2 {
		t.Fatalf("%d open", b.Open())
	}
}

func TestDelayedIsNeverCancelledAndComesInTime(t *testing.T) {
	var o open
	b := New(Config{})
	e := pending(1, "a", 50)
	e.WaitUntil = 10 * second
	o.put(e)
	o.put(pending(2, "a", 50))
	o.sync(b, 0)
	d := take(t, b, 0)
	done := *d.Eval
	done.Status = fleet.EvalComplete
	o.put(done)
	o.sync(b, 0)
	b.Ack(d.Token, 0)
	if at, ok := b.Next(); !ok || at != 10*second || b.Ready() {
		t.Fatalf("next at %d, ready %v", at, b.Ready())
	}
	b.Tick(10 * second)
	if d := take(t, b, 10*second); d.Eval.ID != uid(1) || b.HasOutcomes() {
		t.Fatalf("delivered %s", d.Eval.ID)
	}
}

func TestDeliveryLimit(t *testing.T) {
	for name, lose := range map[string]func(b *Broker, d Delivery, now *int64){
		"timeout":                func(b *Broker, d Delivery, now *int64) { *now += int64(NackTimeout); b.Tick(*now) },
		"nack":                   func(b *Broker, d Delivery, now *int64) { b.Nack(d.Token, *now) },
		"ack without an outcome": func(b *Broker, d Delivery, now *int64) { b.Ack(d.Token, *now) },
		"nack while a plan is out": func(b *Broker, d Delivery, now *int64) {
			b.Hold(d.Token)
			b.Nack(d.Token, *now)
			b.Release(d.Token, *now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o open
			b, now := New(Config{}), int64(0)
			o.put(pending(1, "a", 50))
			o.sync(b, now)
			for i := range DeliveriesMax {
				d := take(t, b, now)
				if d.Attempt != i+1 {
					t.Fatalf("attempt %d, want %d", d.Attempt, i+1)
				}
				lose(b, d, &now)
				if b.Hold(d.Token) {
					t.Fatal("the old token is still good")
				}
				now += int64(RetryDelay)
				b.Tick(now)
			}
			out := b.Outcomes(10)
			if b.Ready() || len(out) != 2 || out[0].Status != fleet.EvalFailed || out[1].WaitUntil <= now || out[0].Next != out[1].ID {
				t.Fatalf("outcomes %+v", out)
			}
		})
	}
}

func TestHeldDeliveryDoesNotTimeOut(t *testing.T) {
	var o open
	b := New(Config{})
	o.put(pending(1, "a", 50))
	o.put(pending(2, "b", 50))
	o.sync(b, 0)
	d := take(t, b, 0)
	if !b.Hold(d.Token) || b.Hold(d.Token) {
		t.Fatal("a delivery is held once")
	}
	done := *d.Eval
	done.Status = fleet.EvalComplete
	o.put(done)
	o.put(pending(3, "a", 90))
	o.sync(b, 0)
	b.Tick(int64(time.Hour))
	if x := take(t, b, 0); x.Eval.Job != "b" || b.Ready() {
		t.Fatalf("%s delivered while a plan of a is out", x.Eval.ID)
	}
	b.Release(d.Token, 0)
	if x := take(t, b, 0); x.Eval.ID != uid(3) {
		t.Fatalf("then %s", x.Eval.ID)
	}
}

func TestBlocked(t *testing.T) {
	var o open
	b := New(Config{})
	e := pending(1, "a", 50)
	e.Status, e.Snapshot = fleet.EvalBlocked, 10
	o.put(e)
	e.ID, e.Snapshot = uid(2), 12
	o.put(e)
	o.sync(b, 0)
	out := b.Outcomes(10)
	if len(out) != 1 || out[0].ID != uid(1) || out[0].Status != fleet.EvalCancelled || b.Blocked() != 1 {
		t.Fatalf("the older blocked one was not cancelled: %+v", out)
	}
	b.Unblock(12)
	if b.Ready() {
		t.Fatal("woken by room it has seen")
	}
	b.Unblock(13)
	d := take(t, b, 0)
	if d.Eval.ID != uid(2) {
		t.Fatalf("woke %s", d.Eval.ID)
	}
	again := *d.Eval
	again.Snapshot = 12 // decided before the room of 13 came
	o.put(again)
	o.sync(b, 0)
	b.Ack(d.Token, 0)
	if d = take(t, b, 0); d.Eval.Snapshot != 12 {
		t.Fatal("room that came before it blocked is lost")
	}
	again.Snapshot = 13
	o.put(again)
	o.sync(b, 0)
	b.Ack(d.Token, 0)
	if b.Ready() || b.Blocked() != 1 {
		t.Fatal("it should wait for more room")
	}
}

// Whatever happens: one running evaluation per job, the best candidate first, and
// nothing is forgotten.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var o open
		b, now, n := New(Config{}), int64(0), 0
		runs := map[Token]*state.Eval{}
		live := func() map[fleet.JobID]Token {
			out := map[fleet.JobID]Token{}
			for tok, e := range runs {
				if b.tokens[tok] != nil {
					if old, two := out[e.Job]; two {
						rt.Fatalf("%s runs twice: %d and %d", e.Job, old, tok)
					}
					out[e.Job] = tok
				}
			}
			return out
		}
		any := func() (Token, *state.Eval) {
			var toks []Token
			for tok := range runs {
				toks = append(toks, tok)
			}
			slices.Sort(toks)
			tok := rapid.SampledFrom(toks).Draw(rt, "token")
			return tok, runs[tok]
		}
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			switch op := rapid.IntRange(0, 7).Draw(rt, "op"); {
			case op <= 1:
				n++
				e := pending(n, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "job"), rapid.IntRange(1, 3).Draw(rt, "priority"))
				switch rapid.IntRange(0, 3).Draw(rt, "kind") {
				case 0:
					e.WaitUntil = now + int64(rapid.IntRange(1, 20).Draw(rt, "wait"))*second
				case 1:
					e.Status, e.Snapshot = fleet.EvalBlocked, o.index
				}
				o.put(e)
			case op == 2:
				busy := live()
				d, ok := b.Dequeue(now)
				if !ok {
					break
				}
				if _, two := busy[d.Eval.Job]; two {
					rt.Fatalf("%s is running already", d.Eval.Job)
				}
				runs[d.Token] = d.Eval
			case op == 3 && len(runs) > 0: // its outcome is stored
				_, e := any()
				done := *e
				done.Status = fleet.EvalComplete
				o.put(done)
			case op == 4 && len(runs) > 0:
				tok, _ := any()
				b.Ack(tok, now)
			case op == 5 && len(runs) > 0:
				tok, _ := any()
				b.Nack(tok, now)
			case op == 6:
				now += int64(rapid.IntRange(1, 70).Draw(rt, "seconds")) * second
				b.Tick(now)
			case op == 7:
				b.Unblock(o.index + 1)
			}
			for _, e := range b.Outcomes(10) {
				o.put(e)
			}
			o.sync(b, now)
			live()
			if b.Open() != len(o.rows) {
				rt.Fatalf("%d evaluations are open, the broker has %d", len(o.rows), b.Open())
			}
		}
		finish(rt, b, &o, now)
	})
}

// finish works everything off.
func finish(rt *rapid.T, b *Broker, o *open, now int64) {
	for range 1000 {
		for _, e := range b.Outcomes(10) {
			o.put(e)
		}
		b.Unblock(o.index + 1)
		o.sync(b, now)
		if len(o.rows) == 0 {
			return
		}
		if d, ok := b.Dequeue(now); ok {
			best := d.Eval
			for _, e := range o.rows {
				it := b.items[e.ID]
				if it != nil && it.phase == waiting && it.job.running == nil && it.priority > b.items[best.ID].priority {
					rt.Fatalf("%s (%d) before %s (%d)", best.ID, best.Priority, e.ID, e.Priority)
				}
			}
			done := *d.Eval
			done.Status = fleet.EvalComplete
			o.put(done)
			o.sync(b, now)
			b.Ack(d.Token, now)
			continue
		}
		at, ok := b.Next()
		if !ok {
			rt.Fatalf("%d evaluations are open and nothing will ever happen", len(o.rows))
		}
		now = max(now, at)
		b.Tick(now)
	}
	rt.Fatal("it never empties")
}

// What each new view costs while a thousand evaluations are open.
func BenchmarkSync1000(b *testing.B) {
	var o open
	br := New(Config{})
	for i := range 1000 {
		o.put(pending(i, fmt.Sprint("job", i), 50))
	}
	for b.Loop() {
		o.sync(br, 0)
	}
}
