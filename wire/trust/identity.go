package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Kind is what a certificate's holder is.
type Kind string

// The kinds of peers.
const (
	KindServer   Kind = "server"   // a control process of the region
	KindNode     Kind = "node"     // a device
	KindOperator Kind = "operator" // a person or a program that administers the region
	KindGateway  Kind = "gateway"  // a link that speaks for many devices
)

// Limits of the parts of an identity, in bytes. A region is also a host name label, hence 63.
const (
	RegionBytesMax = 63
	IDBytesMax     = 128
)

// ErrNoIdentity says that a certificate carries no spiffe URI.
var ErrNoIdentity = errors.New("the certificate names no identity (no spiffe:// URI in its subject alternative names)")

// Identity names one peer of one region. The zero value is "nobody yet": the peer of a join link.
type Identity struct {
	Region string
	Kind   Kind
	ID     string
}

// IsZero reports whether the identity names nobody.
func (i Identity) IsZero() bool { return i == Identity{} }

// Peer is the identity without its region: KIND/ID.
func (i Identity) Peer() string { return string(i.Kind) + "/" + i.ID }

// String is the URI form, or "nobody" for the zero value.
func (i Identity) String() string {
	if i.IsZero() {
		return "nobody"
	}
	return "spiffe://" + i.Region + "/" + string(i.Kind) + "/" + i.ID
}

// Format returns the URI form, or an error that names the part that is not valid.
func (i Identity) Format() (string, error) {
	if err := i.Validate(); err != nil {
		return "", err
	}
	return i.String(), nil
}

// Validate checks each part: a region of lower-case letters, digits and inner hyphens; a known kind; an ID of letters,
// digits and "._-". The sets are small on purpose: the parts end up in file names, log lines and URLs.
func (i Identity) Validate() error {
	if !validRegion(i.Region) {
		return fmt.Errorf("region %q: use 1 to %d lower-case letters, digits and inner hyphens", i.Region, RegionBytesMax)
	}
	switch i.Kind {
	case KindServer, KindNode, KindOperator, KindGateway:
	default:
		return fmt.Errorf("kind %q: use server, node, operator or gateway", string(i.Kind))
	}
	if !validID(i.ID) {
		return fmt.Errorf("%s id %q: use 1 to %d letters, digits, dots, underscores and hyphens", i.Kind, i.ID, IDBytesMax)
	}
	return nil
}

// ParseIdentity reads the URI form. It accepts exactly what Format writes: no query, fragment, port, user, escapes or
// trailing slash, so that two different strings never mean the same peer.
func ParseIdentity(s string) (Identity, error) {
	rest, ok := strings.CutPrefix(s, "spiffe://")
	if !ok {
		return Identity{}, fmt.Errorf("identity %q does not start with spiffe://", s)
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 3 {
		return Identity{}, fmt.Errorf("identity %q: want spiffe://REGION/KIND/ID", s)
	}
	id := Identity{Region: parts[0], Kind: Kind(parts[1]), ID: parts[2]}
	if err := id.Validate(); err != nil {
		return Identity{}, fmt.Errorf("identity %q: %w", s, err)
	}
	return id, nil
}

// CertificateIdentity reads the identity out of a certificate. Exactly one URI must be there: with two, the reader's
// choice would decide who the peer is.
func CertificateIdentity(cert *x509.Certificate) (Identity, error) {
	switch len(cert.URIs) {
	case 0:
		return Identity{}, ErrNoIdentity
	case 1:
		return ParseIdentity(cert.URIs[0].String())
	default:
		return Identity{}, fmt.Errorf("the certificate carries %d URIs; want one", len(cert.URIs))
	}
}

func (i Identity) url() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: i.Region, Path: "/" + string(i.Kind) + "/" + i.ID}
}

func validRegion(s string) bool {
	if len(s) == 0 || len(s) > RegionBytesMax || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if !lowerOrDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

func validID(s string) bool {
	if len(s) == 0 || len(s) > IDBytesMax || s == "." || s == ".." {
		return false
	}
	for _, c := range []byte(s) {
		if !lowerOrDigit(c) && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func lowerOrDigit(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
