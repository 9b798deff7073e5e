// Package api holds the requests and answers of the HTTP API and its Go client.
//
// The one idea: a program that talks to a region needs only the nouns of fleet
// and this package, never the region's own code. Paths and field names are those
// of the Nomad v1 HTTP API; what is Dunlin's own (modules, invites) stands in
// files of its own.
//
// # Invariants
//
//   - Only fleet and the standard library are imported.
//   - An answer other than 2xx is an [*Error] with the status and the region's
//     words; nothing is retried behind the caller's back.
//   - The client opens no connection before the first call.
//
// Threading: a [Client] is safe for concurrent use. A reader of logs belongs to
// its caller, who closes it.
package api
