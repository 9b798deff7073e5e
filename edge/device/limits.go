package device

import "time"

// Limits and windows of a device. They are the same for all devices: none of them is worth a setting.
const (
	// StatusWindow is how long after a task began to run or ended its status is sent, so that what happens together travels
	// together.
	StatusWindow = 5 * time.Millisecond
	// StatusLazyWindow is the same for changes that nobody waits for: received, preparing, restarting.
	StatusLazyWindow = 250 * time.Millisecond
	// StatusBatchBytesMax bounds a batch well below wire.FrameBytesMax.
	StatusBatchBytesMax = 2 << 20
	// PersistWindow is how long an observation may stay unwritten that a crash would only make us observe again.
	PersistWindow = time.Second
	// ClockWriteEvery is how much the highest time seen must have grown to be worth a write of its own.
	ClockWriteEvery = 24 * time.Hour
	// ContactWriteParts is into how many parts the shortest stop_on_client_after of a device is cut: so often it writes that it
	// is linked, at most every ContactWriteMin.
	ContactWriteParts = 4
	ContactWriteMin   = time.Minute
	// FetchRetryMin and FetchRetryMax bound the doubling pause between tries to fetch a module.
	FetchRetryMin = time.Second
	FetchRetryMax = time.Minute
	// BasesMax is how many modules a fetch names as likely bases of a patch.
	BasesMax = 8
	// DeadAllocsMax is how many ended allocations keep their files, for their logs.
	DeadAllocsMax = 50
	// TombstonesMax is how many ended allocations without files are remembered, so that they are not started again.
	TombstonesMax = 1_000
)
