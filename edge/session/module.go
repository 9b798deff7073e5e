package session

import (
	"context"
	"fmt"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// Transfer is a module that the region offers. It belongs to one goroutine.
type Transfer struct {
	link.Stream
	answer wire.ModuleAnswer
	stop   func() bool
}

// Module asks the region for a module. The transfer lives until Close or until ctx ends. The error is ErrNoLink while there is
// no link, and the region's words when it refuses.
func (s *Session) Module(ctx context.Context, req *wire.ModuleRequest) (*Transfer, error) {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return nil, ErrNoLink
	}
	st, err := s.open(ctx, l, wire.KindModule, req)
	if err != nil {
		return nil, err
	}
	t := &Transfer{Stream: &paced{st, ctx, s.opts.Meter, traffic.Modules}}
	if err := readSoon(st, &t.answer); err != nil {
		st.Reset(link.CodeCanceled)
		return nil, fmt.Errorf("read the answer to a module request: %w", err)
	}
	if t.answer.Error != "" {
		st.Reset(link.CodeDone)
		return nil, fmt.Errorf("the region: %s", t.answer.Error)
	}
	t.stop = context.AfterFunc(ctx, func() { st.Reset(link.CodeCanceled) })
	return t, nil
}

// Answer says in which form the module would come.
func (t *Transfer) Answer() wire.ModuleAnswer { return t.answer }

// From asks for the form's bytes from an offset on. They end with the form.
func (t *Transfer) From(offset uint64) error {
	if err := wire.Write(t.Stream, &wire.ModuleFrom{Offset: offset}); err != nil {
		return fmt.Errorf("ask for a module's bytes: %w", err)
	}
	return nil
}

// Close gives up what was not read.
func (t *Transfer) Close() error {
	t.stop()
	t.Reset(link.CodeDone)
	return nil
}
