package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/desired"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// session is one link of one device, or of a gateway that speaks for many.
type session struct {
	*Sessions
	link    link.Link
	wg      sync.WaitGroup
	mu      sync.Mutex
	nodes   map[fleet.UUID]bool // registered on this link
	telling map[fleet.UUID]bool // whose facts have a stream
	places  map[fleet.UUID]fleet.UUID
	streams chan struct{} // counts streams being handled
	guard   guard         // what this link tried and may not
	slow    atomic.Bool   // that it was too slow is in the server's log
	counted map[fleet.UUID]counting
	setup   traffic.Count // what the link had carried when it was accepted
	pushers []*pusher
	ended   bool // no pusher may start

	ear  sync.Mutex
	deaf bool // the link has ended: a beat that is found on it is no sign of life any more
}

func (s *Sessions) serveLink(server context.Context, l link.Link) {
	k := &session{
		Sessions: s, link: l, streams: make(chan struct{}, StreamsPerLink), setup: l.Stats().Sides(), nodes: map[fleet.UUID]bool{},
		telling: map[fleet.UUID]bool{}, places: map[fleet.UUID]fleet.UUID{}, counted: map[fleet.UUID]counting{},
	}
	ctx := l.Context() // the link's end ends everything on it
	leave := func() {
		if server.Err() != nil {
			_ = l.Close(link.CodeShutdown, s.parting().Reason("the server stops"))
			return
		}
		_ = l.Close(link.CodeDone, "")
	}
	stopServer := context.AfterFunc(server, leave) // and the server's end the link
	late := time.AfterFunc(RegisterTimeout, func() {
		if k.registered() == 0 {
			_ = l.Close(link.CodeProtocol, "no registration in time")
		}
	})
	k.listen(ctx)
	k.accept(ctx)
	late.Stop()
	leave()
	k.stopListening()
	k.stopPushing()
	k.wg.Wait()
	stopServer()
	k.settleAll()
	k.farewell(context.Cause(l.Context()))
}

func (k *session) registered() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.nodes)
}

func (k *session) farewell(why error) {
	reason := "the link ended"
	if why != nil && !errors.Is(why, context.Canceled) {
		reason = why.Error()
	}
	for node := range k.nodes {
		if k.leave(node, k) {
			k.Liveness.LinkDown(node, reason)
			k.Logger.Info("device gone", "node", node, "reason", reason)
		}
	}
}

func (k *session) accept(ctx context.Context) {
	for {
		st, err := k.link.AcceptStream(ctx)
		if err != nil {
			return
		}
		select {
		case k.streams <- struct{}{}:
		default:
			st.Reset(link.CodeBusy)
			continue
		}
		k.wg.Go(func() {
			defer func() { <-k.streams }()
			k.stream(ctx, st)
		})
	}
}

// stream reads the header, checks whom it speaks for, and serves its kind.
func (k *session) stream(ctx context.Context, raw link.Stream) {
	st := link.Count(raw)
	defer st.Close()
	var h wire.Header
	_ = st.SetReadDeadline(time.Now().Add(RegisterTimeout))
	if err := said(st, &h); err != nil {
		k.broken(ctx, st, fmt.Errorf("stream header: %w", err))
		return
	}
	_ = st.SetReadDeadline(time.Time{})
	if err := k.mayspeak(h.Node); err != nil {
		k.refused(RefusedForeignNode, err)
		_ = k.link.Close(link.CodeRefused, err.Error())
		return
	}
	st.Assign(k.counts(h.Node).live, h.Kind.Class())
	if err := k.serve(ctx, st, h); err != nil && !errors.Is(err, io.EOF) {
		k.broken(ctx, st, err)
	}
}

// broken gives a stream up. What the device itself said wrong is counted; a link
// or a stream that ended is not.
func (k *session) broken(ctx context.Context, st link.Stream, err error) {
	if ctx.Err() != nil {
		return
	}
	say := k.Logger.Debug
	if errors.Is(err, os.ErrDeadlineExceeded) && k.slow.CompareAndSwap(false, true) {
		say = k.Logger.Warn // the first of a link only, as with refusals
	}
	say("a stream of a device is given up", "peer", k.link.Peer(), "error", err)
	if _, bad := errors.AsType[*nonsense](err); bad || errors.Is(err, command.ErrInvalid) {
		k.refused(RefusedNonsense, err)
	}
	st.Reset(link.CodeProtocol)
}

func (k *session) mayspeak(node fleet.UUID) error {
	peer := k.link.Peer()
	if peer.Kind == trust.KindGateway || peer.ID == node.String() {
		return nil
	}
	return fmt.Errorf("the certificate is for node %s, the stream speaks for %s", peer.ID, node)
}

