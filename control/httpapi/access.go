package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Access says who may use the API. Nothing is finer than that yet: whoever is let
// in may do everything.
type Access struct {
	// Open lets everyone in (acl { enabled = false } was written out).
	Open bool
	// Loopback lets every local process in: the listener is plain and bound to a
	// loopback address.
	Loopback bool
	// Token is the management token; empty: none.
	Token string
}

// allow returns nil if the request may go on: any one proof is enough, and a
// proof that does not count (a token left over in a client's environment) does
// no harm where none is needed.
func (a *API) allow(r *http.Request) error {
	if err := sameOrigin(r); err != nil {
		return err
	}
	certificate := a.certificate(r)
	given := token(r)
	switch {
	case a.Access.Open, certificate == nil:
		return nil
	case given != "" && a.Access.Token != "" && sameToken(given, a.Access.Token):
		return nil
	case a.Access.Loopback && fromLoopback(r):
		return loopbackHost(r)
	case given != "":
		return refuse(http.StatusForbidden, "the token is not the management token of region %q; it stands in management.token in the data folder of the server, readable by its user", a.Region)
	}
	return certificate
}

// certificate returns nil if the client's certificate lets it in, or why not.
func (a *API) certificate(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return refuse(http.StatusForbidden, "access to region %q needs the management token (header %s, or DUNLIN_TOKEN for the CLI) or an operator's client certificate", a.Region, api.TokenHeader)
	}
	id, err := trust.CertificateIdentity(r.TLS.VerifiedChains[0][0])
	switch {
	case err != nil:
		return refuse(http.StatusForbidden, "the client certificate: %v", err)
	case id.Region != a.Region:
		return refuse(http.StatusForbidden, "the client certificate is of region %q; this is region %q", id.Region, a.Region)
	case id.Kind != trust.KindOperator && id.Kind != trust.KindServer:
		return refuse(http.StatusForbidden, "the client certificate is a %s's; the API takes an operator's (dunlin tls cert create -kind operator) or a server's", id.Kind)
	}
	return nil
}

// token is what the client gives as its proof, in either header of the field.
func token(r *http.Request) string {
	if t := r.Header.Get(api.TokenHeader); t != "" {
		return t
	}
	scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}

// sameToken compares hashes, so that the time it takes tells neither the bytes
// nor the length.
func sameToken(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// fromLoopback reports whether a local process sent the request itself. One that
// a proxy passed on comes from whoever the proxy serves.
func fromLoopback(r *http.Request) bool {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// loopbackHost refuses a request that was sent to a name. A web page can make a
// browser call a name of its own that resolves to 127.0.0.1 (DNS rebinding); it
// cannot make it call an address under the page's own origin.
func loopbackHost(r *http.Request) error {
	host := hostOnly(r.Host)
	if strings.EqualFold(host, "localhost") {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	return refuse(http.StatusForbidden, "requests to this agent name it localhost or by its address, not %q; use the management token to reach it under a name", host)
}

// sameOrigin refuses what another site's page made a browser send.
func sameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" {
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" {
			return refuse(http.StatusForbidden, "requests from web pages of other sites are refused")
		}
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || !strings.EqualFold(u.Host, r.Host) {
		return refuse(http.StatusForbidden, "requests from web pages of other sites are refused (origin %q)", origin)
	}
	return nil
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
