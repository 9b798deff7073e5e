package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// selfExe starts the program that runs, also after its file was replaced by an upgrade: a host and its guests stay of one
// version.
const selfExe = "/proc/self/exe"

// Names in the host's directory.
const (
	sockName = "host.sock"
	lockName = "host.lock"
	logName  = "host.log"
	taskDir  = "tasks"
)

// The environment through which a client tells the host it launches what to do. It is between two copies of one program, so
// it is not a flag that users see.
const (
	envStage = "DUNLIN_HOST_STAGE" // stageLaunch or stageServe; unset when a user runs `dunlin host`
	envIdle  = "DUNLIN_HOST_IDLE"  // a Go duration

	stageLaunch = "launch"
	stageServe  = "serve"

	readyFD = 3 // the pipe on which a launched host says readyOK, readyBusy or what went wrong
)

const (
	readyOK   = "ok"
	readyBusy = "busy"
	// readyBytesMax limits what is read from a launched host.
	readyBytesMax = 4 << 10
)

// hostEnvKeys is what a host inherits from the agent. The rest stays out: an agent's environment may hold secrets, and a
// host lives longer than the agent that started it. GOCOVERDIR, GORACE and GODEBUG are for tests and diagnosis.
var hostEnvKeys = []string{"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "GODEBUG", "GOTRACEBACK", "GORACE", "GOCOVERDIR"}

func hostEnv() []string {
	var env []string
	for _, k := range hostEnvKeys {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// openDir makes the directory, refuses one that others may enter, and returns a descriptor for it.
func openDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make host directory: %w", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open host directory: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close() //nolint:errcheck // read-only
		return nil, fmt.Errorf("host directory %s: %w", dir, err)
	}
	if st.Mode&0o077 != 0 || int(st.Uid) != os.Geteuid() {
		f.Close() //nolint:errcheck // read-only
		return nil, fmt.Errorf("host directory %s has mode %04o and owner %d; it must be 0700 and owned by user %d, for who enters it can run programs as this user",
			dir, st.Mode&0o7777, st.Uid, os.Geteuid())
	}
	return f, nil
}

// sockPath names the socket through an open directory: socket addresses hold 108 bytes, and data folders are often longer.
func sockPath(dir *os.File) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), sockName)
}

func dial(ctx context.Context, dir string) (net.Conn, error) {
	d, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // read-only
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", sockPath(d))
}

func isNoHost(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED)
}

// hasRecords reports whether a host has left tasks on disk.
func hasRecords(dir string) bool {
	d, err := os.Open(filepath.Join(dir, taskDir))
	if err != nil {
		return false
	}
	defer d.Close() //nolint:errcheck // read-only
	names, _ := d.Readdirnames(1)
	return len(names) > 0
}

// launch starts a host and returns when it serves. The program started here only starts the real one and ends, so that the
// host is not the agent's child: an agent would otherwise have to reap it, and would be its parent in every process listing.
func launch(ctx context.Context, opts Options) error {
	logFile, err := os.OpenFile(filepath.Join(opts.Dir, logName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open host log: %w", err)
	}
	defer logFile.Close() //nolint:errcheck // the child has its own descriptor
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer r.Close() //nolint:errcheck // read end

	cmd := exec.Command(opts.Self[0], append(opts.Self[1:len(opts.Self):len(opts.Self)], "host", "-dir", opts.Dir)...)
	cmd.Args[0] = argv0(opts.Self)
	cmd.Dir = "/"
	cmd.Env = append(hostEnv(), envStage+"="+stageLaunch, envIdle+"="+opts.Idle.String())
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Run()
	w.Close() //nolint:errcheck // the host has its own descriptor
	if err != nil {
		return fmt.Errorf("%s: %w (see %s)", strings.Join(cmd.Args, " "), err, logFile.Name())
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := r.SetReadDeadline(deadline); err != nil {
			return fmt.Errorf("set deadline: %w", err)
		}
	}
	line, err := bufio.NewReader(io.LimitReader(r, readyBytesMax)).ReadString('\n')
	switch line = strings.TrimSuffix(line, "\n"); {
	case line == readyOK:
		return nil
	case line == readyBusy:
		return errBusy
	case line != "":
		return errors.New(line)
	case err == io.EOF:
		return fmt.Errorf("it ended before it served (see %s)", logFile.Name())
	}
	return fmt.Errorf("it does not say that it serves: %w", err)
}

// argv0 is the name that process listings show.
func argv0(self []string) string {
	if self[0] == selfExe {
		return filepath.Base(os.Args[0])
	}
	return self[0]
}

// startDetached is the launcher's half: start the same program again as a server in its own session, and leave it.
func startDetached(opts Options) error {
	argv := append([]string{argv0(opts.Self)}, os.Args[1:]...)
	_, err := syscall.ForkExec(selfExe, argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   append(hostEnv(), envStage+"="+stageServe, envIdle+"="+os.Getenv(envIdle)),
		Files: []uintptr{0, 1, 2, readyFD},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("start host: %w", err)
	}
	return nil
}

// awaitUnlocked waits for the end of the host that holds the directory: the kernel frees the lock with the process.
func awaitUnlocked(ctx context.Context, dir string) error {
	tick := time.NewTicker(unlockPoll)
	defer tick.Stop()
	for {
		lock, err := takeLock(dir)
		if err == nil {
			return lock.Close()
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil // the directory went with it
		}
		if !errors.Is(err, errBusy) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
