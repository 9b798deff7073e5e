package trust

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// The files of a folder of certificates.
const (
	CAFile    = "ca.pem"     // the region's CA certificate
	CAKeyFile = "ca-key.pem" // its private key; on the servers that sign only
	CertFile  = "cert.pem"
	KeyFile   = "key.pem"
)

// Material is what a peer needs to prove itself and to check others: the region's CA, its own certificate and key.
type Material struct {
	CA       *x509.Certificate
	Cert     *x509.Certificate
	Key      crypto.Signer
	Identity Identity

	pool *x509.CertPool
	// server is the certificate of the server that was last checked against the CA; see verifyServerOf.
	server atomic.Pointer[x509.Certificate]
}

// Source gives the material of the moment. A handshake asks for it each time, so that a renewed certificate is used
// without a restart; it must be cheap and safe for concurrent use.
type Source func() *Material

// Source returns a source that always gives m.
func (m *Material) Source() Source { return func() *Material { return m } }

// NewMaterial checks that the parts belong together.
func NewMaterial(ca, cert *x509.Certificate, key crypto.Signer) (*Material, error) {
	id, err := CertificateIdentity(cert)
	if err != nil {
		return nil, err
	}
	if !sameKey(cert.PublicKey, key.Public()) {
		return nil, fmt.Errorf("the certificate of %s and the private key do not belong together", id)
	}
	if err := cert.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("the certificate of %s is not signed by this CA (fingerprint %s): %w", id, Fingerprint(ca), err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &Material{CA: ca, Cert: cert, Key: key, Identity: id, pool: pool}, nil
}

func (m *Material) certificate(withCA bool) tls.Certificate {
	chain := [][]byte{m.Cert.Raw}
	if withCA {
		chain = append(chain, m.CA.Raw)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: m.Key, Leaf: m.Cert}
}

// Files are the PEM texts of a Material.
type Files struct{ CA, Cert, Key []byte }

// Files encodes the material.
func (m *Material) Files() (Files, error) {
	key, err := EncodeKey(m.Key)
	if err != nil {
		return Files{}, err
	}
	return Files{CA: EncodeCert(m.CA), Cert: EncodeCert(m.Cert), Key: key}, nil
}

// Material decodes the files; the error names the file that is wrong.
func (f Files) Material() (*Material, error) {
	ca, err := DecodeCert(f.CA)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CAFile, err)
	}
	cert, err := DecodeCert(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CertFile, err)
	}
	key, err := DecodeKey(f.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeyFile, err)
	}
	return NewMaterial(ca, cert, key)
}

// Save writes the files into a folder, which it makes (0700) if need be. The key goes first and the certificate last:
// a crash in between leaves a folder that LoadFolder refuses rather than one that half works.
func (f Files) Save(dir string) error {
	for _, part := range f.parts() {
		if err := WriteFile(filepath.Join(dir, part.name), part.data); err != nil {
			return err
		}
	}
	return nil
}

// LoadFolder reads the material of a folder, from its copy if there is one and the files are damaged. An error that wraps
// fs.ErrNotExist means that nobody joined yet.
func LoadFolder(dir string) (*Material, error) {
	m, err := loadFiles(dir)
	if err == nil || !joined(dir) {
		return m, err
	}
	if _, spare, cerr := loadCopy(dir); cerr == nil {
		return spare, nil
	}
	return nil, err
}

func loadFiles(dir string) (*Material, error) {
	var f Files
	for _, part := range []struct {
		name string
		to   *[]byte
	}{{CAFile, &f.CA}, {CertFile, &f.Cert}, {KeyFile, &f.Key}} {
		data, err := os.ReadFile(filepath.Join(dir, part.name))
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		*part.to = data
	}
	m, err := f.Material()
	if err != nil {
		return nil, fmt.Errorf("certificates in %s: %w", dir, err)
	}
	return m, nil
}

// SaveCA writes the authority's certificate and private key into a folder.
func SaveCA(dir string, ca *CA) error {
	key, err := EncodeKey(ca.Key)
	if err != nil {
		return err
	}
	if err := WriteFile(filepath.Join(dir, CAKeyFile), key); err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, CAFile), EncodeCert(ca.Cert))
}

// LoadCAFolder reads the authority of a folder. An error that wraps fs.ErrNotExist means that there is none.
func LoadCAFolder(dir string) (*CA, error) {
	certText, err := os.ReadFile(filepath.Join(dir, CAFile))
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	keyText, err := os.ReadFile(filepath.Join(dir, CAKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	cert, certErr := DecodeCert(certText)
	key, keyErr := DecodeKey(keyText)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("the CA in %s: %w", dir, err)
	}
	ca, err := LoadCA(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the CA in %s: %w", dir, err)
	}
	return ca, nil
}
