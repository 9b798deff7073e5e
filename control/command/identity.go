package command

import (
	"fmt"
	"strings"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// IdentitySeen records the key and the end of a certificate: at a join, at the
// first contact of a device whose certificate was made by hand, at a renewal.
type IdentitySeen struct {
	Peer      string // "node/UUID" or "gateway/ID"
	KeyHash   string
	ExpiresAt int64 // of the certificate, Unix nanoseconds
	Renewal   bool  // only for the key that is known; otherwise the CA's signature decides
	At        int64
}

// IdentityStanding approves, quarantines or revokes. A revoked node counts as
// lost at once, and each job with work on it gets an evaluation, whose IDs are
// minted from Seed.
type IdentityStanding struct {
	Peer     string
	Standing string
	Reason   string
	At       int64
	Seed     [32]byte
}

// IdentityClone records that a second machine came with an identity.
type IdentityClone struct {
	Peer  string
	Clone fleet.NodeClone
}

func (IdentitySeen) code() byte { return codeIdentitySeen }

func (c IdentitySeen) append(b []byte) []byte {
	b = codec.AppendInt(codec.AppendString(codec.AppendString(b, c.Peer), c.KeyHash), c.ExpiresAt)
	return codec.AppendInt(codec.AppendBool(b, c.Renewal), c.At)
}

func readIdentitySeen(r *codec.Reader) IdentitySeen {
	return IdentitySeen{
		Peer: r.String("a peer", fleet.PeerBytesMax), KeyHash: r.String("a key's hash", wordMax), ExpiresAt: r.Int(),
		Renewal: r.Bool(), At: r.Int(),
	}
}

func (IdentityStanding) code() byte { return codeIdentityStanding }

func (c IdentityStanding) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(codec.AppendString(b, c.Peer), c.Standing), c.Reason)
	return append(codec.AppendInt(b, c.At), c.Seed[:]...)
}

func readIdentityStanding(r *codec.Reader) IdentityStanding {
	return IdentityStanding{
		Peer: r.String("a peer", fleet.PeerBytesMax), Standing: r.String("a standing", wordMax),
		Reason: r.String("a reason", fleet.StandingReasonBytesMax), At: r.Int(), Seed: readSeed(r),
	}
}

func (IdentityClone) code() byte { return codeIdentityClone }

func (c IdentityClone) append(b []byte) []byte {
	b = codec.AppendString(codec.AppendString(codec.AppendString(b, c.Peer), c.Clone.Addr), c.Clone.Linked)
	return codec.AppendInt(b, c.Clone.At)
}

func readIdentityClone(r *codec.Reader) IdentityClone {
	return IdentityClone{Peer: r.String("a peer", fleet.PeerBytesMax), Clone: fleet.NodeClone{
		Addr: r.String("an address", wordMax), Linked: r.String("an address", wordMax), At: r.Int(),
	}}
}

func validPeer(peer string) error {
	kind, id, ok := strings.Cut(peer, "/")
	if !ok || id == "" || kind != "node" && kind != "gateway" {
		return fmt.Errorf("%w: %q is not a device's name (node/UUID or gateway/ID)", ErrInvalid, peer)
	}
	if kind == "node" {
		if _, err := fleet.ParseUUID(id); err != nil {
			return fmt.Errorf("%w: %q: %v", ErrInvalid, peer, err)
		}
	}
	return nil
}

