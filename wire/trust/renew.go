package trust

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// A certificate is renewed for the key it has: the handshake of the very link
// that asks proves its possession, the key's file never changes on disk, and a
// lost answer costs nothing, as the old certificate goes with the same key.
// Rejected: a new key at each renewal. Its file and the certificate's cannot be
// replaced at once, and a device whose answer was lost would hold a key that
// the region has already forgotten.

// renewSpread is how far apart, as a part of their lives, certificates that were
// made together are renewed.
const renewSpread = 10

// KeyHash names the public key of a certificate: the lower-case hexadecimal
// SHA-256 of its PKIX form.
func KeyHash(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// RenewAt is when a certificate is to be renewed: when two thirds of its life
// are over, give or take a twentieth of it, which is spread by its random serial
// number. A fleet that joined in one hour does not come back in one hour.
func RenewAt(cert *x509.Certificate) time.Time {
	life := cert.NotAfter.Sub(cert.NotBefore)
	sum := sha256.Sum256(cert.SerialNumber.Bytes())
	part := time.Duration(uint16(sum[0])<<8 | uint16(sum[1])) // of 65,536
	return cert.NotBefore.Add(life*2/3 - life/(2*renewSpread) + life/renewSpread/(1<<16)*part)
}

// RenewEarliest is before which a server renews no certificate: half its life.
func RenewEarliest(cert *x509.Certificate) time.Time {
	return cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 2)
}

// Keeper holds the material of the moment and puts a renewed certificate on disk
// before it is used. It is safe for concurrent use.
type Keeper struct {
	dir     string
	mu      sync.Mutex // one renewal at a time
	current atomic.Pointer[Material]
}

// NewKeeper keeps m, whose files are in dir; an empty dir keeps it in memory only.
func NewKeeper(m *Material, dir string) *Keeper {
	k := &Keeper{dir: dir}
	k.current.Store(m)
	return k
}

// Source gives the material of the moment.
func (k *Keeper) Source() Source { return k.current.Load }

// Material is the material of the moment.
func (k *Keeper) Material() *Material { return k.current.Load() }

// Renewed takes a new certificate of the same key and identity into use: on disk
// first, atomically, then for the next handshake. Links stay as they are. One
// that does not fit is refused with the reason and changes nothing.
func (k *Keeper) Renewed(cert *x509.Certificate) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.current.Load()
	m, err := NewMaterial(old.CA, cert, old.Key)
	switch {
	case err != nil:
		return fmt.Errorf("the new certificate: %w", err)
	case m.Identity != old.Identity:
		return fmt.Errorf("the new certificate is of %s, and this is %s", m.Identity, old.Identity)
	case !cert.NotAfter.After(old.Cert.NotAfter):
		return fmt.Errorf("the new certificate ends on %s, not after the old one (%s)", day(cert.NotAfter), day(old.Cert.NotAfter))
	}
	if k.dir != "" {
		f, err := m.Files()
		if err != nil {
			return err
		}
		// The copy is replaced first, so that of the two one is whole at any time.
		if err := WriteFile(filepath.Join(k.dir, CopyFile), f.together()); err != nil {
			return err
		}
		if err := WriteFile(filepath.Join(k.dir, CertFile), EncodeCert(cert)); err != nil {
			return err
		}
	}
	k.current.Store(m)
	return nil
}

// verifyOnce checks the certificate of a device that wants to renew it: signed
// by this region's CA and good for a client, at the end of its own life. Whether
// that life is over is no question here, and whether its key is known and not
// revoked is one for the log.
func verifyOnce(cs tls.ConnectionState, m *Material) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the client showed no certificate")
	}
	leaf := cs.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: m.pool, CurrentTime: leaf.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return err
	}
	id, err := CertificateIdentity(leaf)
	if err != nil {
		return err
	}
	return Admit(ProtocolRenew, m.Identity.Region, id)
}
