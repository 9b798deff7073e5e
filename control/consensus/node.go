package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Node is this server's part in the log.
type Node struct {
	raft      *raft.Raft
	fsm       *fsm
	disk      *raftboltdb.BoltStore
	transport raft.Transport
	log       *slog.Logger

	slots  chan struct{} // one per proposal under way
	closed chan struct{} // closed when Close begins

	mu      sync.Mutex
	closing bool
	term    context.Context // of the leadership that lasts; nil for a follower
	end     context.CancelCauseFunc
	changed chan struct{} // closed and replaced when term changes

	proposals sync.WaitGroup // one per proposal under way
	workers   sync.WaitGroup // watchLeadership, Lead
	stop      chan struct{}  // ends watchLeadership
}

// Open opens the log in a folder, or founds it, and applies what it holds: when
// this server is (or becomes) the leader, [Node.Barrier] says that it is done.
func Open(c Config) (*Node, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	n := &Node{
		fsm: newFSM(c.Store, c.Logger), log: c.Logger, slots: make(chan struct{}, ProposalsMax),
		closed: make(chan struct{}), changed: make(chan struct{}), stop: make(chan struct{}),
	}
	notify := make(chan bool, 1)
	if err := n.open(&c, c.raftConfig(notify)); err != nil {
		n.abandon(&c)
		return nil, err
	}
	n.workers.Go(func() { n.watchLeadership(notify) })
	return n, nil
}

func (n *Node) open(c *Config, rc *raft.Config) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("the log's folder: %w", err)
	}
	if err := n.openDisk(c); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(c.Dir, SnapshotsKept, rc.Logger)
	if err != nil {
		return fmt.Errorf("the log's snapshots in %s: %w", c.Dir, err)
	}
	cached, err := raft.NewLogCache(LogCacheEntries, n.disk)
	if err != nil {
		return fmt.Errorf("the log's cache: %w", err)
	}
	n.transport = c.transport(rc)
	if err := n.found(c, rc, snapshots); err != nil {
		return err
	}
	n.raft, err = raft.NewRaft(rc, n.fsm, cached, n.disk, snapshots, n.transport)
	if err != nil {
		return fmt.Errorf("opening the log in %s: %w", c.Dir, err)
	}
	return nil
}

// openDisk opens the log's file. Without a synchronised freelist appends stay
// fast after the log was cut; the list is rebuilt when the file is opened.
func (n *Node) openDisk(c *Config) error {
	path := filepath.Join(c.Dir, "raft.db")
	disk, err := raftboltdb.New(raftboltdb.Options{
		Path: path, NoSync: c.NoSync,
		BoltOptions: &bbolt.Options{Timeout: LockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: c.NoSync},
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%s is in use by another process: stop that server, or choose another data folder", path)
	}
	if err != nil {
		return fmt.Errorf("opening the log %s: %w", path, err)
	}
	n.disk = disk
	return nil
}

// found writes the first members into an empty log.
func (n *Node) found(c *Config, rc *raft.Config, snapshots raft.SnapshotStore) error {
	exists, err := raft.HasExistingState(n.disk, n.disk, snapshots)
	if err != nil {
		return fmt.Errorf("reading the log in %s: %w", c.Dir, err)
	}
	if exists || c.Join {
		return nil
	}
	members := c.Members
	if len(members) == 0 {
		members = []Server{c.Server}
	}
	var first raft.Configuration
	for _, m := range members {
		first.Servers = append(first.Servers, raft.Server{
			Suffrage: raft.Voter, ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.Addr),
		})
	}
	if err := raft.BootstrapCluster(rc, n.disk, n.disk, snapshots, n.transport, first); err != nil {
		return fmt.Errorf("founding the log in %s: %w", c.Dir, err)
	}
	return nil
}

// abandon releases what a failed Open had opened.
func (n *Node) abandon(c *Config) {
	if n.transport != nil {
		n.closeTransport()
	} else if c.Layer != nil {
		_ = c.Layer.Close() // the error of Open is the one that matters
	}
	if n.disk != nil {
		_ = n.disk.Close()
	}
}

func (n *Node) closeTransport() {
	if t, ok := n.transport.(raft.WithClose); ok {
		_ = t.Close() // the listener is gone either way
	}
}

// Close ends the node: proposals under way get their answers, terms of
// leadership end and are waited for, the folder is released. The store keeps its
// last view.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closing {
		n.mu.Unlock()
		return nil
	}
	n.closing = true
	close(n.closed)
	if n.end != nil {
		n.end(ErrClosed)
	}
	n.mu.Unlock()
	// The library forgets to answer proposals that are still queued when it shuts
	// down. They are answered before: a leader commits them or loses its lease.
	n.proposals.Wait()
	err := n.raft.Shutdown().Error()
	close(n.stop)
	n.workers.Wait()
	n.closeTransport()
	return errors.Join(err, n.disk.Close())
}

// Snapshot writes the state to disk now and shortens the log.
func (n *Node) Snapshot() error {
	done, err := n.enter()
	if err != nil {
		return err
	}
	defer done()
	err = n.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return n.explain(err)
}

// enter holds off Close until done is called.
func (n *Node) enter() (done func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return nil, ErrClosed
	}
	n.proposals.Add(1)
	return n.proposals.Done, nil
}

// Halted is closed when the node cannot go on; [Node.Err] then says why.
func (n *Node) Halted() <-chan struct{} { return n.fsm.halted }

// Err is why the node halted, or nil.
func (n *Node) Err() error { return n.fsm.err() }

// Stats is the log's position and this server's role.
type Stats struct {
	Role                            string // "leader", "follower", "candidate", "shutdown"
	Term                            uint64
	LastIndex, CommitIndex, Applied uint64
	Waiting                         int // proposals under way
	Members                         int
}

// Stats reads the counters; each is right by itself, not all at one instant.
func (n *Node) Stats() Stats {
	s := Stats{
		Role: roleNames[n.raft.State()], Term: n.raft.CurrentTerm(), LastIndex: n.raft.LastIndex(),
		CommitIndex: n.raft.CommitIndex(), Applied: n.raft.AppliedIndex(), Waiting: len(n.slots),
	}
	s.Members = len(n.Members())
	return s
}

var roleNames = map[raft.RaftState]string{
	raft.Leader: "leader", raft.Follower: "follower", raft.Candidate: "candidate", raft.Shutdown: "shutdown",
}

// Members lists the servers of the log, as this one knows them.
func (n *Node) Members() []Server {
	done, err := n.enter()
	if err != nil {
		return nil
	}
	defer done()
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	var out []Server
	for _, m := range f.Configuration().Servers {
		out = append(out, Server{ID: string(m.ID), Addr: string(m.Address)})
	}
	return out
}
