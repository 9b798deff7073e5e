package wire

import (
	"fmt"
	"io"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// frameMax bounds the frames whose size is known to be small, in bytes, type
// byte included. A peer that announces more is refused before anything is read.
// Types that are not here may use FrameBytesMax.
var frameMax = map[byte]int{
	typeHeader:        64,
	typeRegister:      fleet.NodeSpecBytesMax + 64<<10,
	typeStatusAck:     64,
	typeDesiredAck:    64,
	typeModuleRequest: 16 << 10,
	typeLogRequest:    4 << 10,
	typeJoinRequest:   4 << 10,
	typeRenewRequest:  64,
	typeRenewAnswer:   PEMBytesMax + ErrorBytesMax + 64,
	typeProbeAnswer:   64,
	typeFsRequest:     PathBytesMax + 256,
	typeFsAnswer:      2 << 20, // FsEntriesMax long names
	typeFsPiece:       FsPieceBytesMax + ErrorBytesMax + 64,
	typeExecRequest:   ExecArgvBytesMax + 4<<10,
	typeExecAnswer:    ErrorBytesMax + 64,
	typeExecInput:     ExecDataBytesMax + 64,
	typeExecOutput:    ExecDataBytesMax + ErrorBytesMax + 64,
}

func limitOf(m Message) int {
	if n, ok := frameMax[m.Type()]; ok {
		return n
	}
	return FrameBytesMax
}

// bodyStep is what is taken for a body before its bytes come, in bytes.
const bodyStep = 64 << 10

// readBody reads n bytes. Memory is taken as the bytes come, at most twice as
// much as came: else four bytes from each of many streams would take megabytes.
func readBody(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, 0, min(n, bodyStep))
	for len(b) < n {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), n-len(b)))
		}
		k := min(cap(b), n)
		if _, err := io.ReadFull(r, b[len(b):k]); err != nil {
			return nil, noEOF(err)
		}
		b = b[:k]
	}
	return b, nil
}

func checkLength(m Message, n uint32) error {
	if limit := limitOf(m); n > uint32(limit) {
		return fmt.Errorf("peer announced %d bytes for %T: %w (at most %d)", n, m, ErrFrameTooLong, limit)
	}
	return nil
}
