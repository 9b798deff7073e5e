package httpapi

import (
	"net/http"

	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/command"
	"github.com/dunlin-edge/dunlin/fleet"
)

func (a *API) listGateways(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	out := []*api.Gateway{}
	for i := range v.Identities() {
		if id, ok := fleet.GatewayOfPeer(i.Peer); ok {
			out = append(out, gatewayView(id, i))
		}
	}
	return a.answer(w, r, v.Index(), out)
}

func gatewayView(id string, i *fleet.NodeIdentity) *api.Gateway {
	return &api.Gateway{ID: id, Standing: i.Standing, Reason: i.Reason, StandingAt: i.StandingAt, CertExpiresAt: i.CertExpiresAt}
}

// revokeGateway cuts a gateway off. It is named whole: IDs of gateways are people's words, and one may begin another.
func (a *API) revokeGateway(w http.ResponseWriter, r *http.Request) error {
	var in api.GatewayRevokeRequest
	if err := a.decode(w, r, &in); err != nil {
		return err
	}
	if len(in.Reason) > fleet.StandingReasonBytesMax {
		return refuse(http.StatusBadRequest, "Reason has %d bytes; at most %d", len(in.Reason), fleet.StandingReasonBytesMax)
	}
	id := r.PathValue("id")
	peer := fleet.PeerOfGateway(id)
	if a.Store.View().Identity(peer) == nil {
		return refuse(http.StatusNotFound, "no gateway %q has joined or linked; see: dunlin node gateway list", id)
	}
	index, err := a.propose(r.Context(), &command.IdentityStanding{Peer: peer, Standing: fleet.StandingRevoked, Reason: in.Reason, At: a.Now().UnixNano()})
	if err != nil {
		return err
	}
	a.Logger.Info("a gateway was revoked", "gateway", id, "reason", in.Reason)
	return a.answer(w, r, index, gatewayView(id, a.Store.View().Identity(peer)))
}
