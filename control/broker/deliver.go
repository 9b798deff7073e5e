package broker

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Ready reports whether Dequeue would deliver.
func (b *Broker) Ready() bool { return len(b.ready) > 0 }

// Dequeue delivers the evaluation of the highest priority, of equal ones the one
// that has waited longest.
func (b *Broker) Dequeue(now int64) (Delivery, bool) {
	if len(b.ready) == 0 {
		return Delivery{}, false
	}
	it := b.ready[0]
	b.detach(it)
	b.lastToken++
	it.phase, it.token, it.newest, it.futile = running, b.lastToken, nil, 0
	it.deliveries++
	it.job.running = it
	b.tokens[it.token] = it
	b.setTimer(it, now+int64(b.cfg.NackTimeout))
	return Delivery{it.row, it.token, it.deliveries}, true
}

// Hold keeps a delivery from timing out while its plan is being committed. It
// reports false for a token that is no longer good, or held already.
func (b *Broker) Hold(t Token) bool {
	it := b.tokens[t]
	if it == nil || it.held {
		return false
	}
	it.held = true
	b.clearTimer(it)
	return true
}

// Release ends a hold; the delivery's time starts anew.
func (b *Broker) Release(t Token, now int64) {
	it := b.tokens[t]
	if it == nil || !it.held {
		return
	}
	it.held = false
	switch {
	case it.gone:
		b.drop(it)
	case it.nacked:
		b.retry(it, now)
	default:
		b.setTimer(it, now+int64(b.cfg.NackTimeout))
	}
}

// Ack ends a delivery. An evaluation that ended is gone from the view and with
// the next Sync from here; one that the view still has as it was delivered was
// acknowledged without an outcome, and is delivered again. The broker must have
// seen the view with the outcome before.
func (b *Broker) Ack(t Token, now int64) {
	it := b.tokens[t]
	if it == nil || it.held {
		return
	}
	if it.newest == nil {
		b.retry(it, now)
		return
	}
	b.stopRunning(it)
	it.row, it.newest, it.deliveries = it.newest, nil, 0
	b.lastAge++
	it.age, it.priority = b.lastAge, it.row.Priority
	b.classify(it, now)
}

// Nack gives an evaluation back, to be delivered again after a while.
func (b *Broker) Nack(t Token, now int64) {
	it := b.tokens[t]
	switch {
	case it == nil:
	case it.held:
		it.nacked = true
	default:
		b.retry(it, now)
	}
}

// Exhaust ends a delivery whose plans got nowhere: the evaluation fails and a
// delayed one follows it.
func (b *Broker) Exhaust(t Token, why string, now int64) {
	if it := b.tokens[t]; it != nil && !it.held {
		b.stopRunning(it)
		b.fail(it, fleet.TriggerMaxPlans, why, now)
		b.settle(it.job)
	}
}

// Futile counts a plan of a delivery that achieved nothing, and returns how many
// there were in a row.
func (b *Broker) Futile(t Token) int {
	it := b.tokens[t]
	if it == nil {
		return 0
	}
	it.futile++
	return it.futile
}

// Progress notes a plan of which something was committed.
func (b *Broker) Progress(t Token) {
	if it := b.tokens[t]; it != nil {
		it.futile = 0
	}
}

func (b *Broker) retry(it *item, now int64) {
	b.stopRunning(it)
	if it.newest != nil {
		it.row, it.newest = it.newest, nil
	}
	if it.deliveries >= b.cfg.DeliveriesMax {
		b.fail(it, fleet.TriggerFailed, fmt.Sprintf("it was delivered %d times and no worker finished it", it.deliveries), now)
	} else {
		b.delay(it, now+int64(b.cfg.RetryDelay))
	}
	b.settle(it.job)
}

// Tick takes back deliveries that timed out and lets go what was delayed.
func (b *Broker) Tick(now int64) {
	for len(b.timers) > 0 && b.timers[0].at <= now {
		it := b.timers[0].item
		if it.phase == running {
			b.retry(it, now)
			continue
		}
		b.detach(it)
		if it.row.Status == fleet.EvalBlocked && it.job.blocked == nil {
			b.block(it)
		} else {
			b.wait(it)
		}
		b.settle(it.job)
	}
}

// Next is when Tick has something to do.
func (b *Broker) Next() (int64, bool) {
	if len(b.timers) == 0 {
		return 0, false
	}
	return b.timers[0].at, true
}

// Outcomes hands over up to max evaluations to be stored: cancelled, failed, and
// those that follow failed ones.
func (b *Broker) Outcomes(max int) []state.Eval {
	n := min(max, len(b.outcomes))
	out := b.outcomes[:n:n]
	b.outcomes = b.outcomes[n:]
	return out
}

// HasOutcomes reports whether Outcomes would hand over something.
func (b *Broker) HasOutcomes() bool { return len(b.outcomes) > 0 }

func (b *Broker) cancel(it, by *item) {
	e := *it.row
	e.Status, e.Next = fleet.EvalCancelled, by.row.ID
	e.Description = "evaluation " + by.row.ID.String() + " of the same job covers it"
	it.phase = ending
	b.outcomes = append(b.outcomes, e)
}

func (b *Broker) fail(it *item, trigger, why string, now int64) {
	e := *it.row
	next := state.Eval{
		ID: followupID(e.ID), Namespace: e.Namespace, Job: e.Job, Type: e.Type, Trigger: trigger, Priority: e.Priority,
		Status: fleet.EvalPending, WaitUntil: now + int64(b.cfg.FollowupDelay), Prev: e.ID, JobIndex: e.JobIndex,
		CreateTime: now, ModifyTime: now,
		Description: "waits until " + time.Unix(0, now+int64(b.cfg.FollowupDelay)).UTC().Format(time.RFC3339),
	}
	e.Status, e.Description, e.Next, e.ModifyTime = fleet.EvalFailed, why, next.ID, now
	it.phase = ending
	b.outcomes = append(b.outcomes, e, next)
}

// followupID derives the ID instead of drawing one, so that two leaders that fail
// the same evaluation make the same successor, once.
func followupID(id fleet.UUID) fleet.UUID {
	sum := sha256.Sum256(append([]byte("evaluation follow-up "), id[:]...))
	return fleet.MintUUID([16]byte(sum[:16]))
}

func (b *Broker) setTimer(it *item, at int64) {
	it.timer.at = at
	if it.timer.pos >= 0 {
		heap.Fix(&b.timers, it.timer.pos)
		return
	}
	heap.Push(&b.timers, &it.timer)
}

func (b *Broker) clearTimer(it *item) {
	if it.timer.pos >= 0 {
		heap.Remove(&b.timers, it.timer.pos)
	}
}
