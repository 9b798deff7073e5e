package httpapi

import "net/http"

// metrics answers a scrape. Clients of the field name the format; there is one.
func (a *API) metrics(w http.ResponseWriter, r *http.Request) error {
	if f := r.URL.Query().Get("format"); f != "" && f != "prometheus" {
		return refuse(http.StatusBadRequest, "format=%q: metrics come in the format prometheus", f)
	}
	a.Metrics.ServeHTTP(w, r)
	return nil
}
