// Package enroll lets devices in and keeps them in: it makes invites, turns a
// spent invite into a certificate, and a certificate into its successor.
//
// The one idea: the token is spent in the log before anything is signed. Of two
// devices that hold the same invite exactly one finds it unspent, on whichever
// server they ask; a server that dies between the two has spent the invite and
// signed nothing, which costs a new invite and never lets two in.
//
// Invariants: the region stores the hash of a token, never the token; the key
// that is certified is the one the device proved to hold in its handshake; a
// join link ends after one answer; a certificate is in the log before anybody
// has it, and is renewed only for the key that the log knows and has not revoked.
//
// Threading: [Service] is safe for concurrent use; Serve waits for its
// goroutines.
package enroll

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// Limits of joining.
const (
	JoinsMax       = 64               // links being answered at once
	JoinTimeout    = 15 * time.Second // for one whole join
	InviteTTL      = 24 * time.Hour   // of an invite, unless told otherwise
	InviteTTLMax   = 90 * 24 * time.Hour
	NodeCertTTL    = 365 * 24 * time.Hour
	defaultDC      = "dc1"
	renewPause     = time.Hour // between two renewals of one certificate
	refusedNoToken = "this invite is not known here, or it was used or has expired; ask for a new one: dunlin node invite"
)

// Log commits commands.
type Log interface {
	Propose(ctx context.Context, cmd any) (result any, err error)
}

// Service makes invites and answers joins.
type Service struct {
	CA        *trust.CA
	Store     *state.Store
	Log       Log
	Addresses func() []string // host:port under which devices reach the region
	CertTTL   time.Duration   // of devices' certificates; 0: NodeCertTTL
	Now       func() time.Time
	Logger    *slog.Logger
}

// Options of one invite.
type Options struct {
	Name       string        // the device's name; empty: the device chooses
	Datacenter string        // empty: dc1
	TTL        time.Duration // 0: InviteTTL
	Count      int           // how many devices may join; 0: one
	Pool       string        // the devices' node pool
	Role       string        // fleet.InviteRoleNode (default) or fleet.InviteRoleGateway
}

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// check refuses what no invite can be, and fills what was left out.
func (o *Options) check() error {
	if o.TTL == 0 {
		o.TTL = InviteTTL
	}
	if o.TTL < time.Minute || o.TTL > InviteTTLMax {
		return fmt.Errorf("an invite of %s is out of range; use 1m to %s", o.TTL, InviteTTLMax)
	}
	if o.Name != "" && !nameRule.MatchString(o.Name) {
		return fmt.Errorf("%q cannot be a device's name; use up to 63 letters, digits, dots and dashes", o.Name)
	}
	if o.Count == 0 {
		o.Count = 1
	}
	if o.Count < 1 || o.Count > fleet.InviteCountMax {
		return fmt.Errorf("an invite for %d devices is out of range; use 1 to %d", o.Count, fleet.InviteCountMax)
	}
	if o.Name != "" && o.Count > 1 {
		return fmt.Errorf("%d devices cannot all be named %q; leave the name out, and each says its own", o.Count, o.Name)
	}
	if err := fleet.CheckPoolOfNode(o.Pool); err != nil {
		return err
	}
	switch o.Role {
	case fleet.InviteRoleNode:
		o.Role = ""
	case "", fleet.InviteRoleGateway:
	default:
		return fmt.Errorf("role %q: use %s or %s", o.Role, fleet.InviteRoleNode, fleet.InviteRoleGateway)
	}
	if o.Datacenter == "" {
		o.Datacenter = defaultDC
	}
	return nil
}

// Invite makes an invite and returns the line for the devices.
func (s *Service) Invite(ctx context.Context, o Options) (string, time.Time, error) {
	if err := o.check(); err != nil {
		return "", time.Time{}, err
	}
	token, hash, err := trust.NewToken()
	if err != nil {
		return "", time.Time{}, err
	}
	now := s.Now()
	expires := now.Add(o.TTL).Truncate(time.Second)
	line, err := trust.EncodeInvite(trust.Invite{
		Addresses: s.Addresses(), Fingerprint: s.CA.Fingerprint(), Region: s.CA.Region, Token: token, Expires: expires,
	})
	if err != nil {
		return "", time.Time{}, err
	}
	_, err = s.Log.Propose(ctx, &command.InvitePut{At: now.UnixNano(), Invite: fleet.Invite{
		TokenHash: string(hash), Name: o.Name, Datacenter: o.Datacenter, Pool: o.Pool, Role: o.Role, Count: o.Count,
		CreatedAt: now.UnixNano(), ExpiresAt: expires.UnixNano(),
	}})
	return line, expires, err
}

// Serve answers joins by all listeners (one per transport) until ctx ends.
func (s *Service) Serve(ctx context.Context, listeners ...link.Listener) error {
	return s.serveLinks(ctx, listeners, s.serve)
}

