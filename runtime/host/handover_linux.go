package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// sendFiles writes a frame and lets descriptors travel with it. The files stay the caller's.
func sendFiles(conn net.Conn, frame []byte, files []*os.File) error {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("descriptors cannot travel over %T", conn)
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd()) // the other process wants it in blocking mode
	}
	n, _, err := uc.WriteMsgUnix(frame, unix.UnixRights(fds...), nil)
	if err != nil {
		return err
	}
	if n < len(frame) {
		_, err = conn.Write(frame[n:])
	}
	return err
}

// Terminal is a pseudo terminal: what is written to one end is read at the other, as from a keyboard and to a screen.
type Terminal struct {
	Ours   *os.File // the operator's end, read and written
	Theirs *os.File // the command's end
}

// OpenTerminal makes one. Both ends are the caller's to close.
func OpenTerminal() (Terminal, error) {
	ours, theirs, err := pty.Open()
	if err != nil {
		return Terminal{}, fmt.Errorf("open a pseudo terminal: %w", err)
	}
	return Terminal{ours, theirs}, nil
}

// Resize tells the programs in the terminal how large it is now.
func (t Terminal) Resize(rows, columns uint16) error {
	if err := pty.Setsize(t.Ours, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		return fmt.Errorf("resize a terminal: %w", err)
	}
	return nil
}

// Read reads what the programs wrote. When the last of them has closed its end, the kernel says EIO: that is the end.
func (t Terminal) Read(p []byte) (int, error) {
	n, err := t.Ours.Read(p)
	if errors.Is(err, unix.EIO) {
		err = io.EOF
	}
	return n, err
}
