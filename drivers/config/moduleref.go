package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// digestPrefix is the one hash that names modules. A second would need a migration of every store; none is planned.
const digestPrefix = "sha256:"

// ModuleKind is which of the three forms of a module reference was written.
type ModuleKind string

// The three forms.
const (
	ModuleLocal  ModuleKind = "local"  // a path on the user's machine, only before pushing; the CLI rewrites it
	ModuleURL    ModuleKind = "url"    // https://HOST/PATH#sha256:DIGEST, fetched by the device
	ModuleDigest ModuleKind = "digest" // sha256:DIGEST, in the region's module store
)

// ModuleRef is a parsed module reference.
type ModuleRef struct {
	Kind   ModuleKind
	Path   string // for ModuleLocal
	URL    string // for ModuleURL, without the fragment
	Digest string // "sha256:" and 64 lower-case hex digits; empty for ModuleLocal
}

// String is the reference as it is written in a job.
func (r ModuleRef) String() string {
	switch r.Kind {
	case ModuleURL:
		return r.URL + "#" + r.Digest
	case ModuleDigest:
		return r.Digest
	}
	return r.Path
}

// ParseModuleRef reads a module reference: a local path, https://…#sha256:…, or sha256: and 64 hex digits.
func ParseModuleRef(s string) (ModuleRef, error) {
	switch {
	case s == "":
		return ModuleRef{}, fmt.Errorf("module is empty; give a path, an https URL with #%s…, or %s…", digestPrefix, digestPrefix)
	case strings.ContainsRune(s, 0):
		return ModuleRef{}, fmt.Errorf("module %q contains a zero byte", s)
	case strings.HasPrefix(s, digestPrefix):
		d, err := parseDigest(s)
		if err != nil {
			return ModuleRef{}, err
		}
		return ModuleRef{Kind: ModuleDigest, Digest: d}, nil
	case strings.Contains(s, "://"):
		return parseModuleURL(s)
	}
	return ModuleRef{Kind: ModuleLocal, Path: s}, nil
}

func parseModuleURL(s string) (ModuleRef, error) {
	u, err := url.Parse(s)
	if err != nil {
		return ModuleRef{}, fmt.Errorf("module %q is not a URL: %w", s, err)
	}
	switch {
	case u.Scheme != "https":
		return ModuleRef{}, fmt.Errorf("module %q: scheme %q is not supported; use https, a local path or %s…", s, u.Scheme, digestPrefix)
	case u.Host == "":
		return ModuleRef{}, fmt.Errorf("module %q names no host", s)
	case u.User != nil:
		return ModuleRef{}, fmt.Errorf("module URL on host %q carries a password; job files are readable by many, so leave it out", u.Host)
	case u.Fragment == "":
		return ModuleRef{}, fmt.Errorf("module %q has no digest; append #%s and the file's digest, so that a device can verify what it fetched", s, digestPrefix)
	}
	digest, err := parseDigest(u.Fragment)
	if err != nil {
		return ModuleRef{}, fmt.Errorf("module %q: %w", s, err)
	}
	u.Fragment, u.RawFragment = "", ""
	return ModuleRef{Kind: ModuleURL, URL: u.String(), Digest: digest}, nil
}

// parseDigest accepts either case and gives lower case, because digests are compared and used as keys.
func parseDigest(s string) (string, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok {
		return "", fmt.Errorf("digest %q does not begin with %s", s, digestPrefix)
	}
	if len(digits) != 64 {
		return "", fmt.Errorf("digest %q has %d hex digits; it needs 64", s, len(digits))
	}
	if _, err := hex.DecodeString(digits); err != nil {
		return "", fmt.Errorf("digest %q: %w", s, err)
	}
	return digestPrefix + strings.ToLower(digits), nil
}