func (k *session) serve(ctx context.Context, st link.Stream, h wire.Header) error {
	if h.Kind == wire.KindRegister {
		return k.register(ctx, st, h.Node)
	}
	k.mu.Lock()
	known := k.nodes[h.Node]
	k.mu.Unlock()
	if !known {
		return k.deny(st, RefusedUnregistered, fmt.Errorf("node %s has not registered on this link", h.Node))
	}
	switch h.Kind {
	case wire.KindStatus:
		return k.status(ctx, st, h.Node)
	case wire.KindRenew:
		return k.renew(ctx, st)
	case wire.KindModule:
		return k.module(ctx, st, h.Node)
	case wire.KindFacts:
		return k.facts(ctx, st, h.Node)
	}
	return k.deny(st, RefusedKind, fmt.Errorf("devices do not open streams of kind %d", h.Kind))
}

// register commits what the agent reports, answers, and starts the push.
func (k *session) register(ctx context.Context, st link.Stream, node fleet.UUID) error {
	var m wire.Register
	if err := said(st, &m); err != nil {
		return err
	}
	if !k.mayRegister(node) {
		return k.deny(st, RefusedTooOften, fmt.Errorf("node %s registers too often; at most %d times at once and then every %s", node, RegistersBurst, RegisterEvery))
	}
	welcome := wire.Welcome{
		RegionID: k.Store.View().Region().ID, ServerTime: k.Now().UnixNano(), BeatEvery: int64(k.BeatEvery), ServerName: k.ServerName,
		Return: int64(k.comeBack(k.Store.View().NodeCount()).Max),
	}
	if k.revoked(node) {
		return nil
	}
	cmd := command.NodeRegister{ID: node, Spec: m.Spec, Addr: k.link.RemoteAddr().String(), At: k.Now().UnixNano()}
	changes, err := k.checkRegister(&m, &cmd)
	if err == nil {
		err = k.clone(ctx, node, m.Place)
	}
	if err == nil {
		err = k.settleEpoch(ctx, node, &m)
	}
	welcome.Epoch = k.Store.View().Region().Epoch
	if err != nil {
		welcome.Refusal = err.Error()
		if err := say(st, &welcome); err != nil {
			return err
		}
		return st.CloseWrite() // the device ends the link once it has read why
	}
	if changes {
		_, _ = rand.Read(cmd.Seed[:])
		if _, err := k.Log.Propose(ctx, &cmd); err != nil {
			return fmt.Errorf("register: %w", err)
		}
	}
	if err := k.note(ctx); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	k.mu.Lock()
	again := k.nodes[node]
	k.nodes[node], k.places[node] = true, m.Place
	k.mu.Unlock()
	if err := say(st, &welcome); err != nil {
		return err
	}
	k.Liveness.LinkUp(node)
	if !again { // one that registers anew on a live link has its push
		k.enter(node, k)
		if k.revoked(node) { // between the first look and the entry
			return nil
		}
		base, _ := desired.Base(k.Store.View(), &m)
		if err := k.startPush(ctx, node, base); err != nil {
			return err
		}
		k.wg.Go(func() { k.tellServers(ctx, node) })
		k.Logger.Info("device registered", "node", node, "address", k.link.RemoteAddr(), "transport", k.link.Transport(), "held", m.Held)
	}
	return nil
}

// settleEpoch raises the region's epoch when the device holds what the region
// never told: it was taken back to an older state, and until its epoch says so
// every device would refuse it.
func (k *session) settleEpoch(ctx context.Context, node fleet.UUID, m *wire.Register) error {
	v := k.Store.View()
	if _, beyond := desired.Base(v, m); !beyond {
		return nil
	}
	cmd := command.EpochRaise{Epoch: v.Region().Epoch, Node: node, Held: m.Held, Mark: m.Mark, At: k.Now().UnixNano()}
	result, err := k.Log.Propose(ctx, &cmd)
	if err != nil {
		return fmt.Errorf("this region does not know what the device holds (%s), and its epoch cannot be raised now: %w", m.Held, err)
	}
	if r, ok := result.(command.EpochRaised); ok && r.Raised {
		k.Logger.Warn("the region was taken back to an older state: its epoch is raised; what devices run and the region does not know keeps running as orphans",
			"epoch", r.Epoch, "node", node, "held", m.Held, "index", v.Index())
	}
	return nil
}

// checkRegister says whether the registration changes anything, or why the device may not work here.
func (k *session) checkRegister(m *wire.Register, cmd *command.NodeRegister) (changes bool, err error) {
	v := k.Store.View()
	if region := v.Region().ID; !m.RegionID.IsZero() && m.RegionID != region {
		return false, fmt.Errorf("the device belongs to region %s, this is %s; to move it, stop its agent and remove its data folder", m.RegionID, region)
	}
	if changes, err = cmd.Changes(v); err != nil {
		k.refused(RefusedNonsense, err)
		return false, fmt.Errorf("this device's description: %w", err)
	}
	return changes, nil
}

// tellServers says, once per link, where the region is.
func (k *session) tellServers(ctx context.Context, node fleet.UUID) {
	if k.Servers == nil {
		return
	}
	m := wire.Servers{Addresses: k.Servers()}
	st, err := k.link.OpenStream(ctx)
	if err != nil {
		return // the link has ended
	}
	defer st.Close()
	if err := say(st, &wire.Header{Kind: wire.KindServers, Node: node}, &m); err != nil && ctx.Err() == nil {
		k.Logger.Debug("the list of servers was not told", "node", node, "error", err)
	}
}
