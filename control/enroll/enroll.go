// Package enroll lets devices in: it makes invites, and turns a spent invite
// into a certificate.
//
// The one idea: the token is spent in the log before anything is signed. Of two
// devices that hold the same invite exactly one finds it unspent, on whichever
// server they ask; a server that dies between the two has spent the invite and
// signed nothing, which costs a new invite and never lets two in.
//
// Invariants: the region stores the hash of a token, never the token; the key
// that is certified is the one the device proved to hold in its handshake; a
// join link ends after one answer.
//
// Threading: [Service] is safe for concurrent use; Serve waits for its
// goroutines.
package enroll

import (
	"context"
	"crypto/rand"
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
	Now       func() time.Time
	Logger    *slog.Logger
}

// Options of one invite.
type Options struct {
	Name       string        // the device's name; empty: the device chooses
	Datacenter string        // empty: dc1
	TTL        time.Duration // 0: InviteTTL
}

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Invite makes a single-use invite and returns the line for the device.
func (s *Service) Invite(ctx context.Context, o Options) (string, time.Time, error) {
	if o.TTL == 0 {
		o.TTL = InviteTTL
	}
	if o.TTL < time.Minute || o.TTL > InviteTTLMax {
		return "", time.Time{}, fmt.Errorf("an invite of %s is out of range; use 1m to %s", o.TTL, InviteTTLMax)
	}
	if o.Name != "" && !nameRule.MatchString(o.Name) {
		return "", time.Time{}, fmt.Errorf("%q cannot be a device's name; use up to 63 letters, digits, dots and dashes", o.Name)
	}
	if o.Datacenter == "" {
		o.Datacenter = defaultDC
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
		TokenHash: string(hash), Name: o.Name, Datacenter: o.Datacenter,
		CreatedAt: now.UnixNano(), ExpiresAt: expires.UnixNano(),
	}})
	return line, expires, err
}

// Serve answers joins until ctx ends.
func (s *Service) Serve(ctx context.Context, l link.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	busy := make(chan struct{}, JoinsMax)
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
			_ = k.Close(link.CodeBusy, "too many devices are joining; try again")
			continue
		}
		wg.Go(func() {
			defer func() { <-busy }()
			s.serve(ctx, k)
		})
	}
}

func (s *Service) serve(ctx context.Context, k link.Link) {
	ctx, cancel := context.WithTimeout(ctx, JoinTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = k.Close(link.CodeShutdown, "the join took too long") })
	defer stop()
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
		// The device ends the link once it has its certificate on disk.
		select {
		case <-k.Context().Done():
		case <-ctx.Done():
		}
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
	if !ok || invite.UsedAt != 0 || invite.ExpiresAt < now.UnixNano() {
		return refuse(refusedNoToken)
	}
	answer := &wire.JoinAnswer{Region: s.CA.Region, Datacenter: invite.Datacenter, Name: invite.Name, CAPEM: trust.EncodeCert(s.CA.Cert)}
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
	cert, err := s.CA.Sign(k.PeerCertificates()[0].PublicKey, id, now, NodeCertTTL, nil, nil)
	if err != nil {
		return refuse("the certificate could not be signed: " + err.Error())
	}
	answer.CertPEM = trust.EncodeCert(cert)
	return answer
}
