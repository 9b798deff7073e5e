package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// Exec runs a command beside a task on its device. An error says why it does not run. give gives it input; take gives its output, one
// message after the other, up to the one of its end. Each may be used by one goroutine at a time. The command ends with ctx, which the
// caller must end.
func (s *Sessions) Exec(ctx context.Context, node fleet.UUID, req wire.ExecRequest) (give func(*wire.ExecInput) error, take func() (*wire.ExecOutput, error), err error) {
	var answer wire.ExecAnswer
	k, stream, err := s.ask(ctx, node, wire.KindExec, &req, &answer)
	if err != nil {
		return nil, nil, err
	}
	if answer.Error != "" {
		return nil, nil, errors.New(answer.Error)
	}
	give = func(in *wire.ExecInput) error {
		if err := wire.Write(stream, in); err != nil {
			return fmt.Errorf("give input to the device: %w", err)
		}
		return nil
	}
	take = func() (*wire.ExecOutput, error) {
		var out wire.ExecOutput
		if err := said(stream, &out); err != nil {
			return nil, k.unheard(ctx, err)
		}
		return &out, nil
	}
	return give, take, nil
}