// serveLinks serves each link with one exchange, at most JoinsMax at once and
// each for JoinTimeout.
func (s *Service) serveLinks(ctx context.Context, listeners []link.Listener, one func(context.Context, link.Link)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	outer := ctx
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	busy := make(chan struct{}, JoinsMax)
	for _, l := range listeners {
		wg.Go(func() { cancel(s.accept(ctx, l, busy, &wg, one)) })
	}
	<-ctx.Done()
	if outer.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

func (s *Service) accept(ctx context.Context, l link.Listener, busy chan struct{}, wg *sync.WaitGroup, one func(context.Context, link.Link)) error {
	for {
		k, err := l.Accept(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept joins: %w", err)
		}
		select {
		case busy <- struct{}{}:
		default:
			_ = k.Close(link.CodeBusy, link.BusySpread.Reason("too many devices are joining; try again"))
			continue
		}
		wg.Go(func() {
			defer func() { <-busy }()
			ctx, cancel := context.WithTimeout(ctx, JoinTimeout)
			defer cancel()
			stop := context.AfterFunc(ctx, func() { _ = k.Close(link.CodeShutdown, "the exchange took too long") })
			defer stop()
			one(ctx, k)
		})
	}
}

func (s *Service) serve(ctx context.Context, k link.Link) {
	st, err := k.AcceptStream(ctx)
	if err != nil {
		return
	}
	defer st.Close()
	var h wire.Header
	var req wire.JoinRequest
	if err := wire.Read(st, &h); err != nil || h.Kind != wire.KindJoin {
		_ = k.Close(link.CodeProtocol, "a join link opens one join stream")
		return
	}
	if err := wire.Read(st, &req); err != nil {
		_ = k.Close(link.CodeProtocol, "the join request does not decode")
		return
	}
	answer := s.join(ctx, k, &req)
	if answer.Error != "" {
		s.Logger.Warn("join refused", "address", k.RemoteAddr(), "reason", answer.Error)
	} else {
		s.Logger.Info("device joined", "node", answer.Node, "name", answer.Name, "address", k.RemoteAddr())
	}
	if wire.Write(st, answer) == nil && st.CloseWrite() == nil {
		awaitEnd(ctx, k)
	}
}

func (s *Service) join(ctx context.Context, k link.Link, req *wire.JoinRequest) *wire.JoinAnswer {
	refuse := func(why string) *wire.JoinAnswer { return &wire.JoinAnswer{Error: why} }
	hash, err := trust.HashToken(req.Token)
	if err != nil {
		return refuse(refusedNoToken)
	}
	now := s.Now()
	invite, ok := s.Store.View().Invite(string(hash))
	if !ok || invite.Left() == 0 || invite.ExpiresAt < now.UnixNano() {
		return refuse(refusedNoToken)
	}
	answer := &wire.JoinAnswer{
		Region: s.CA.Region, Datacenter: invite.Datacenter, Name: invite.Name, CAPEM: trust.EncodeCert(s.CA.Cert),
		Pool: invite.Pool, Role: invite.Role,
	}
	if answer.Name == "" {
		answer.Name = req.Name
	}
	if !nameRule.MatchString(answer.Name) {
		return refuse(fmt.Sprintf("%q cannot be a device's name; give one with -name", answer.Name))
	}
	var random [16]byte
	_, _ = rand.Read(random[:])
	answer.Node = fleet.MintUUID(random)
	if _, err := s.Log.Propose(ctx, &command.InviteUse{TokenHash: string(hash), Node: answer.Node, At: now.UnixNano()}); err != nil {
		return refuse("the invite could not be spent: " + err.Error())
	}
	id := trust.Identity{Region: s.CA.Region, Kind: trust.KindNode, ID: answer.Node.String()}
	if invite.Role == fleet.InviteRoleGateway {
		id.Kind = trust.KindGateway
	}
	cert, err := s.sign(ctx, id, k.PeerCertificates()[0], false)
	if err != nil {
		return refuse("no certificate could be made: " + err.Error())
	}
	answer.CertPEM = trust.EncodeCert(cert)
	return answer
}

// sign makes a certificate for a key, and records it before anybody has it: what
// is not in the log could never be renewed or revoked.
func (s *Service) sign(ctx context.Context, id trust.Identity, holder *x509.Certificate, renewal bool) (*x509.Certificate, error) {
	now := s.Now()
	ttl := s.CertTTL
	if ttl == 0 {
		ttl = NodeCertTTL
	}
	cert, err := s.CA.Sign(holder.PublicKey, id, now, ttl, nil, nil)
	if err != nil {
		return nil, err
	}
	_, err = s.Log.Propose(ctx, &command.IdentitySeen{
		Peer: id.Peer(), KeyHash: trust.KeyHash(cert), ExpiresAt: cert.NotAfter.UnixNano(), Renewal: renewal, At: now.UnixNano(),
	})
	return cert, err
}
