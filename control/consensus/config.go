package consensus

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/hashicorp/raft"
)

// Limits of the log.
const (
	ProposalsMax     = 4096 // under way at once; more wait
	BatchEntriesMax  = 512  // in one disk write and one state transaction
	SnapshotsKept    = 2
	SnapshotEntries  = 20_000          // after so many new entries a snapshot is taken
	SnapshotInterval = 2 * time.Minute // how often that is looked at
	TrailingEntries  = 10_000          // kept behind a snapshot, so that a slow follower needs none
	LogCacheEntries  = 512
	StreamsPooledMax = 3 // to each peer
	StreamTimeout    = 10 * time.Second
	LockTimeout      = 2 * time.Second // waiting for another process that holds the folder
)

// Server is a member of the region's log.
type Server struct {
	ID   string // as in its certificate
	Addr string // as the StreamLayer dials it; anything for a server alone
}

// Timing is how fast a lost leader is noticed. Zero values take the defaults:
// milliseconds for a server alone, which waits for nobody, one second otherwise.
type Timing struct {
	Heartbeat time.Duration // a follower that hears nothing for this long stands for election
	Lease     time.Duration // a leader that hears no majority for this long steps down; at most Heartbeat
}

// Config opens a [Node].
type Config struct {
	Dir    string // its own; made if missing, mode 0700
	Server Server // this one
	// Members found a new log; empty means this server alone. They are not
	// looked at when Dir holds a log already.
	Members []Server
	// Join makes an empty Dir wait until a leader adds this server.
	Join   bool
	Layer  StreamLayer  // nil: this server alone; the Node closes it
	Store  *state.Store // empty; the Node is its only writer
	Logger *slog.Logger
	Timing Timing
	// NoSync leaves out fsync: for measurements that want to know its price. What
	// was acknowledged may then be lost with the power.
	NoSync bool
}

func (c *Config) check() error {
	switch {
	case c.Dir == "":
		return errors.New("consensus: no folder is set")
	case c.Server.ID == "":
		return errors.New("consensus: the server has no ID")
	case c.Store == nil || c.Logger == nil:
		return errors.New("consensus: a store and a logger are needed")
	case c.Layer == nil && len(c.Members) > 1:
		return fmt.Errorf("consensus: %d members need a network", len(c.Members))
	}
	return nil
}

func (c *Config) raftConfig(notify chan<- bool) *raft.Config {
	heartbeat, lease := time.Second, 500*time.Millisecond
	if c.Layer == nil {
		// Short enough to lead soon after a start. Shorter ones wake an idle
		// server for nothing: at 20 ms that was 0.4 s of CPU a minute.
		heartbeat, lease = 100*time.Millisecond, 100*time.Millisecond
	}
	if c.Timing.Heartbeat > 0 {
		heartbeat, lease = c.Timing.Heartbeat, c.Timing.Heartbeat/2
	}
	if c.Timing.Lease > 0 {
		lease = c.Timing.Lease
	}
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(c.Server.ID)
	r.HeartbeatTimeout, r.ElectionTimeout, r.LeaderLeaseTimeout = heartbeat, heartbeat, lease
	r.CommitTimeout = min(r.CommitTimeout, heartbeat/4)
	r.MaxAppendEntries, r.BatchApplyCh = BatchEntriesMax, true
	r.SnapshotInterval, r.SnapshotThreshold, r.TrailingLogs = SnapshotInterval, SnapshotEntries, TrailingEntries
	r.NotifyCh = notify
	r.Logger = newLogger(c.Logger)
	r.NoLegacyTelemetry = true
	return r
}
