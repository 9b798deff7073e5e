// Package tlsnet makes links over TLS 1.3 on TCP, for paths that let no UDP through. It is the second adapter of package
// link and keeps the same promises with the same certificates: streams with half-close and codes, datagrams, reasons.
//
// The one idea: one TLS connection carries frames (frame.go); a frame belongs to a stream or to the link. Whoever writes
// waits until its bytes are in a frame; whoever reads takes them from the stream's buffer, which a window bounds. So the
// only queues are the windows, and a beat never waits behind more than one frame.
//
// Invariants:
//   - The frame reader never waits for the application: what it stores is bounded by the windows, what it owes in answers by
//     the number of streams.
//   - A stream's number is drawn with its first frame, so numbers come in order, and a peer that opens a stream which its
//     limit does not allow, or speaks on one that has ended, has broken the protocol.
//   - A link without a sign of life for the profile's Idle is given up. The kernel's acknowledgements count as such a sign
//     where it tells of them (Linux); else a frame of eight bytes asks, and only then.
//   - What TCP cannot do is left out and said: the link ends with its TCP connection, so a change of address ends it.
//
// Threading: as package link says. An Endpoint owns the goroutines of its links (two each) and Close waits for them.
package tlsnet
