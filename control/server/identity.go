package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Lives of what a server makes for itself.
const (
	caTTL        = 20 * 365 * 24 * time.Hour
	serverTTL    = 2 * 365 * 24 * time.Hour
	renewBefore  = 60 * 24 * time.Hour // checked at each start and each renewCheck
	renewCheck   = 24 * time.Hour
	tokenBytes   = 32
	tokenFile    = "management.token"
	secretFile   = "quic.secret"
	tokenFileMax = 1 << 10
)

// identity is who this server is, and what it signs with.
type identity struct {
	ca     *trust.CA // nil when the operator brought certificates without the CA's key
	keeper *trust.Keeper
	secret [trust.SecretBytes]byte
	token  string
}

// loadIdentity reads the server's folder and makes what is missing: a CA, a
// certificate, the secret of the socket, the management token.
func loadIdentity(c *Config) (*identity, error) {
	id := &identity{}
	dir := filepath.Join(c.DataDir, "tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if id.secret, err = trust.LoadSecret(filepath.Join(c.DataDir, secretFile)); err != nil {
		return nil, err
	}
	if id.token, err = loadToken(filepath.Join(c.DataDir, tokenFile)); err != nil {
		return nil, err
	}
	if c.Material != nil {
		id.keeper = trust.NewKeeper(c.Material, "")
		return id, checkBrought(c)
	}
	if id.ca, err = loadCA(dir, c.Region, c.Now()); err != nil {
		return nil, err
	}
	m, err := loadCertificate(dir, id.ca, c)
	if err != nil {
		return nil, err
	}
	id.keeper = trust.NewKeeper(m, dir)
	return id, id.renew(c)
}

// renew replaces this server's certificate when its end is near. The key stays:
// one file changes, and links stay as they are.
func (id *identity) renew(c *Config) error {
	m := id.keeper.Material()
	if id.ca == nil || m.Cert.NotAfter.Sub(c.Now()) > renewBefore {
		return nil
	}
	names, ips := hostsOf(c)
	cert, err := id.ca.Sign(m.Key.Public(), m.Identity, c.Now(), serverTTL, names, ips)
	if err != nil {
		return fmt.Errorf("renew this server's certificate: %w", err)
	}
	if !cert.NotAfter.After(m.Cert.NotAfter) {
		return nil // the CA itself ends: there is no later certificate to have
	}
	return id.keeper.Renewed(cert)
}

// keepCertificate looks once a day whether this server's certificate is to be
// renewed. A failure is said and tried again: the certificate is good for weeks.
func (s *Server) keepCertificate(ctx context.Context) error {
	for {
		select {
		case <-time.After(renewCheck):
		case <-ctx.Done():
			return nil
		}
		if err := s.identity.renew(&s.Config); err != nil {
			s.Logger.Error("this server's certificate was not renewed", "until", s.identity.keeper.Material().Cert.NotAfter, "error", err)
		}
	}
}

func checkBrought(c *Config) error {
	if got := c.Material.Identity; got.Region != c.Region || got.Kind != trust.KindServer {
		return fmt.Errorf("tls: the certificate is of %s; this is a server of region %q: make one with dunlin tls cert create -kind server", got, c.Region)
	}
	return nil
}

func loadCA(dir, region string, now time.Time) (*trust.CA, error) {
	ca, err := trust.LoadCAFolder(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if ca, err = trust.NewCA(region, now, caTTL); err != nil {
			return nil, err
		}
		return ca, trust.SaveCA(dir, ca)
	}
	if err != nil {
		return nil, err
	}
	if ca.Region != region {
		return nil, fmt.Errorf("%s holds the CA of region %q, the configuration says %q; set region = %q, or choose another data_dir", dir, ca.Region, region, ca.Region)
	}
	return ca, nil
}

func loadCertificate(dir string, ca *trust.CA, c *Config) (*trust.Material, error) {
	m, err := trust.LoadFolder(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	id := trust.Identity{Region: c.Region, Kind: trust.KindServer, ID: c.Name}
	names, ips := hostsOf(c)
	if m, err = ca.Issue(id, c.Now(), serverTTL, names, ips); err != nil {
		return nil, err
	}
	files, err := m.Files()
	if err != nil {
		return nil, err
	}
	return m, files.Save(dir)
}

// hostsOf is what HTTPS clients may call the server by.
func hostsOf(c *Config) (names []string, ips []net.IP) {
	names = []string{"localhost", "server." + c.Region + ".dunlin"}
	ips = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, addr := range []string{c.HTTPAddr, c.Advertise} {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || host == "" {
			continue
		}
		if ip := net.ParseIP(host); ip == nil {
			names = append(names, host)
		} else if !ip.IsUnspecified() {
			ips = append(ips, ip)
		}
	}
	return names, ips
}

// loadToken reads the management token, which the first start makes.
func loadToken(path string) (string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, tokenBytes)
		_, _ = rand.Read(raw) // never fails
		b = []byte(hex.EncodeToString(raw) + "\n")
		return strings.TrimSpace(string(b)), trust.WriteFile(path, b)
	}
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(b))
	if len(token) < tokenBytes || len(token) > tokenFileMax {
		return "", fmt.Errorf("%s does not hold a token; remove it to have a new one made", path)
	}
	return token, nil
}
