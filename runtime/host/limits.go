package host

import "time"

// Limits of the host and its protocol. They are constants, not settings: each protects a device from a mistake, and none
// is a matter of taste.
const (
	// FrameBytesMax limits one frame. The largest is a start with a big environment.
	FrameBytesMax = 4 << 20
	// ConnsMax limits the connections to one host: the agent, an agent that takes over, and a few tools.
	ConnsMax = 16
	// RequestsInFlightMax limits the calls in work per connection, Waits not counted; the host reads no further until one ends.
	RequestsInFlightMax = 8192
	// TasksMax limits the tasks a host knows, running or ended and not forgotten.
	TasksMax = 16384
	// ExecsMax limits the commands that run beside tasks at a time.
	ExecsMax = 64
	// ReportBytesMax limits what a guest process may report at its end.
	ReportBytesMax = 64 << 10
	// HostLogBytesMax limits DIR/host.log; one older file of the same size is kept.
	HostLogBytesMax = 256 << 10

	// IdleTimeout is how long a host without running tasks and calls stays.
	IdleTimeout = 60 * time.Second
	// SpareIdleMax is how long the pre-started guest process is kept after the last start of a Wasm task. It costs a few
	// megabytes, so a device that starts nothing does not pay for it.
	SpareIdleMax = 60 * time.Second

	launchTimeout   = 10 * time.Second     // to start a host and reach it
	helloTimeout    = 5 * time.Second      // to exchange hellos
	writeTimeout    = 10 * time.Second     // to send one frame to a peer that does not read
	specTimeout     = 10 * time.Second     // for a guest process to take its spec
	drainTimeout    = 2 * time.Second      // for the last output of a task that has ended
	strayTimeout    = 5 * time.Second      // to kill what a task left behind
	execGrace       = 2 * time.Second      // for a command whose operator has gone, between SIGHUP and SIGKILL
	unlockPoll      = 5 * time.Millisecond // between looks whether a host that was shut down is gone
	acceptPause     = 50 * time.Millisecond
	procTableMaxAge = 250 * time.Millisecond
	retriesMax      = 5
	retryBackoff    = 10 * time.Millisecond // first pause between tries; doubles
)
