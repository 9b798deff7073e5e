// Package reach decides how a device comes to a link: which server, by which transport, after which pause; when UDP counts as
// filtered, and when it is tried again.
//
// The one idea: a [Route] is told how each attempt and each link ended, and says what to do next. It reads no clock, draws
// nothing and opens nothing: time and draws are arguments.
//
// Invariants:
//   - A server is tried by both of its transports before the next one, QUIC first, unless UDP is known to be filtered.
//   - TLS over TCP is tried because nobody answered over UDP, never because a server refused: it would refuse again.
//   - A link over TLS is not for good: UDP is probed at growing intervals while it lasts.
//   - What a server dictates as pause comes before what the device would do by itself, within link.SpreadMax.
//   - No attempt comes sooner than PauseMin/2 after one that failed by both transports.
//
// Threading: a Route belongs to one goroutine.
package reach
