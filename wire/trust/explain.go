package trust

import (
	"crypto/tls"
	"errors"
	"net"
)

// Reason is why a handshake was refused.
type Reason string

// The reasons.
const (
	NoCertificate    Reason = "no certificate"
	BadCertificate   Reason = "bad certificate"
	Expired          Reason = "expired"
	UnknownCA        Reason = "unknown CA"
	WrongFingerprint Reason = "wrong fingerprint"
	WrongRegion      Reason = "wrong region"
	WrongKind        Reason = "wrong kind"
	WrongProtocol    Reason = "wrong protocol"
)

// Refusal is a handshake that one side refused, in words.
type Refusal struct {
	Reason Reason
	Remote bool   // the other side refused us
	Detail string // what was wrong, with both values where they are known
	Advice string // what to do; may be empty

	cause error
}

// Error is the detail, the cause and the advice.
func (r *Refusal) Error() string {
	s := r.Detail
	if r.cause != nil && !r.Remote {
		s += ": " + r.cause.Error()
	}
	if r.Advice != "" {
		s += "; " + r.Advice
	}
	return s
}

// Unwrap returns the TLS or certificate error underneath, if any.
func (r *Refusal) Unwrap() error { return r.cause }

// RemoteAlert is a TLS alert that the other side sent. Adapters whose transport carries alerts in its own way (QUIC) put
// one into the chain of errors for ExplainHandshake.
type RemoteAlert uint8

// Error is the alert in the TLS library's words.
func (a RemoteAlert) Error() string { return "remote error: " + tls.AlertError(a).Error() }

// The TLS alerts that a refused certificate leads to (RFC 8446, section 6.2).
const (
	alertBadCertificate     = 42
	alertUnsupported        = 43
	alertRevoked            = 44
	alertExpired            = 45
	alertCertificateUnknown = 46
	alertUnknownCA          = 48
	alertAccessDenied       = 49
	alertRequired           = 116
	alertNoProtocol         = 120
)

const adviceJoin = "run: dunlin join INVITE (an operator prints the invite with: dunlin node invite)"

// ExplainHandshake turns the error of a failed handshake into a Refusal with what to do. Errors that are not about
// trust (no route, timeout) come back as they are.
func ExplainHandshake(err error) error {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	if alert, ok := remoteAlert(err); ok {
		if r := explainAlert(alert); r != nil {
			r.cause = err
			return r
		}
	}
	return err
}

func remoteAlert(err error) (uint8, bool) {
	if a, ok := errors.AsType[RemoteAlert](err); ok {
		return uint8(a), true
	}
	// Over TCP the TLS library reports a peer's alert as a net.OpError around a type that it does not export; its text
	// is the only thing to go by.
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	for _, a := range []uint8{alertBadCertificate, alertUnsupported, alertRevoked, alertExpired, alertCertificateUnknown,
		alertUnknownCA, alertAccessDenied, alertRequired, alertNoProtocol} {
		if op.Err.Error() == tls.AlertError(a).Error() {
			return a, true
		}
	}
	return 0, false
}

func explainAlert(alert uint8) *Refusal {
	switch alert {
	case alertRequired:
		r := noCertificate()
		r.Remote = true
		return r
	case alertExpired:
		return &Refusal{Reason: Expired, Remote: true, Advice: adviceJoin,
			Detail: "the server refused this client's certificate: it has expired"}
	case alertUnknownCA:
		return &Refusal{Reason: UnknownCA, Remote: true, Advice: adviceJoin,
			Detail: "the server refused this client's certificate: it is signed by another CA (another region, or the region's CA was replaced)"}
	case alertBadCertificate, alertUnsupported, alertRevoked, alertCertificateUnknown, alertAccessDenied:
		return &Refusal{Reason: BadCertificate, Remote: true, Advice: adviceJoin,
			Detail: "the server refused this client's certificate"}
	case alertNoProtocol:
		return &Refusal{Reason: WrongProtocol, Remote: true,
			Detail: "the server at this address does not speak this protocol",
			Advice: "check the port (4647/udp unless configured otherwise) and that both sides run a matching version"}
	default:
		return nil
	}
}

func noCertificate() *Refusal {
	return &Refusal{Reason: NoCertificate, Detail: "the server asks for a certificate and this client has none", Advice: adviceJoin}
}
