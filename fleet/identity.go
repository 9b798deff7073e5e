package fleet

import "strings"

// What a region thinks of a device's identity.
const (
	StandingApproved    = "approved"
	StandingQuarantined = "quarantined" // linked, and given nothing new
	StandingRevoked     = "revoked"     // cut off for good
)

// Limits of an identity.
const (
	PeerBytesMax           = 160 // kind, slash and ID of a certificate
	StandingReasonBytesMax = 512
)

// NodeIdentity is what a region knows of one certificate's holder, apart from
// what it reports about itself. It is there from the join on, before the node's
// row, and it outlives its certificates.
type NodeIdentity struct {
	Peer          string     // "node/UUID" or "gateway/ID", as in the certificate
	KeyHash       string     // SHA-256 of the public key, lower-case hexadecimal
	CertExpiresAt int64      // of the newest certificate known, Unix nanoseconds
	Standing      string     // StandingApproved, StandingQuarantined or StandingRevoked
	Reason        string     `json:",omitempty"` // of a standing that is not approved
	StandingAt    int64      `json:",omitempty"` // Unix nanoseconds of its last change
	Rival         *NodeClone `json:",omitempty"`
}

// NodeClone is another machine that was refused because it came with the
// identity of a device that was linked and answered at the time.
type NodeClone struct {
	Addr   string // it came from
	Linked string // the address of the device that kept the link
	At     int64  // Unix nanoseconds
}

// PeerOfNode is a node's name in [NodeIdentity].
func PeerOfNode(id UUID) string { return "node/" + id.String() }

// PeerOfGateway is a gateway's name in [NodeIdentity].
func PeerOfGateway(id string) string { return "gateway/" + id }

// GatewayOfPeer is the ID of a gateway by its name in [NodeIdentity]; false for a node's.
func GatewayOfPeer(peer string) (id string, ok bool) { return strings.CutPrefix(peer, "gateway/") }

// Trusted reports whether new work may go to the device. A device without a
// record, from before records were kept, may have it.
func (i *NodeIdentity) Trusted() bool { return i == nil || i.Standing == StandingApproved }

// Revoked reports whether the device was cut off for good.
func (i *NodeIdentity) Revoked() bool { return i != nil && i.Standing == StandingRevoked }
