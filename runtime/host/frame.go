package host

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// ProtocolVersion is what this program speaks; it is raised when a change is not understood by older peers. An agent talks to
// hosts started by the version before it, so support for an old version stays for at least one release.
const ProtocolVersion = 1

// hello is the first frame in each direction. The client offers a range; the host answers with the version it chose in both.
type hello struct {
	VersionMin int
	VersionMax int
	PID        int
	Error      string `json:",omitempty"`
}

// request is a call; response is its answer with the same ID. A cancel has the ID of the request it ends, and no answer of
// its own.
type request struct {
	ID   uint64
	Op   op
	Body json.RawMessage `json:",omitempty"`

	files []*os.File // descriptors that travel with the frame
}

type response struct {
	ID    uint64
	Error *Error          `json:",omitempty"`
	Body  json.RawMessage `json:",omitempty"`
}

type op string

const (
	opStart    op = "start"
	opStatus   op = "status"
	opWait     op = "wait"
	opStop     op = "stop"
	opSignal   op = "signal"
	opExec     op = "exec_stdio" // with three descriptors; "exec" was one that collected output
	opStats    op = "stats"
	opForget   op = "forget"
	opList     op = "list"
	opShutdown op = "shutdown"
	opWritten  op = "written"
	opCancel   op = "cancel"
)

// appendFrame encodes v as one frame.
func appendFrame(dst []byte, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("encode frame: %w", err)
	}
	if len(body) > FrameBytesMax {
		return dst, fmt.Errorf("frame of %d bytes is over the limit of %d", len(body), FrameBytesMax)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...), nil
}

// readFrame decodes the next frame into v. A clean end between frames is io.EOF.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > FrameBytesMax {
		return fmt.Errorf("frame of %d bytes is over the limit of %d", n, FrameBytesMax)
	}
	// Read through a limit, not into a buffer of the announced size: four bytes must not make us allocate megabytes.
	body, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	if len(body) < int(n) {
		return fmt.Errorf("read frame: %d of %d bytes: %w", len(body), n, io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("decode frame: %w", err)
	}
	return nil
}

// chooseVersion picks the highest version that both sides speak.
func chooseVersion(ours, theirs hello) (int, error) {
	v := min(ours.VersionMax, theirs.VersionMax)
	if v < ours.VersionMin || v < theirs.VersionMin {
		return 0, fmt.Errorf("no common protocol version: %d to %d here, %d to %d there; restart the older of agent and host",
			ours.VersionMin, ours.VersionMax, theirs.VersionMin, theirs.VersionMax)
	}
	return v, nil
}

func ourHello(pid int) hello {
	return hello{VersionMin: ProtocolVersion, VersionMax: ProtocolVersion, PID: pid}
}
