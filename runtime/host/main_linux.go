package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How the host uses memory and cores: it mostly sleeps, so a small heap is worth more than rare collections.
const (
	hostProcsMax     = 2
	hostGCPercent    = 50
	hostMemoryTarget = 48 << 20
)

// Main runs a host in opts.Dir until it has been idle for opts.Idle, is asked to shut down, or ctx ends; then it kills its
// tasks. It fails at once when another host holds the directory.
//
// Called in a process that a Client launched, it does what the client wants through the environment: first to start itself
// again detached, then to say over a pipe that it serves.
func Main(ctx context.Context, opts Options) error {
	opts, err := opts.withDefaults()
	if err != nil {
		return err
	}
	stage := os.Getenv(envStage)
	if stage == stageLaunch {
		return startDetached(opts)
	}
	tell := func(string) {}
	if stage == stageServe {
		if d, err := time.ParseDuration(os.Getenv(envIdle)); err == nil && d > 0 {
			opts.Idle = d
		}
		unix.CloseOnExec(readyFD)
		tell = tellLauncher(os.NewFile(readyFD, "ready"))
	}
	err = run(ctx, opts, stage == stageServe, func() { tell(readyOK) })
	switch {
	case errors.Is(err, errBusy):
		tell(readyBusy)
	case err != nil:
		tell(err.Error())
	}
	return err
}

// tellLauncher returns a function that writes one line to the launching client, once.
func tellLauncher(f *os.File) func(string) {
	var once sync.Once
	return func(line string) {
		once.Do(func() {
			_, _ = fmt.Fprintln(f, line) // a client that has gone needs no answer
			f.Close()                    //nolint:errcheck // a pipe has nothing to flush
		})
	}
}

func run(ctx context.Context, opts Options, detached bool, ready func()) error {
	dir, err := openDir(opts.Dir)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // read-only
	lock, err := takeLock(opts.Dir)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // lets go of the lock, after everything else
	log := opts.Logger
	if detached {
		f, err := openHostLog(filepath.Join(opts.Dir, logName))
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // nothing is written after
		log = slog.New(slog.NewTextHandler(f, nil))
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), hostProcsMax))
	debug.SetGCPercent(hostGCPercent)
	debug.SetMemoryLimit(hostMemoryTarget)
	defer ignoreSignals(detached)()

	s := newServer(opts, log)
	s.adopt()
	listener, err := listen(dir)
	if err != nil {
		s.close()
		return err
	}
	log.Info("host serves", "pid", os.Getpid(), "dir", opts.Dir, "tasks", len(s.tasks))
	ready()
	s.accept(ctx, listener)
	s.close()
	return nil
}

// takeLock makes sure that there is one host per directory. The lock file stays: removing it would let two hosts lock two
// files of one name.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open host lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close() //nolint:errcheck // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", f.Name(), errBusy)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// ignoreSignals keeps a detached host from ending with what started it. The signals are caught and dropped, not set to
// ignore, because tasks would inherit that.
func ignoreSignals(detached bool) (restore func()) {
	if !detached {
		return func() {}
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, unix.SIGHUP, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGPIPE)
	return func() { signal.Stop(ch) }
}

func listen(dir *os.File) (*net.UnixListener, error) {
	path := sockPath(dir)
	// We hold the lock, so a socket that is there belongs to a host that died.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil // closing it removes the socket
}

// accept serves connections until the host shall end.
func (s *server) accept(ctx context.Context, l *net.UnixListener) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	conns.Add(1)
	go func() {
		defer conns.Done()
		defer cancel()
		select {
		case <-s.quit:
			s.killAll() // before the connections end, so that a Shutdown is answered
		case <-ctx.Done():
		}
		l.Close() //nolint:errcheck // wakes accept
	}()
	slots := make(chan struct{}, ConnsMax)
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors or memory: tasks must not die of that, so wait for better times.
			s.log.Warn("connection not accepted", "err", err)
			time.Sleep(acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			s.log.Warn("connection refused: too many", "limit", ConnsMax)
			conn.Close() //nolint:errcheck // refused
			continue
		}
		conns.Add(1)
		go func() {
			defer conns.Done()
			defer func() { <-slots }()
			if err := s.serve(ctx, conn); err != nil && !errors.Is(err, io.EOF) {
				s.log.Warn("connection ended", "err", err)
			}
		}()
	}
}

// hostLog is the host's own log, which starts anew at HostLogBytesMax and keeps one older file. Standard error goes along, for
// the traces of a crash.
type hostLog struct {
	path string
	std  []int // descriptors that go along
	mu   sync.Mutex
	f    *os.File
	size int64
}

func openHostLog(path string) (*hostLog, error) {
	l := &hostLog{path: path, std: []int{1, 2}}
	return l, l.open()
}

func (l *hostLog) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open host log: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open host log: %w", errors.Join(err, f.Close()))
	}
	for _, fd := range l.std {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return fmt.Errorf("open host log: %w", errors.Join(err, f.Close()))
		}
	}
	l.f, l.size = f, st.Size()
	return nil
}

func (l *hostLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > HostLogBytesMax {
		if err := errors.Join(l.f.Close(), os.Rename(l.path, l.path+".old"), l.open()); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *hostLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
