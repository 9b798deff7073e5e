package command

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// applyRegionFound founds once. Later only the epoch may rise, and only for the
// region itself: that is what a restore does.
func applyRegionFound(x *state.Txn, _ uint64, c RegionFound) (state.Region, error) {
	if c.ID.IsZero() || c.Name == "" {
		return state.Region{}, fmt.Errorf("%w: a region needs an ID and a name", ErrInvalid)
	}
	r := state.Region{ID: c.ID, Name: c.Name, Epoch: c.Epoch, CreatedAt: c.At}
	if old := x.Region(); !old.ID.IsZero() {
		if old.ID != c.ID || c.Epoch <= old.Epoch {
			return state.Region{}, fmt.Errorf("%w: %s (%s) at epoch %d", ErrFounded, old.Name, old.ID, old.Epoch)
		}
		r = old
		r.Epoch, r.Raised = c.Epoch, state.Raised{At: c.At, Reason: "the region was founded again"}
	}
	x.SetRegion(r)
	return r, nil
}

const digestPrefix = "sha256:"

func applyModulePut(x *state.Txn, index uint64, c ModulePut) (fleet.Module, error) {
	digest, ok := strings.CutPrefix(c.Module.Digest, digestPrefix)
	if raw, err := hex.DecodeString(digest); !ok || err != nil || len(raw) != 32 {
		return fleet.Module{}, fmt.Errorf("%w: %q is not a module's digest (%s and 64 hexadecimal digits)", ErrInvalid, c.Module.Digest, digestPrefix)
	}
	if c.Module.SizeBytes < 0 || c.Module.SizeBytes > fleet.ModuleBytesMax {
		return fleet.Module{}, fmt.Errorf("%w: module %s has %d bytes; at most %d", ErrInvalid, c.Module.Digest, c.Module.SizeBytes, fleet.ModuleBytesMax)
	}
	if old, ok := x.Module(c.Module.Digest); ok {
		return old, nil // the same bytes: what is known of them stands
	}
	c.Module.CreateIndex = index
	x.PutModule(c.Module)
	return c.Module, nil
}

// InviteStored is the result of [InvitePut].
type InviteStored struct{ Expired int } // how many expired invites were dropped

func applyInvitePut(x *state.Txn, _ uint64, c InvitePut) (InviteStored, error) {
	hash := c.Invite.TokenHash
	if hash == "" || len(hash) > wordMax {
		return InviteStored{}, fmt.Errorf("%w: an invite's token hash has %d bytes", ErrInvalid, len(hash))
	}
	if c.Invite.Count < 0 || c.Invite.Count > fleet.InviteCountMax {
		return InviteStored{}, fmt.Errorf("%w: an invite for %d devices; at most %d", ErrInvalid, c.Invite.Count, fleet.InviteCountMax)
	}
	if _, ok := x.Invite(hash); ok {
		return InviteStored{}, fmt.Errorf("invite: %w", ErrExists)
	}
	var expired []string
	open := 0
	for i := range x.Invites() {
		if i.ExpiresAt <= c.At {
			expired = append(expired, i.TokenHash)
		} else {
			open++
		}
	}
	if open >= fleet.InvitesMax {
		return InviteStored{}, fmt.Errorf("%w: %d are open", ErrInvitesFull, open)
	}
	for _, h := range expired {
		x.DeleteInvite(h)
	}
	x.PutInvite(c.Invite)
	return InviteStored{len(expired)}, nil
}

// applyInviteUse lets the node that spent the invite spend it again: its first
// answer may have been lost on the way.
func applyInviteUse(x *state.Txn, _ uint64, c InviteUse) (fleet.Invite, error) {
	i, ok := x.Invite(c.TokenHash)
	node := fleet.NodeID(c.Node.String())
	switch {
	case c.Node.IsZero():
		return fleet.Invite{}, fmt.Errorf("%w: the invite is used by no node", ErrInvalid)
	case !ok:
		return fleet.Invite{}, ErrNoSuchInvite
	case i.UsedBy == node:
		return i, nil
	case i.Left() == 0:
		return fleet.Invite{}, ErrInviteUsed
	case i.ExpiresAt <= c.At:
		return fleet.Invite{}, ErrInviteExpired
	}
	i.Uses = max(1, i.Count) - i.Left() + 1
	i.UsedBy, i.UsedAt = node, c.At
	x.PutInvite(i)
	return i, nil
}

// InviteRevoke takes an invite back.
type InviteRevoke struct{ TokenHash string }

func (InviteRevoke) code() byte { return codeInviteRevoke }

func (c InviteRevoke) append(b []byte) []byte { return codec.AppendString(b, c.TokenHash) }

func readInviteRevoke(r *codec.Reader) InviteRevoke {
	return InviteRevoke{TokenHash: r.String("a token's hash", wordMax)}
}

// applyInviteRevoke removes the row: nobody can spend what is not there, and
// those who joined by it stay.
func applyInviteRevoke(x *state.Txn, _ uint64, c InviteRevoke) (fleet.Invite, error) {
	i, ok := x.Invite(c.TokenHash)
	if !ok {
		return fleet.Invite{}, ErrNoSuchInvite
	}
	x.DeleteInvite(c.TokenHash)
	return i, nil
}
