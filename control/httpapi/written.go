package httpapi

import (
	"net/http"
)

// nodeWritten passes on what a device says it has written to its disk. It is not kept in the region, so a device without a link
// to this server cannot be asked.
func (a *API) nodeWritten(w http.ResponseWriter, r *http.Request) error {
	v := a.Store.View()
	n, err := findNode(v, r.PathValue("id"))
	if err != nil {
		return err
	}
	if !a.Sessions.Connected(n.ID) {
		return refuse(http.StatusServiceUnavailable, "device %s has no link to this server, so it cannot be asked what it has written; ask it on the spot: dunlin agent status", n.Spec.Name)
	}
	out, err := a.Sessions.Written(r.Context(), n.ID)
	if err != nil {
		return refuse(http.StatusBadGateway, "device %s: %v", n.Spec.Name, err)
	}
	return a.answer(w, r, v.Index(), out)
}
