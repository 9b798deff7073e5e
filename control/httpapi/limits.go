package httpapi

import "time"

// Limits of the HTTP server.
const (
	BodyBytesMax      = 2 << 20          // of a JSON body; a job in it is bounded by jobspec.FileBytesMax
	HeaderBytesMax    = 64 << 10         // of all headers of a request
	HeaderTimeout     = 10 * time.Second // for a request's headers to arrive
	BodyTimeout       = 30 * time.Second // for a JSON body to arrive
	IdleTimeout       = 2 * time.Minute  // of a connection between requests
	ConnsMax          = 4096             // open at once
	AnswerTimeout     = 2 * time.Minute  // for a client to read an answer
	ProposeTimeout    = 30 * time.Second // for the log to commit
	ShutdownTimeout   = 5 * time.Second  // for requests to end when the server stops
	BlockingMax       = 2048             // blocking queries that wait at once
	BlockingWait      = 5 * time.Minute  // when a blocking query says no wait
	BlockingWaitMax   = 10 * time.Minute
	BlockingJitter    = 16 // up to wait/16 is added, so that waiters do not come back together
	LogStreamsMax     = 256
	LogChunkBytesMax  = 32 << 10
	LogHeartbeatEvery = 10 * time.Second
	LogWriteTimeout   = 30 * time.Second // for a client to read one chunk
	ExecsMax          = 64               // commands beside tasks at once
	PushesMax         = 16               // modules taken in at once
	PushStallTimeout  = time.Minute      // without a byte of a module
	SuggestionsMax    = 5                // IDs named in a refusal
)
