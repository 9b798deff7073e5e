// Package trust says who may speak to whom: identities inside certificates, the region's certificate authority, the TLS
// configurations of each protocol, and the invites with which a device enters.
//
// The one idea: a peer is the URI in its certificate, spiffe://REGION/KIND/ID, signed by the region's own CA, and
// nothing else. Host names, addresses and clocks of devices are not evidence.
//
// Invariants:
//   - A protocol is spoken only by the kinds in its row of the table in protocol.go; the TLS configuration itself
//     refuses the rest, so that no handler can forget to ask.
//   - A private key is made where it is used and never travels. A device proves that it holds its key by the TLS
//     handshake itself, so joining needs no signing request format.
//   - A server keeps the SHA-256 of a join token, never the token.
//   - A device without a clock battery can verify a server (see Clock).
//
// Threading: every type here is immutable or safe for concurrent use, except CA files on disk, whose one writer is the
// process that owns the folder.
package trust