func applyIdentitySeen(x *state.Txn, index uint64, c IdentitySeen) (fleet.NodeIdentity, error) {
	if err := validPeer(c.Peer); err != nil {
		return fleet.NodeIdentity{}, err
	}
	next := fleet.NodeIdentity{Peer: c.Peer, Standing: fleet.StandingApproved, StandingAt: c.At}
	if old := x.Identity(c.Peer); old != nil {
		next = *old
	} else if c.Renewal {
		return fleet.NodeIdentity{}, fmt.Errorf("%s: %w", c.Peer, ErrUnknownKey)
	}
	switch {
	case next.Revoked():
		return fleet.NodeIdentity{}, fmt.Errorf("%s: %w", c.Peer, ErrRevoked)
	case c.Renewal && next.KeyHash != c.KeyHash:
		return fleet.NodeIdentity{}, fmt.Errorf("%s: %w", c.Peer, ErrUnknownKey)
	}
	if next.KeyHash != c.KeyHash || next.CertExpiresAt != c.ExpiresAt {
		next.KeyHash, next.CertExpiresAt = c.KeyHash, c.ExpiresAt
		x.PutIdentity(&next, index)
	}
	return next, nil
}

// StandingSet is the result of [IdentityStanding].
type StandingSet struct {
	Changed bool
	Evals   []fleet.UUID
}

// applyIdentityStanding: revoking is for good. A way back would make a stolen
// device's return depend on nobody making a mistake; it joins again instead.
func applyIdentityStanding(x *state.Txn, index uint64, c IdentityStanding) (StandingSet, error) {
	if err := validPeer(c.Peer); err != nil {
		return StandingSet{}, err
	}
	node := nodeOf(x, c.Peer)
	old := x.Identity(c.Peer)
	switch {
	case c.Standing != fleet.StandingApproved && c.Standing != fleet.StandingQuarantined && c.Standing != fleet.StandingRevoked:
		return StandingSet{}, fmt.Errorf("%w: unknown standing %q", ErrInvalid, c.Standing)
	case old == nil && node == nil:
		return StandingSet{}, fmt.Errorf("%s: %w", c.Peer, ErrNoSuchNode)
	case old.Revoked() && c.Standing != fleet.StandingRevoked:
		return StandingSet{}, fmt.Errorf("%s: %w", c.Peer, ErrRevoked)
	}
	next := fleet.NodeIdentity{Peer: c.Peer, Standing: fleet.StandingApproved}
	if old != nil {
		next = *old
	}
	if next.Standing == c.Standing && next.Reason == c.Reason && (next.Rival == nil || c.Standing != fleet.StandingApproved) {
		return StandingSet{}, nil
	}
	next.Standing, next.Reason, next.StandingAt = c.Standing, c.Reason, c.At
	if c.Standing == fleet.StandingApproved {
		next.Rival = nil
	}
	x.PutIdentity(&next, index)
	m := newMinter(x, index, c.At, c.Seed)
	if node != nil {
		settleStanding(m, node)
	}
	return StandingSet{Changed: true, Evals: m.ids}, nil
}

// settleStanding lets the scheduler know: a node that is trusted again can take
// work, and what a revoked one ran is placed elsewhere without waiting for the
// lost clock.
func settleStanding(m *minter, old *state.Node) {
	row := m.x.NodeByID(old.ID)
	switch {
	case row.Identity.Revoked() && row.Link != fleet.LinkLost:
		changeLink(m, row, LinkChange{Node: row.ID, Link: fleet.LinkLost, Reason: "its identity was revoked"})
	case !old.Ready() && row.Ready():
		n := *row
		n.CapacityAt = m.index
		evaluatePerNode(m, m.x.PutNode(n, m.index), nil)
	}
}

func nodeOf(x *state.Txn, peer string) *state.Node {
	id, ok := strings.CutPrefix(peer, "node/")
	if !ok {
		return nil
	}
	u, err := fleet.ParseUUID(id)
	if err != nil {
		return nil
	}
	return x.NodeByID(u)
}

func applyIdentityClone(x *state.Txn, index uint64, c IdentityClone) (fleet.NodeIdentity, error) {
	if err := validPeer(c.Peer); err != nil {
		return fleet.NodeIdentity{}, err
	}
	next := fleet.NodeIdentity{Peer: c.Peer, Standing: fleet.StandingApproved}
	if old := x.Identity(c.Peer); old != nil {
		next = *old
	}
	clone := c.Clone
	next.Rival = &clone
	x.PutIdentity(&next, index)
	return next, nil
}
