package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pumpBufferBytes is a pipe's size, so that one read empties a full pipe.
const pumpBufferBytes = 64 << 10

// pumpBuffers are shared: a pump holds one only while there is output, so thousands of quiet tasks cost no buffers.
var pumpBuffers = sync.Pool{New: func() any { return new([pumpBufferBytes]byte) }}

// pipe is a pipe between the host and a child. The child's end is a bare descriptor in blocking mode, as programs expect;
// ours waits in the runtime's poller.
type pipe struct {
	ours   *os.File
	theirs int
}

// newPipe makes a pipe that we read (fromChild) or write.
func newPipe(fromChild bool) (pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return pipe{}, refuse(CodeResource, "make pipe: %v", err)
	}
	ours, theirs := fds[1], fds[0]
	if fromChild {
		ours, theirs = fds[0], fds[1]
	}
	if err := unix.SetNonblock(ours, true); err != nil {
		unix.Close(ours)   //nolint:errcheck // the first error is the one to report
		unix.Close(theirs) //nolint:errcheck // the first error is the one to report
		return pipe{}, refuse(CodeInternal, "set pipe non-blocking: %v", err)
	}
	return pipe{ours: os.NewFile(uintptr(ours), "pipe"), theirs: theirs}, nil
}

// closeTheirs closes the child's end in the host, once the child has its own copy.
func (p *pipe) closeTheirs() {
	if p.theirs >= 0 {
		unix.Close(p.theirs) //nolint:errcheck // a pipe has nothing to flush
		p.theirs = -1
	}
}

func (p *pipe) close() {
	p.closeTheirs()
	if p.ours != nil {
		p.ours.Close() //nolint:errcheck // a pipe has nothing to flush
	}
}

// pump copies from a pipe to w until the writers are gone or the pipe's deadline passes, and closes the pipe. When w refuses,
// for a full disk, output is dropped and the task goes on; the first refusal is returned.
func pump(r *os.File, w io.Writer) error {
	defer r.Close() //nolint:errcheck // read end
	rc, err := r.SyscallConn()
	if err != nil {
		return fmt.Errorf("pump: %w", err)
	}
	var writeErr error
	for {
		ended := false
		err := rc.Read(func(fd uintptr) bool {
			buf := pumpBuffers.Get().(*[pumpBufferBytes]byte)
			defer pumpBuffers.Put(buf)
			n, err := unix.Read(int(fd), buf[:])
			switch {
			case errors.Is(err, unix.EAGAIN):
				return false // gives the buffer back and waits for output
			case errors.Is(err, unix.EINTR):
				return true
			case err != nil || n == 0:
				ended = true
				return true
			}
			if _, err := w.Write(buf[:n]); err != nil && writeErr == nil {
				writeErr = err
			}
			return true
		})
		if err != nil || ended {
			return writeErr
		}
	}
}

// pumps are the pumps of one task or command.
type pumps struct {
	wg    sync.WaitGroup
	files []*os.File
	mu    sync.Mutex
	errs  []error
}

// add starts a pump; done is called when it has ended.
func (p *pumps) add(r *os.File, w io.Writer, done func() error) {
	p.files = append(p.files, r)
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		err := errors.Join(pump(r, w), done())
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil {
			p.errs = append(p.errs, err)
		}
	}()
}

// drain waits for the last output, at most drainTimeout: a process that is not ours any more may still hold the pipe open.
func (p *pumps) drain() error {
	for _, f := range p.files {
		_ = f.SetReadDeadline(time.Now().Add(drainTimeout)) // fails on a pipe whose pump has ended, which is well
	}
	p.wg.Wait()
	return errors.Join(p.errs...)
}
