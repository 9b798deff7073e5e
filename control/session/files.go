package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// Files asks a device about files of an allocation. The answer may be a refusal. After one to FsRead, next gives the pieces one by
// one and io.EOF at the end; it must not be called by two at once. All ends with ctx, which the caller must end.
func (s *Sessions) Files(ctx context.Context, node fleet.UUID, req wire.FsRequest) (answer *wire.FsAnswer, next func() (*wire.FsPiece, error), err error) {
	answer = &wire.FsAnswer{}
	k, stream, err := s.ask(ctx, node, wire.KindFiles, &req, answer)
	if err != nil {
		return nil, nil, err
	}
	left := uint64(math.MaxUint64)
	if req.Limit > 0 {
		left = req.Limit
	}
	next = func() (*wire.FsPiece, error) {
		var piece wire.FsPiece
		if err := said(stream, &piece); err != nil {
			return nil, k.unheard(ctx, err)
		}
		n := uint64(len(piece.Data))
		if n > left {
			return nil, k.unheard(ctx, &nonsense{fmt.Errorf("the device sends more than the %d bytes that were asked for", req.Limit)})
		}
		left -= n
		return &piece, nil
	}
	return answer, next, nil
}

// ask opens a stream to a node, writes its question and reads the answer, which must come in time. The stream is reset when ctx ends.
func (s *Sessions) ask(ctx context.Context, node fleet.UUID, kind wire.Kind, question, answer wire.Message) (*session, link.Stream, error) {
	s.mu.Lock()
	k := s.links[node]
	s.mu.Unlock()
	if k == nil {
		return nil, nil, ErrNotConnected
	}
	stream, err := k.open(ctx, node, kind)
	if err != nil {
		return nil, nil, fmt.Errorf("open a stream to the device: %w", err)
	}
	context.AfterFunc(ctx, func() { stream.Reset(link.CodeCanceled) })
	err = wire.Write(stream, &wire.Header{Kind: kind, Node: node})
	if err == nil {
		err = wire.Write(stream, question)
	}
	if err == nil {
		err = stream.SetReadDeadline(time.Now().Add(RegisterTimeout))
	}
	if err == nil {
		err = said(stream, answer)
	}
	if err == nil {
		err = stream.SetReadDeadline(time.Time{})
	}
	if err != nil {
		stream.Reset(link.CodeCanceled)
		return nil, nil, fmt.Errorf("the device did not answer: %w", k.unheard(ctx, err))
	}
	return k, stream, nil
}

// unheard passes on why a device's words did not come. Words that make no sense are counted against it.
func (k *session) unheard(ctx context.Context, err error) error {
	if _, bad := errors.AsType[*nonsense](err); bad && ctx.Err() == nil {
		k.refused(RefusedNonsense, err)
	}
	if reset, ok := errors.AsType[*link.ResetError](err); ok && reset.Code == link.CodeBusy {
		return errors.New("it serves as many streams of this kind as it may; try again later")
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}
