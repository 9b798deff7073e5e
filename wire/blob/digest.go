package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

const (
	digestPrefix = "sha256:"
	hexBytes     = 2 * sha256.Size
)

// Digest names a blob by its content: "sha256:" and 64 lower-case hexadecimal digits. The zero value names nothing.
type Digest string

// Parse checks a digest's form. Upper case is refused: one content has one name.
func Parse(s string) (Digest, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok {
		return "", fmt.Errorf("digest %q: want sha256: and %d hexadecimal digits", clip(s), hexBytes)
	}
	if len(digits) != hexBytes {
		return "", fmt.Errorf("digest %q: %d digits, want %d", clip(s), len(digits), hexBytes)
	}
	for i, c := range []byte(digits) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("digest %q: %q at digit %d is no lower-case hexadecimal digit", s, c, i+1)
		}
	}
	return Digest(s), nil
}

// DigestOf reads r to its end and returns its digest and size in bytes.
func DigestOf(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return "", n, fmt.Errorf("digest: %w", err)
	}
	return sum(h), n, nil
}

// DigestBytes returns the digest of b.
func DigestBytes(b []byte) Digest {
	s := sha256.Sum256(b)
	return Digest(digestPrefix + hex.EncodeToString(s[:]))
}

// Hex is the digest without its prefix; "" for the zero value.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Short is the digest's first 12 digits, for people.
func (d Digest) Short() string { return d.Hex()[:min(12, len(d.Hex()))] }

func sum(h hash.Hash) Digest { return Digest(digestPrefix + hex.EncodeToString(h.Sum(nil))) }

func clip(s string) string {
	const longest = len(digestPrefix) + hexBytes + 8
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
