package session

import (
	"context"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// serveWritten tells what this device has written to its disk. It is asked for and not reported: a figure that nobody looks at
// is not worth a byte of the link, nor a write at the region.
func (s *Session) serveWritten(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // the one who asked is gone or has it
	var answer wire.WrittenAnswer
	if s.opts.Written == nil {
		answer.Error = "this device does not count what it writes"
	} else if b, err := s.opts.Written(ctx); err != nil {
		answer.Error = err.Error()
	} else {
		answer.JSON = b
	}
	if err := wire.Write(st, &answer); err != nil {
		s.opts.Log.Debug("nobody waits for what was written any more", "error", err)
	}
	return nil
}
