package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/logstore"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Limits of a runner.
const (
	InboxMax        = 1024             // events that wait for the loop; their senders wait then
	StartsMax       = 8                // driver starts at a time
	PreparesMax     = 1                // preparations at a time: each may take a processor and half a gigabyte
	FetchesMax      = 2                // module fetches at a time: more only share a slow link
	RetryMin        = time.Second      // first pause after an error that is not an answer
	RetryMax        = 30 * time.Second // longest
	FitLogsEvery    = time.Hour        // between looks at how much the logs of the device are
	FitLogsPause    = time.Second      // after an allocation went, until the next look: others may go with it
	DestroyTriesMax = 5                // then what is left of an ended attempt stays with its driver, and the log says so
	ExitGraceMax    = 5 * time.Second  // for all tasks together, with StopTasksOnExit
)

// ErrStopped answers calls on a runner that has ended.
var ErrStopped = errors.New("the agent is stopping")

// Store makes a Persist durable; *statedb.DB is one.
type Store interface{ Save(device.Persist) error }

// Modules is the device's cache of modules.
type Modules interface {
	// Fetch brings a module into the cache; nil if it is there. An error that says Permanent() true will not get better. bases
	// are modules that it is likely to resemble, likeliest first.
	Fetch(ctx context.Context, ref config.ModuleRef, bases []string) error
	// Path is the module's file.
	Path(digest string) (string, bool)
	// Pin replaces the set of modules that must not be evicted.
	Pin(digests []string)
	// Digests lists what is in the cache.
	Digests() []string
}

// Logs keeps what tasks printed after their allocation is gone; *logstore.Store does.
type Logs interface {
	Keep(alloc fleet.UUID, logs string) error
	Find(alloc fleet.UUID) (dir string, ok bool)
	Fit(running []string, ended []logstore.Ended) (over int64, err error)
	Quota() int64
}

// Setting is what a driver's tasks see of the device: where their folders appear to them, and what their environment begins
// with.
type Setting struct {
	AllocDir, TaskDir string // empty: the real ones
	Env               map[string]string
}

// Options configure a Runner.
type Options struct {
	DataDir         string // absolute
	Device          device.Config
	State           device.State // as read from the Store
	Store           Store
	Modules         Modules
	Logs            Logs
	Drivers         map[string]driver.Driver
	Settings        map[string]Setting // by driver
	Node            func() *fleet.Node // what tasks may refer to; called per start
	Region          string             // its name
	StopTasksOnExit bool
	Log             *slog.Logger
	Now             func() time.Time // nil: time.Now
}

// Runner is the shell of one device.
type Runner struct {
	opts     Options
	inbox    chan message
	ended    chan struct{} // closed when the loop has ended
	wg       sync.WaitGroup
	starts   chan struct{} // slots
	prepares chan struct{}
	fetches  chan struct{}

	// Owned by the loop.
	core      *device.Device
	timer     *time.Timer
	statuses  chan *wire.StatusBatch // of the link that is up
	unwritten error                  // why the disk refuses what is being written; nil: it does not
	aside     []message              // events that came meanwhile, at most InboxMax

	mu   sync.Mutex
	tail map[taskKey]chan struct{} // end of the newest operation on a task
	live map[taskKey]liveTask      // what runs

	gone     chan struct{} // an allocation's files went
	logsOver int64         // by how much the logs of what runs were over the quota; owned by watchLogs
}

type taskKey struct {
	alloc fleet.UUID
	task  string
}

type liveTask struct {
	instance device.Instance
	handle   driver.Handle
}

// message is one thing for the loop to do; done receives when it was done.
type message struct {
	event device.Event
	ask   func(*device.Device) // instead of an event
	done  chan []device.Action // nil: nobody waits; receives the actions that were carried out
}

