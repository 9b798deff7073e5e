package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// Backdate is how far before its making a certificate becomes valid, so that peers whose clocks differ a little accept
// it at once.
const Backdate = 10 * time.Minute

// SerialBits is the size of a certificate's random serial number.
const SerialBits = 127

const (
	pemCertificate = "CERTIFICATE"
	pemPrivateKey  = "PRIVATE KEY"
)

// CA signs the certificates of one region.
type CA struct {
	Region string
	Cert   *x509.Certificate
	Key    crypto.Signer
}

// NewKey makes a private key. ECDSA P-256 rather than Ed25519: the same certificates serve HTTPS, and browsers, older
// OpenSSL builds and Java clients still refuse Ed25519 there.
func NewKey() (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a private key: %w", err)
	}
	return key, nil
}

// NewCA makes a region's authority, valid from a little before now for validFor.
func NewCA(region string, now time.Time, validFor time.Duration) (*CA, error) {
	if !validRegion(region) {
		return nil, fmt.Errorf("region %q: use 1 to %d lower-case letters, digits and inner hyphens", region, RegionBytesMax)
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template, err := template("dunlin CA "+region, now, validFor)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true // it signs peers, never another authority
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.URIs = []*url.URL{{Scheme: "spiffe", Host: region}}
	cert, err := create(template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &CA{Region: region, Cert: cert, Key: key}, nil
}

// Fingerprint is the lower-case hexadecimal SHA-256 of the CA certificate's DER form.
func (ca *CA) Fingerprint() string { return Fingerprint(ca.Cert) }

// Fingerprint is the lower-case hexadecimal SHA-256 of a certificate's DER form.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Sign makes a certificate for a public key. It is valid from Backdate before now until now+ttl, never longer than the
// CA itself. dnsNames and ips matter to HTTPS clients only; Dunlin's own links do not look at them.
func (ca *CA) Sign(pub crypto.PublicKey, id Identity, now time.Time, ttl time.Duration, dnsNames []string, ips []net.IP) (*x509.Certificate, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if id.Region != ca.Region {
		return nil, fmt.Errorf("cannot sign %s: this is the CA of region %q", id, ca.Region)
	}
	if ttl <= 0 {
		return nil, fmt.Errorf("cannot sign %s for %s: the lifetime must be positive", id, ttl)
	}
	template, err := template(string(id.Kind)+" "+id.ID, now, ttl)
	if err != nil {
		return nil, err
	}
	if template.NotAfter.After(ca.Cert.NotAfter) {
		template.NotAfter = ca.Cert.NotAfter
	}
	if !template.NotAfter.After(now) {
		return nil, fmt.Errorf("cannot sign %s: the CA of region %q expired on %s", id, ca.Region, day(ca.Cert.NotAfter))
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if id.Kind == KindServer {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	template.URIs = []*url.URL{id.url()}
	template.DNSNames = dnsNames
	template.IPAddresses = ips
	return create(template, ca.Cert, pub, ca.Key)
}

// Issue makes a key and a certificate for it in one step.
func (ca *CA) Issue(id Identity, now time.Time, ttl time.Duration, dnsNames []string, ips []net.IP) (*Material, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Sign(key.Public(), id, now, ttl, dnsNames, ips)
	if err != nil {
		return nil, err
	}
	return NewMaterial(ca.Cert, cert, key)
}

func template(name string, now time.Time, validFor time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), SerialBits))
	if err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: clip(name, 64)}, // X.520 allows 64
		NotBefore:    now.Add(-Backdate).UTC(),
		NotAfter:     now.Add(validFor).UTC(),
	}, nil
}

func create(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %q: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the certificate of %q: %w", template.Subject.CommonName, err)
	}
	return cert, nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// EncodeCert returns a certificate as PEM.
func EncodeCert(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: cert.Raw})
}

// DecodeCert reads the first certificate of a PEM text.
func DecodeCert(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not a PEM text (no -----BEGIN line)")
	}
	if block.Type != pemCertificate {
		return nil, fmt.Errorf("PEM block is %q; want %q", block.Type, pemCertificate)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	return cert, nil
}

// EncodeKey returns a private key as PKCS #8 PEM.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivateKey, Bytes: der}), nil
}

// DecodeKey reads a private key in PKCS #8 PEM, or in the "EC PRIVATE KEY" form that openssl writes.
func DecodeKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not a PEM text (no -----BEGIN line)")
	}
	if block.Type == "EC PRIVATE KEY" {
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read the private key: %w", err)
		}
		return key, nil
	}
	if block.Type != pemPrivateKey {
		return nil, fmt.Errorf("PEM block is %q; want %q", block.Type, pemPrivateKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", parsed)
	}
	return key, nil
}

// LoadCA puts an authority together from its certificate and key; the region is read from the certificate.
func LoadCA(cert *x509.Certificate, key crypto.Signer) (*CA, error) {
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Scheme != "spiffe" || !validRegion(cert.URIs[0].Host) {
		return nil, errors.New("not the certificate of a Dunlin CA (want a CA certificate with one URI spiffe://REGION); make one with: dunlin tls ca create")
	}
	if !sameKey(cert.PublicKey, key.Public()) {
		return nil, errors.New("the CA's certificate and private key do not belong together")
	}
	return &CA{Region: cert.URIs[0].Host, Cert: cert, Key: key}, nil
}

func sameKey(a, b crypto.PublicKey) bool {
	eq, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && eq.Equal(b)
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
