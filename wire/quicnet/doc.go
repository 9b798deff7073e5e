// Package quicnet carries links (package link) over QUIC, with one UDP socket for everything: a server listens for all its
// protocols and dials its peers from the same port; a device opens one socket and only dials.
//
// The one idea: the TLS handshake chooses the protocol, so one port and one set of limits serve the device sessions,
// the servers' requests, the replicated log and the joins.
//
// Invariants:
//   - Dial succeeds only after the server has accepted the client's certificate. TLS 1.3 lets a client finish before the
//     server has looked at its certificate, so the server greets each accepted link with one byte on a stream of its
//     own and Dial waits for it. The rejected alternative, to report the refusal on the first use of the link, makes
//     each caller tell a refusal from a lost link.
//   - A passing fault of the local network (no route, address changed, queue full) never ends a link: the socket
//     swallows such errors and QUIC repeats the packet.
//   - What is sent beside a connection is authenticated by its handshake, heard once, and answered; unanswered, it goes over
//     the connection. A link of which nothing is heard for its profile's Idle ends at both ends.
//   - The accept loop never blocks: what does not fit into a protocol's queue is refused as busy.
//
// Rooms: dial and accept make links, link is one; sealed is the format of what travels beside a connection, beside who sends, answers
// and repeats it, socket where it is told from QUIC's packets; silence ends quiet links.
//
// Threading: an Endpoint and its links are safe for concurrent use. The Endpoint owns its goroutines and the socket;
// Close ends the links, waits for the goroutines and closes the socket. What comes beside connections is heard by QUIC's reader
// of the socket, which therefore never waits in here.
package quicnet
