package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"golang.org/x/sys/unix"
)

// defaultPath is where programs are looked up when the task has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// launchTask starts what the task's spec says and fills in its child. On error nothing is left.
func (s *server) launchTask(t *task) error {
	logs, err := s.openLogs(t.spec.Log)
	if err != nil {
		return err
	}
	if t.spec.Kind == KindWasm {
		err = s.launchWasm(t, logs)
	} else {
		err = s.launchProcess(t, logs)
	}
	if err != nil {
		logs.close() //nolint:errcheck // nothing was written
	}
	return err
}

type taskLogs struct{ stdout, stderr io.WriteCloser }

func (l taskLogs) close() error { return errors.Join(l.stdout.Close(), l.stderr.Close()) }

func (s *server) openLogs(spec LogSpec) (taskLogs, error) {
	var l taskLogs
	for _, stream := range []struct {
		name string
		w    *io.WriteCloser
	}{{"stdout", &l.stdout}, {"stderr", &l.stderr}} {
		w, err := tasklog.NewWriter(tasklog.Options{
			Dir: spec.Dir, Task: spec.Task, Stream: stream.name, MaxFiles: spec.FilesMax, MaxFileBytes: spec.FileBytesMax,
			PackFrom: tasklog.PackBytesMin, Written: &s.logBytes,
		})
		if err != nil {
			if l.stdout != nil {
				l.stdout.Close() //nolint:errcheck // nothing was written
			}
			return l, refuse(CodeResource, "open log %s of task %q: %v", stream.name, spec.Task, err)
		}
		*stream.w = w
	}
	return l, nil
}

func (s *server) launchProcess(t *task, logs taskLogs) error {
	// The record goes first: if the host dies between fork and record, the next one finds the task's processes by its mark.
	if err := s.records.write(t.rec); err != nil {
		return refuse(CodeResource, "%v", err)
	}
	p, err := s.startProcess(t.spec, t.spec.Argv, t.spec.ID)
	if err != nil {
		return errors.Join(err, s.records.remove(t.rec.ID))
	}
	t.child = p.child
	t.out.add(p.stdout.ours, logs.stdout, logs.stdout.Close)
	t.out.add(p.stderr.ours, logs.stderr, logs.stderr.Close)
	return nil
}

// process is a raw process with its output pipes.
type process struct {
	child          *child
	stdout, stderr pipe
}

// startProcess starts argv in the directory and environment of spec, marked as owner's.
func (s *server) startProcess(spec TaskSpec, argv []string, owner string) (*process, error) {
	path, err := lookUp(argv[0], spec.Dir, spec.Env)
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, refuse(CodeResource, "open %s: %v", os.DevNull, err)
	}
	defer null.Close() //nolint:errcheck // read-only
	p := &process{}
	if p.stdout, err = newPipe(true); err != nil {
		return nil, err
	}
	if p.stderr, err = newPipe(true); err != nil {
		p.stdout.close()
		return nil, err
	}
	env := append(spec.Env[:len(spec.Env):len(spec.Env)], envTask+"="+owner)
	p.child, err = s.children.start(command{
		owner: owner, path: path, argv: argv, env: env, dir: spec.Dir,
		files: []int{int(null.Fd()), p.stdout.theirs, p.stderr.theirs},
	})
	if err != nil {
		p.stdout.close()
		p.stderr.close()
		return nil, err
	}
	p.stdout.closeTheirs()
	p.stderr.closeTheirs()
	return p, nil
}

func (s *server) launchWasm(t *task, logs taskLogs) error {
	g, err := s.spares.take(t.spec.ID)
	if err != nil {
		return err
	}
	if err := g.handOver(t.spec.Guest); err != nil {
		// A spare that died in this moment; a fresh one decides.
		g.kill(s.children)
		if g, err = startGuest(s.children, s.opts.Self, t.spec.ID); err != nil {
			return err
		}
		if err := g.handOver(t.spec.Guest); err != nil {
			g.kill(s.children)
			return refuse(CodeResource, "task %q: %v", t.spec.ID, err)
		}
	}
	t.spec.Guest = nil // may be large, and is not asked for again
	t.child, t.stdin, t.report = g.child, g.stdin.ours, g.report.ours
	if t.spec.Stop != StopStdin {
		t.closeStdin() // it reads the end at once, as from /dev/null
	}
	t.out.add(g.stdout.ours, logs.stdout, logs.stdout.Close)
	t.out.add(g.stderr.ours, logs.stderr, logs.stderr.Close)
	return nil
}

// lookUp finds a program as a shell in the task would: a name with a slash is a path from the task's directory, a bare name
// is looked up in the task's own PATH.
func lookUp(name, dir string, env []string) (string, error) {
	if strings.ContainsRune(name, '/') {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, executable(path)
	}
	search := defaultPath
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	for _, d := range filepath.SplitList(search) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		if path := filepath.Join(d, name); executable(path) == nil {
			return path, nil
		}
	}
	return "", refuse(CodeStart, "program %q is not in PATH %s; give its path", name, search)
}

func executable(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(CodeStart, "program %s does not exist", path)
	case err != nil:
		return refuse(CodeStart, "program %s: %v", path, err)
	case st.IsDir():
		return refuse(CodeStart, "program %s is a directory", path)
	case unix.Access(path, unix.X_OK) != nil:
		return refuse(CodeStart, "program %s may not be executed (mode %04o); chmod +x it", path, st.Mode().Perm())
	}
	return nil
}

// follow waits for the task's leader, clears away what it left, and records the end. It is the task's goroutine.
func (s *server) follow(t *task) {
	<-t.child.exited
	now := s.now()
	t.execEnd()
	t.execs.Wait()
	if t.rec.Kind == KindProcess { // a guest process starts no others
		if err := s.killStrays(t.rec.ID); err != nil {
			s.log.Warn("task left processes behind", "task", t.rec.ID, "err", err)
		}
	}
	if err := t.out.drain(); err != nil {
		s.log.Warn("task output was dropped", "task", t.rec.ID, "err", err)
	}
	var report *guestReport
	if t.report != nil {
		var err error
		if report, err = readReport(t.report); err != nil {
			s.log.Warn("guest report is not readable", "task", t.rec.ID, "err", err)
		}
		t.closeStdin()
	}
	s.children.release(t.child)
	exit := exitOf(t.child.status, report, t.wasStopped(), now)
	if t.report != nil && report == nil && !t.child.status.Signaled() {
		exit.Err = fmt.Sprintf("the guest process ended with code %d without a report", exit.Code)
	}
	if err := t.finish(exit, s.records.write); err != nil {
		s.log.Error("the end of a task is only in memory", "task", t.rec.ID, "err", err)
	}
}

func (t *task) closeStdin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stdin.Close() //nolint:errcheck // a pipe has nothing to flush; closed before by a stop
}
