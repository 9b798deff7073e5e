// Package wire is what a device and its region say to each other: messages,
// their binary form, and a named limit on each. It knows no sockets; links are
// in wire/link, wire/quicnet and wire/memnet.
//
// # Conversation
//
// A device dials its region (protocol [link.Edge], "dunlin-edge/1") and opens
// typed streams; each stream begins with a [Header] that names its kind and the
// node it speaks for.
//
//	device → server  register   Register, answered by Welcome; then the stream ends
//	device → server  status     StatusBatch …, each answered by StatusAck
//	device → server  module     ModuleRequest, answered by ModuleAnswer and raw bytes
//	server → device  desired    Desired …, each answered by DesiredAck once it is on disk
//	server → device  logs       LogRequest, answered by LogAnswer and raw bytes
//	server → device  written    the header alone, answered by WrittenAnswer
//	either           datagram   Beat
//
// # Invariants
//
//   - Every frame is a 4-byte big-endian length, one byte of message type, and
//     the message; no frame is longer than [FrameBytesMax].
//   - Encode then Decode gives the same value; Decode of anything else gives an
//     error and never panics (fuzzed).
//   - Messages are versioned by the protocol name. Within a version fields are
//     never reordered; a new field means a new version.
//
// Threading: messages are plain values; nothing here is synchronised.
package wire
