package command

import (
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestRevokedIsForGood(t *testing.T) {
	w := newWorld(t)
	w.node(1)
	w.job("a", "service", 1)
	w.place("a", w.store.View().NodeByID(uid(1)).Key, 1)
	peer := fleet.PeerOfNode(uid(1))
	do[fleet.NodeIdentity](w, IdentitySeen{Peer: peer, KeyHash: "k", ExpiresAt: 50, At: 1})
	got := do[StandingSet](w, IdentityStanding{Peer: peer, Standing: fleet.StandingRevoked, Reason: "stolen", At: 5})
	row := w.store.View().NodeByID(uid(1))
	if !got.Changed || len(got.Evals) != 1 || row.Ready() || row.Link != fleet.LinkLost || row.View().Identity.Reason != "stolen" {
		t.Errorf("revoked: %+v, %+v", got, row)
	}
	w.refuse(IdentityStanding{Peer: peer, Standing: fleet.StandingApproved}, ErrRevoked)
	w.refuse(IdentityStanding{Peer: peer, Standing: fleet.StandingQuarantined}, ErrRevoked)
	w.refuse(IdentitySeen{Peer: peer, KeyHash: "k", ExpiresAt: 90, Renewal: true}, ErrRevoked)
	w.refuse(NodeRegister{ID: uid(1), Spec: nodeSpec("n", 4000)}, ErrRevoked)
	// A last beat that comes after the revocation does not bring it back.
	do[LinksChanged](w, NodeLinks{Changes: []LinkChange{{uid(1), fleet.LinkOnline, ""}}})
	if row := w.store.View().NodeByID(uid(1)); row.Link != fleet.LinkLost {
		t.Errorf("the link is %s", row.Link)
	}
}

func TestQuarantineTakesNoWorkAndEnds(t *testing.T) {
	w := newWorld(t)
	w.node(1)
	peer := fleet.PeerOfNode(uid(1))
	w.refuse(IdentityStanding{Peer: fleet.PeerOfNode(uid(9)), Standing: fleet.StandingQuarantined}, ErrNoSuchNode)
	w.refuse(IdentityStanding{Peer: peer, Standing: "odd"}, ErrInvalid)
	do[StandingSet](w, IdentityStanding{Peer: peer, Standing: fleet.StandingQuarantined, Reason: "odd", At: 5})
	row := w.store.View().NodeByID(uid(1))
	if row.Ready() || row.Link != fleet.LinkOnline || row.View().SchedulingEligibility != fleet.NodeIneligible {
		t.Errorf("quarantined: %+v", row)
	}
	// It registers, as its link is up, and that does not end the quarantine.
	do[NodeRegistered](w, NodeRegister{ID: uid(1), Spec: nodeSpec("n", 4000)})
	if w.store.View().NodeByID(uid(1)).Ready() {
		t.Error("registering ended the quarantine")
	}
	do[StandingSet](w, IdentityStanding{Peer: peer, Standing: fleet.StandingApproved, At: 6})
	if row := w.store.View().NodeByID(uid(1)); !row.Ready() || row.CapacityAt != w.index {
		t.Errorf("approved: %+v", row)
	}
	if again := do[StandingSet](w, IdentityStanding{Peer: peer, Standing: fleet.StandingApproved, At: 7}); again.Changed {
		t.Error("approving twice changed something")
	}
}

func TestRenewalNeedsTheKnownKey(t *testing.T) {
	w := newWorld(t)
	peer := fleet.PeerOfNode(uid(1))
	w.refuse(IdentitySeen{Peer: peer, KeyHash: "k", Renewal: true}, ErrUnknownKey)
	w.refuse(IdentitySeen{Peer: "operator/ann", KeyHash: "k"}, ErrInvalid)
	w.refuse(IdentitySeen{Peer: "node/x", KeyHash: "k"}, ErrInvalid)
	do[fleet.NodeIdentity](w, IdentitySeen{Peer: peer, KeyHash: "k", ExpiresAt: 10, At: 1})
	w.refuse(IdentitySeen{Peer: peer, KeyHash: "other", Renewal: true}, ErrUnknownKey)
	if i := do[fleet.NodeIdentity](w, IdentitySeen{Peer: peer, KeyHash: "k", ExpiresAt: 20, Renewal: true, At: 2}); i.CertExpiresAt != 20 || i.StandingAt != 1 {
		t.Errorf("renewed: %+v", i)
	}
	// The CA's signature on a certificate that is valid now is worth more than what is known.
	if i := do[fleet.NodeIdentity](w, IdentitySeen{Peer: peer, KeyHash: "other", ExpiresAt: 30, At: 3}); i.KeyHash != "other" {
		t.Errorf("a new certificate: %+v", i)
	}
}

func TestClonesAreNotedUntilApproved(t *testing.T) {
	w := newWorld(t)
	w.node(1)
	peer := fleet.PeerOfNode(uid(1))
	do[fleet.NodeIdentity](w, IdentityClone{peer, fleet.NodeClone{Addr: "10.0.0.9:1", Linked: "10.0.0.2:1", At: 4}})
	row := w.store.View().NodeByID(uid(1))
	if row.Identity.Rival.Addr != "10.0.0.9:1" || !row.Ready() {
		t.Errorf("the device that keeps the link: %+v", row.Identity)
	}
	do[StandingSet](w, IdentityStanding{Peer: peer, Standing: fleet.StandingApproved})
	if r := w.store.View().Identity(peer).Rival; r != nil {
		t.Errorf("approving left %+v", r)
	}
}

func TestMultiUseInvites(t *testing.T) {
	w := newWorld(t)
	do[InviteStored](w, InvitePut{Invite: fleet.Invite{TokenHash: "aa", ExpiresAt: 100, Count: 3}, At: 1})
	for n := 1; n <= 3; n++ {
		if i := do[fleet.Invite](w, InviteUse{TokenHash: "aa", Node: uid(n), At: 2}); i.Uses != n || i.Left() != 3-n {
			t.Errorf("use %d: %+v", n, i)
		}
		do[fleet.Invite](w, InviteUse{TokenHash: "aa", Node: uid(n), At: 2}) // its answer was lost
	}
	w.refuse(InviteUse{TokenHash: "aa", Node: uid(4), At: 2}, ErrInviteUsed)
	w.refuse(InvitePut{Invite: fleet.Invite{TokenHash: "bb", Count: fleet.InviteCountMax + 1, ExpiresAt: 9}}, ErrInvalid)
	do[InviteStored](w, InvitePut{Invite: fleet.Invite{TokenHash: "cc", ExpiresAt: 100, Count: 3}, At: 1})
	do[fleet.Invite](w, InviteRevoke{TokenHash: "cc"})
	w.refuse(InviteUse{TokenHash: "cc", Node: uid(1), At: 2}, ErrNoSuchInvite)
	w.refuse(InviteRevoke{TokenHash: "cc"}, ErrNoSuchInvite)
}

func TestOldInvitesCountTheirUse(t *testing.T) {
	i := fleet.Invite{UsedBy: "x"} // as stored before uses were counted
	if i.Left() != 0 {
		t.Errorf("a spent invite of old lets %d in", i.Left())
	}
	if i := (fleet.Invite{}); i.Left() != 1 {
		t.Errorf("a fresh invite of old lets %d in", i.Left())
	}
}
