package engine

import (
	"bytes"
	_ "embed"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where guests find what every program expects of a system.
const (
	guestZones = "/usr/share/zoneinfo"
	guestRoots = "/etc/ssl/certs"
)

// zoneinfo is the time zone database (public domain) as Go ships it in lib/time; refresh it by copying that file. A Go guest
// reads it as it is; guests in C have no use for zone files at all, wasi-libc knows UTC only.
//
//go:embed zoneinfo.zip
var zoneinfo []byte

// rootBundles are the files in which systems keep their certificate authorities. A bundle counts only when its real folder
// is one of rootDirs: that folder is shown to guests whole, and a neighbour of it may hold private keys.
var (
	rootBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"}
	rootDirs = []string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted/pem", "/var/lib/ca-certificates"}
)

// SystemMounts returns read-only mounts with time zone data and certificate authorities, and the environment that points
// guests to them (ZONEINFO, SSL_CERT_FILE). It takes this machine's own where there are any: those are kept up to date. What
// is missing, as on most small devices, is written once to stateDir from what this binary carries, about 600 KB. The error
// is that of writing.
func SystemMounts(stateDir string) ([]Mount, []string, error) {
	zones, zoneFile, err := zoneMount(stateDir)
	if err != nil {
		return nil, nil, fmt.Errorf("time zone data for guests: %w", err)
	}
	roots, rootFile, err := rootMount(stateDir)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate authorities for guests: %w", err)
	}
	return []Mount{zones, roots}, []string{"ZONEINFO=" + zoneFile, "SSL_CERT_FILE=" + rootFile}, nil
}

func zoneMount(stateDir string) (Mount, string, error) {
	if st, err := os.Stat(guestZones + "/Europe/Berlin"); err == nil && st.Mode().IsRegular() {
		return Mount{guestZones, guestZones, true}, guestZones, nil
	}
	return ownMount(stateDir, "zoneinfo", "zoneinfo.zip", guestZones, func() []byte { return zoneinfo })
}

func rootMount(stateDir string) (Mount, string, error) {
	for _, name := range rootBundles {
		real, err := filepath.EvalSymlinks(name)
		if err != nil || !slices.Contains(rootDirs, filepath.Dir(real)) {
			continue
		}
		if st, err := os.Stat(real); err == nil && st.Mode().IsRegular() && st.Size() > 0 {
			return Mount{filepath.Dir(real), guestRoots, true}, guestRoots + "/" + filepath.Base(real), nil
		}
	}
	return ownMount(stateDir, "roots", "ca-certificates.crt", guestRoots, rootsPEM)
}

// ownMount writes one file into a folder of its own below stateDir, unless one of the same size is there.
func ownMount(stateDir, folder, name, guest string, content func() []byte) (Mount, string, error) {
	mount := Mount{filepath.Join(stateDir, "guest-system", folder), guest, true}
	b := content()
	file := filepath.Join(mount.Host, name)
	if st, err := os.Stat(file); err == nil && st.Size() == int64(len(b)) {
		return mount, guest + "/" + name, nil
	}
	if err := os.MkdirAll(mount.Host, 0o755); err != nil {
		return mount, "", err
	}
	return mount, guest + "/" + name, writeFile(file, b, 0o644)
}

// rootsPEM leaves out authorities that are trusted on conditions only: PEM cannot carry a condition.
func rootsPEM() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return b.Bytes()
}
