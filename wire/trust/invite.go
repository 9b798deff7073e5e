package trust

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Limits of an invite.
const (
	InviteBytesMax     = 2048
	InviteAddressesMax = 8
	AddressBytesMax    = 261 // a host name of 255, a colon, a port
	TokenBytes         = 32
)

// TCPSuffix marks a server's address at which it serves links over TLS on TCP; an address without it is for QUIC.
const TCPSuffix = "/tcp"

const invitePrefix = "dunlin1."

// Invite is all that a device needs to enter a region. Whoever holds it can enter once, until it expires.
type Invite struct {
	Addresses   []string // host:port of servers, or host:port/tcp (see TCPSuffix), best first
	Fingerprint string   // of the region's CA
	Region      string
	Token       string
	Expires     time.Time // full seconds
}

type inviteJSON struct {
	Addresses   []string `json:"a"`
	Fingerprint string   `json:"f"`
	Region      string   `json:"r"`
	Token       string   `json:"t"`
	Expires     int64    `json:"e"`
}

// EncodeInvite returns the invite as one line that survives shells, chats and QR codes.
func EncodeInvite(in Invite) (string, error) {
	if err := in.validate(); err != nil {
		return "", fmt.Errorf("invite: %w", err)
	}
	text, err := json.Marshal(inviteJSON{in.Addresses, in.Fingerprint, in.Region, in.Token, in.Expires.Unix()})
	if err != nil {
		return "", fmt.Errorf("invite: %w", err)
	}
	s := invitePrefix + base64.RawURLEncoding.EncodeToString(text)
	if len(s) > InviteBytesMax {
		return "", fmt.Errorf("invite: %d bytes, at most %d; name fewer addresses", len(s), InviteBytesMax)
	}
	return s, nil
}

// ParseInvite reads an invite. White space is dropped, as terminals and mail programs break long lines. Whether it has
// expired is for the server to say: the device's clock may be wrong.
func ParseInvite(s string) (Invite, error) {
	in, err := parseInvite(s)
	if err != nil {
		return Invite{}, fmt.Errorf("invite: %w; copy the whole line that `dunlin node invite` printed", err)
	}
	return in, nil
}

func parseInvite(s string) (Invite, error) {
	if len(s) > 2*InviteBytesMax {
		return Invite{}, fmt.Errorf("%d bytes, at most %d", len(s), InviteBytesMax)
	}
	s = strings.Join(strings.Fields(s), "")
	if len(s) > InviteBytesMax {
		return Invite{}, fmt.Errorf("%d bytes, at most %d", len(s), InviteBytesMax)
	}
	body, ok := strings.CutPrefix(s, invitePrefix)
	if !ok {
		return Invite{}, fmt.Errorf("does not start with %q", invitePrefix)
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return Invite{}, fmt.Errorf("not readable (%w)", err)
	}
	var j inviteJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return Invite{}, fmt.Errorf("cut short or changed (%w)", err)
	}
	in := Invite{Addresses: j.Addresses, Fingerprint: j.Fingerprint, Region: j.Region, Token: j.Token, Expires: time.Unix(j.Expires, 0)}
	return in, in.validate()
}

func (in Invite) validate() error {
	if len(in.Addresses) == 0 || len(in.Addresses) > InviteAddressesMax {
		return fmt.Errorf("%d server addresses, want 1 to %d", len(in.Addresses), InviteAddressesMax)
	}
	for _, a := range in.Addresses {
		if err := validAddress(a); err != nil {
			return err
		}
	}
	if len(in.Fingerprint) != 2*sha256.Size || !lowerHex(in.Fingerprint) {
		return fmt.Errorf("CA fingerprint %q, want %d lower-case hexadecimal digits", clip(in.Fingerprint, 80), 2*sha256.Size)
	}
	if !validRegion(in.Region) {
		return fmt.Errorf("region %q, want 1 to %d lower-case letters, digits and inner hyphens", clip(in.Region, 80), RegionBytesMax)
	}
	if _, err := HashToken(in.Token); err != nil {
		return err
	}
	if in.Expires.Unix() <= 0 {
		return errors.New("no expiry")
	}
	return nil
}

func validAddress(a string) error {
	host, port, err := net.SplitHostPort(strings.TrimSuffix(a, TCPSuffix))
	if err != nil || host == "" || len(a) > AddressBytesMax {
		return fmt.Errorf("server address %q, want host:port or host:port/tcp", clip(a, AddressBytesMax))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("server address %q: port %q, want 1 to 65535", a, port)
	}
	return nil
}

func lowerHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// TokenHash is what a server keeps of a token: its SHA-256, in lower-case hexadecimal. Looking a token up by its hash
// needs no constant-time comparison, as an attacker cannot choose the hash.
type TokenHash string

// NewToken draws a single-use join token of 256 random bits and its hash.
func NewToken() (string, TokenHash, error) {
	var raw [TokenBytes]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", "", fmt.Errorf("draw a token: %w", err)
	}
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	hash, err := HashToken(token)
	return token, hash, err
}

// HashToken checks a token's form and returns its hash. The error does not repeat the token: it may be a real one with
// a typing error, and errors end up in logs.
func HashToken(token string) (TokenHash, error) {
	want := base64.RawURLEncoding.EncodedLen(TokenBytes)
	// The length first: the decoder skips line ends, and one token must have one spelling.
	if len(token) != want {
		return "", fmt.Errorf("join token: %d characters, want %d", len(token), want)
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(raw) != TokenBytes {
		return "", fmt.Errorf("join token: want %d characters of base64url", want)
	}
	sum := sha256.Sum256([]byte(token))
	return TokenHash(hex.EncodeToString(sum[:])), nil
}