// New returns a runner; Run boots it.
func New(opts Options) *Runner {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Runner{
		opts: opts, inbox: make(chan message, InboxMax), ended: make(chan struct{}),
		starts: make(chan struct{}, StartsMax), prepares: make(chan struct{}, PreparesMax), fetches: make(chan struct{}, FetchesMax),
		core: device.New(opts.Device), tail: map[taskKey]chan struct{}{}, live: map[taskKey]liveTask{}, gone: make(chan struct{}, 1),
	}
}

// Run boots the device and serves it until ctx ends. It must be called once. The error is that of a boot that could not begin.
func (r *Runner) Run(ctx context.Context) error {
	dirs, err := r.allocDirs()
	if err != nil {
		close(r.ended)
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	r.timer = time.NewTimer(time.Hour)
	r.timer.Stop()
	boot := device.Boot{State: r.opts.State, Modules: r.opts.Modules.Digests(), Dirs: dirs}
	r.opts.State = device.State{} // the core has it now
	r.execute(ctx, r.core.Step(boot, r.opts.Now()))
	r.spawn(func() { r.watchLogs(ctx) })
	r.loop(ctx)
	cancel()
	close(r.ended)
	r.timer.Stop()
	r.wg.Wait()
	if r.opts.StopTasksOnExit {
		r.stopAll()
	}
	return nil
}

func (r *Runner) loop(ctx context.Context) {
	for ctx.Err() == nil {
		if len(r.aside) > 0 {
			m := r.aside[0]
			r.aside = r.aside[1:]
			r.handle(ctx, m)
			continue
		}
		select {
		case <-ctx.Done():
		case m := <-r.inbox:
			r.handle(ctx, m)
		case <-r.timer.C:
			r.execute(ctx, r.core.Step(device.Timer{}, r.opts.Now()))
		}
	}
}

func (r *Runner) handle(ctx context.Context, m message) {
	var actions []device.Action
	if m.ask != nil {
		m.ask(r.core)
	} else {
		actions = r.execute(ctx, r.core.Step(m.event, r.opts.Now()))
	}
	if m.done != nil {
		m.done <- actions
	}
}

// post gives the loop an event that nobody waits for.
func (r *Runner) post(ctx context.Context, ev device.Event) {
	select {
	case r.inbox <- message{event: ev}:
	case <-ctx.Done():
	}
}

// call gives the loop a message and waits until it was carried out.
func (r *Runner) call(ctx context.Context, m message) ([]device.Action, error) {
	m.done = make(chan []device.Action, 1)
	select {
	case r.inbox <- m:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.ended:
		return nil, ErrStopped
	}
	select {
	case actions := <-m.done:
		return actions, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.ended:
		return nil, ErrStopped
	}
}

// ask reads something of the core. The answer goes through a channel, because a caller that gave up must not share memory with
// the loop.
func ask[T any](ctx context.Context, r *Runner, read func(*device.Device) T) (T, error) {
	got := make(chan T, 1)
	if _, err := r.call(ctx, message{ask: func(d *device.Device) { got <- read(d) }}); err != nil {
		var zero T
		return zero, err
	}
	return <-got, nil
}

// View is the device and what keeps it from going on.
type View struct {
	device.View
	Unwritten string // why the disk refuses the newest state, which View shows already; empty: it does not
}

// View shows the device.
func (r *Runner) View(ctx context.Context) (View, error) {
	return ask(ctx, r, func(d *device.Device) View {
		v := View{View: d.View()}
		if r.unwritten != nil {
			v.Unwritten = r.unwritten.Error()
		}
		return v
	})
}

// retry calls f until it says that it is done, pausing longer each time, at most tries times (0: until ctx ends). what is for
// the log.
func (r *Runner) retry(ctx context.Context, what string, tries int, f func() (done bool, err error)) {
	pause := RetryMin
	for n := 1; ; n++ {
		done, err := f()
		if done || ctx.Err() != nil {
			return
		}
		if n == tries {
			r.opts.Log.Error(what+": giving up", "tries", n, "error", err)
			return
		}
		if n == 1 {
			r.opts.Log.Warn(what+": trying again until it works", "error", err)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, RetryMax)
		case <-ctx.Done():
			return
		}
	}
}
