package fleet

// Invite is a single-use permission to join, as the region stores it: never the
// token itself, only its hash.
type Invite struct {
	TokenHash  string // sha256 of the token, hexadecimal
	Name       string `json:",omitempty"` // the name the device gets, if chosen
	Datacenter string `json:",omitempty"`
	CreatedAt  int64  // Unix nanoseconds
	ExpiresAt  int64  // Unix nanoseconds
	UsedBy     NodeID `json:",omitempty"`
	UsedAt     int64  `json:",omitempty"`
}

// InvitesMax bounds unexpired invites in a region.
const InvitesMax = 100_000
