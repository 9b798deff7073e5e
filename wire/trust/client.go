package trust

import (
	"crypto"
	"crypto/tls"
)

// Client dials servers with the certificate of the moment.
type Client struct {
	Source Source // gives nil while nobody has joined
	Clock  *Clock
}

// TLS returns the configuration for one protocol, or a Refusal with the command to run if there is no certificate yet.
func (c Client) TLS(protocol string) (*tls.Config, error) {
	m := c.Source()
	if m == nil {
		return nil, noCertificate()
	}
	return ClientTLS(m, c.Clock, protocol), nil
}

// Explain puts a handshake's failure into words, with what this client knows about itself.
func (c Client) Explain(protocol string, err error) error {
	err = ExplainHandshake(err)
	r, ok := err.(*Refusal)
	m := c.Source()
	if !ok || m == nil {
		return err
	}
	now := c.Clock.Now()
	switch {
	case r.Reason == BadCertificate && r.Remote:
		// TLS has one alert for all of these; the table says which it was.
		if misfit := Admit(protocol, m.Identity.Region, m.Identity); misfit != nil {
			return &Refusal{Reason: WrongKind, Remote: true, Detail: "the server refused this client: " + misfit.Error(), cause: r.cause}
		}
	case r.Reason == Expired && r.Remote:
		r.Detail += " (valid until " + day(m.Cert.NotAfter) + "; it is " + day(now) + " here)"
	}
	return r
}

// JoinClient dials a server that is known by an invite only.
type JoinClient struct {
	Fingerprint string        // of the region's CA
	Key         crypto.Signer // the device's new key
	Clock       *Clock
}

// TLS returns the configuration of the join protocol, whatever protocol is asked for.
func (c JoinClient) TLS(string) (*tls.Config, error) { return JoinTLS(c.Fingerprint, c.Key, c.Clock) }

// Explain puts a handshake's failure into words.
func (c JoinClient) Explain(_ string, err error) error { return ExplainHandshake(err) }
