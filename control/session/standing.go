package session

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of questions of identity.
const (
	// ProbeTimeout is how long an earlier link of a node has to answer before a new
	// one from another place takes over. A machine that was rebooted waits so long
	// to be linked again; a slow link that needs longer is replaced, and comes back.
	ProbeTimeout = 3 * time.Second
	// CloneNoteEvery is how often the log notes the same clone again.
	CloneNoteEvery = time.Hour
)

// revoked closes the link of a peer that was cut off.
func (k *session) revoked(node fleet.UUID) bool {
	v := k.Store.View()
	for _, peer := range []string{k.link.Peer().Peer(), fleet.PeerOfNode(node)} {
		if i := v.Identity(peer); i.Revoked() {
			k.refused(RefusedStanding, fmt.Errorf("%s was revoked: %s", peer, i.Reason))
			_ = k.link.Close(link.CodeRevoked, revokedWords(i))
			return true
		}
	}
	return false
}

func revokedWords(i *fleet.NodeIdentity) string {
	reason := i.Reason
	if reason == "" {
		reason = "no reason was given"
	}
	return fmt.Sprintf("this device was revoked (%s); to let it in again, run dunlin node invite and join anew", reason)
}

// cutRevoked ends the links of peers at the moment they are revoked.
func (s *Sessions) cutRevoked(ctx context.Context) {
	for {
		wake := s.Store.Watch(state.TopicRevoked)
		v := s.Store.View()
		cut := map[*session]*fleet.NodeIdentity{}
		s.mu.Lock()
		for node, k := range s.links {
			for _, peer := range []string{fleet.PeerOfNode(node), k.link.Peer().Peer()} {
				if i := v.Identity(peer); i.Revoked() {
					cut[k] = i
				}
			}
		}
		s.mu.Unlock()
		for k, i := range cut { // not above: a link over TCP waits for its peer a while before it ends, and all others would wait with it
			_ = k.link.Close(link.CodeRevoked, revokedWords(i))
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// note records the certificate that a device came with, if the log does not know
// it: those made by hand are first seen here. An older one than the log knows,
// of the same key, is one whose successor the device did not get.
func (k *session) note(ctx context.Context) error {
	leaf, peer := k.link.PeerCertificates()[0], k.link.Peer().Peer()
	hash, expires := trust.KeyHash(leaf), leaf.NotAfter.UnixNano()
	if old := k.Store.View().Identity(peer); old != nil && old.KeyHash == hash && old.CertExpiresAt >= expires {
		return nil
	}
	_, err := k.Log.Propose(ctx, &command.IdentitySeen{Peer: peer, KeyHash: hash, ExpiresAt: expires, At: k.Now().UnixNano()})
	return err
}

// clone says why the link may not speak for the node: another machine, from
// another place or with another key, is linked as this node and answers. Without
// an answer the earlier link is one that broke, or of a machine that was
// restarted, and is replaced.
func (k *session) clone(ctx context.Context, node, place fleet.UUID) error {
	k.Sessions.mu.Lock()
	old := k.links[node]
	k.Sessions.mu.Unlock()
	if old == nil || old == k || old.placeOf(node) == place && trust.KeyHash(old.link.PeerCertificates()[0]) == trust.KeyHash(k.link.PeerCertificates()[0]) {
		return nil
	}
	if !old.answers(ctx, node) {
		return nil
	}
	k.noteClone(ctx, node, old)
	why := fmt.Errorf("another machine, at %s, is linked as this node and answers: this one, at %s, carries a copy of its identity "+
		"(an image of a disk?); make it a device of its own with: dunlin agent generalize, then join", old.link.RemoteAddr(), k.link.RemoteAddr())
	k.refused(RefusedStanding, why)
	return why
}

// placeOf is where a node of this link said that it runs.
func (k *session) placeOf(node fleet.UUID) fleet.UUID {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.places[node]
}

// answers asks the device at the end of a link whether it is there.
func (k *session) answers(ctx context.Context, node fleet.UUID) bool {
	ctx, cancel := context.WithTimeout(ctx, ProbeTimeout)
	defer cancel()
	st, err := k.link.OpenStream(ctx)
	if err != nil {
		return false
	}
	defer context.AfterFunc(ctx, func() { st.Reset(link.CodeCanceled) })()
	defer st.Close()
	if err := say(st, &wire.Header{Kind: wire.KindProbe, Node: node}); err != nil {
		return false
	}
	var answer wire.ProbeAnswer
	return wire.Read(st, &answer) == nil && answer.Place == k.placeOf(node)
}

// noteClone lets node status show both addresses. A clone comes back each minute
// from ever new ports; the log need not hear of each time.
func (k *session) noteClone(ctx context.Context, node fleet.UUID, old *session) {
	clone := fleet.NodeClone{Addr: k.link.RemoteAddr().String(), Linked: old.link.RemoteAddr().String(), At: k.Now().UnixNano()}
	peer := fleet.PeerOfNode(node)
	if i := k.Store.View().Identity(peer); i != nil && i.Rival != nil && host(i.Rival.Addr) == host(clone.Addr) &&
		clone.At-i.Rival.At < int64(CloneNoteEvery) {
		return
	}
	if _, err := k.Log.Propose(ctx, &command.IdentityClone{Peer: peer, Clone: clone}); err != nil {
		k.Logger.Warn("a second machine with one identity could not be noted", "node", node, "error", err)
	}
}

func host(addr string) string {
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return h
}

// renew answers one request for a new certificate.
func (k *session) renew(ctx context.Context, st link.Stream) error {
	if err := said(st, &wire.RenewRequest{}); err != nil {
		return err
	}
	answer := &wire.RenewAnswer{Error: "this server has no CA key (tls { } brings certificates); renew this device's certificate with: dunlin tls cert create"}
	if k.Renewer != nil {
		answer = k.Renewer.Renew(ctx, k.link.Peer(), k.link.PeerCertificates()[0])
	}
	if err := say(st, answer); err != nil {
		return err
	}
	return st.CloseWrite()
}
