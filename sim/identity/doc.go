// Package identity plays the life of a device's identity against a real server:
// certificates that end, clocks that are wrong, keys that are revoked, invites
// that are counted. Server, enrolment, sessions, agent and QUIC are the real
// ones, in one process; only the clocks are the test's.
//
// Threading: each test owns its server and its devices and waits for them.
package identity
