package fleet

import "strings"

// Invite is a permission to join, once or a counted number of times, as the
// region stores it: never the token itself, only its hash.
type Invite struct {
	TokenHash  string // sha256 of the token, hexadecimal
	Name       string `json:",omitempty"` // the name the device gets, if chosen
	Datacenter string `json:",omitempty"`
	Pool       string `json:",omitempty"` // the node pool of those that join
	Role       string `json:",omitempty"` // InviteRoleNode or InviteRoleGateway; empty: a node
	CreatedAt  int64  // Unix nanoseconds
	ExpiresAt  int64  // Unix nanoseconds
	Count      int    `json:",omitempty"` // how many may join; 0: one
	Uses       int    `json:",omitempty"` // how many have joined
	UsedBy     NodeID `json:",omitempty"` // the last of them
	UsedAt     int64  `json:",omitempty"`
}

// Limits of invites.
const (
	InvitesMax     = 100_000 // unexpired ones in a region
	InviteCountMax = 100_000 // devices per invite
	InviteIDBytes  = 12      // of the token's hash, which name an invite to people
)

// What those that join by an invite become.
const (
	InviteRoleNode    = "node"
	InviteRoleGateway = "gateway"
)

// ID is the beginning of the token's hash, by which people name an invite. It
// says nothing about the token.
func (i *Invite) ID() string { return i.TokenHash[:min(InviteIDBytes, len(i.TokenHash))] }

// Left is how many may still join, expiry apart.
func (i *Invite) Left() int {
	uses := i.Uses
	if uses == 0 && i.UsedBy != "" {
		uses = 1 // written before uses were counted
	}
	return max(0, max(1, i.Count)-uses)
}

// Named reports whether people may mean this invite by a prefix of its ID.
func (i *Invite) Named(prefix string) bool {
	return len(prefix) >= InviteIDBytesMin && strings.HasPrefix(i.TokenHash, prefix)
}

// InviteIDBytesMin is the shortest prefix that names an invite.
const InviteIDBytesMin = 4
