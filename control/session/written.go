package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// WrittenTimeout bounds a question to a device about its disk: people wait for it.
const WrittenTimeout = 5 * time.Second

// Written asks a device what it has written to its disk. It fails with ErrNotConnected when the device has no link to this server.
func (s *Sessions) Written(ctx context.Context, node fleet.UUID) (*fleet.DiskWrites, error) {
	s.mu.Lock()
	k := s.links[node]
	s.mu.Unlock()
	if k == nil {
		return nil, ErrNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, WrittenTimeout)
	defer cancel()
	stream, err := k.link.OpenStream(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the device what it has written: %w", err)
	}
	defer stream.Close() //nolint:errcheck // read to its end, or reset
	defer context.AfterFunc(ctx, func() { stream.Reset(link.CodeCanceled) })()
	var answer wire.WrittenAnswer
	err = say(stream, &wire.Header{Kind: wire.KindWritten, Node: node})
	if err == nil {
		err = wire.Read(stream, &answer)
	}
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the device what it has written: %w", err)
	}
	var out fleet.DiskWrites
	if err := json.Unmarshal(answer.JSON, &out); err != nil {
		return nil, fmt.Errorf("what the device says it has written cannot be read: %w", err)
	}
	return &out, nil
}
