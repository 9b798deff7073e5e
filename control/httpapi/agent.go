package httpapi

import (
	"net/http"

	"github.com/dunlin-edge/dunlin/api"
)

func (a *API) leader(w http.ResponseWriter, r *http.Request) error {
	address, known := a.Info.Leader()
	if !known {
		address = ""
	}
	return a.answer(w, r, a.Store.View().Index(), address)
}

func (a *API) peers(w http.ResponseWriter, r *http.Request) error {
	return a.answer(w, r, a.Store.View().Index(), append([]string{}, a.Info.Peers()...))
}

func (a *API) regions(w http.ResponseWriter, r *http.Request) error {
	return a.answer(w, r, a.Store.View().Index(), []string{a.Region})
}

func (a *API) self(w http.ResponseWriter, r *http.Request) error {
	return a.answer(w, r, a.Store.View().Index(), a.Info.Self())
}

func (a *API) members(w http.ResponseWriter, r *http.Request) error {
	return a.answer(w, r, a.Store.View().Index(), api.ServerMembers{
		ServerName: a.ServerName, ServerRegion: a.Region, ServerDC: a.Datacenter,
		Members: append([]*api.AgentMember{}, a.Info.Members()...),
	})
}

// health answers 500 when a part does not work, and says which in the body, as
// probes of the field expect.
func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	h, status := a.Info.Health(), http.StatusOK
	for _, part := range []*api.AgentPartHealth{h.Server, h.Client} {
		if part != nil && !part.OK {
			status = http.StatusInternalServerError
		}
	}
	return a.answerStatus(w, r, status, a.Store.View().Index(), h)
}
