// Package httpapi answers the region's HTTP API: the paths, field names and
// headers of the Nomad v1 HTTP API, and modules and invites, which are Dunlin's.
//
// The one idea: a handler decodes, asks a port or reads one immutable view, and
// encodes. It decides nothing about the fleet; what may be registered is decided
// by fleet.Validate, where it runs by the scheduler, and whether it is stored by
// the log.
//
// # Invariants
//
//   - Nothing is registered unless everything about it was accepted; a refusal
//     lists every problem at once.
//   - An answer is of one view, whose index is in X-Nomad-Index. A blocking query
//     that is given that index answers when something it shows has changed.
//   - Every path and method is carried out or refused in words: 404 and 405 name
//     what was asked, 501 names what is known in the field but not carried out.
//   - Every body, wait, stream and number of waiters has a named limit (limits.go).
//
// Threading: [API] is safe for concurrent use. A request's goroutines end with
// it; [Serve] waits for all of them.
package httpapi
