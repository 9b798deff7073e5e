package fleet

import (
	"encoding/hex"
	"fmt"
)

// Typed identifiers, so that one cannot be passed for another.
type (
	// NodeID names a device; it is the ID in its certificate.
	NodeID string
	// AllocID names an allocation.
	AllocID string
	// EvalID names an evaluation.
	EvalID string
	// DeploymentID names the rollout of a job's version.
	DeploymentID string
	// JobID names a job within its namespace; the user chooses it.
	JobID string
)

// DefaultNamespace is where a job lives that names no namespace.
const DefaultNamespace = "default"

// UUID is the 16-byte form in which node, allocation and evaluation IDs are
// stored and sent. The API shows it as 36 characters.
type UUID [16]byte

// String formats u as lower-case 8-4-4-4-12 hexadecimal.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	b[8] = '-'
	hex.Encode(b[9:13], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:18], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:23], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:36], u[10:16])
	return string(b[:])
}

// IsZero reports whether u is the zero UUID, which names nothing.
func (u UUID) IsZero() bool { return u == UUID{} }

// MintUUID shapes 16 random bytes into a version 4 UUID (RFC 9562). The caller
// brings the randomness: cores mint from a seed, shells from the system.
func MintUUID(random [16]byte) UUID {
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	return UUID(random)
}

// ParseUUID reads the 36-character form; upper case is accepted.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("%q is not a UUID (want 8-4-4-4-12 hexadecimal digits)", s)
	}
	compact := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(u[:], []byte(compact)); err != nil {
		return UUID{}, fmt.Errorf("%q is not a UUID: %w", s, err)
	}
	return u, nil
}

// ShortID is the first eight characters of an ID, as shown in tables.
func ShortID[T ~string](id T) string {
	if len(id) > 8 {
		return string(id[:8])
	}
	return string(id)
}
