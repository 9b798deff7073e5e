package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// module answers one request for a module: the form, and, when the device says from where, its bytes.
func (k *session) module(ctx context.Context, st link.Stream, node fleet.UUID) error {
	var req wire.ModuleRequest
	if err := said(st, &req); err != nil {
		return err
	}
	if !mayFetch(k.Store.View(), node, req.Digest) {
		why := fmt.Errorf("module %s is named by no allocation of node %s", req.Digest, node)
		k.refused(RefusedModule, why)
		return say(st, &wire.ModuleAnswer{Error: why.Error()})
	}
	answer, form, err := k.Modules.Form(ctx, &req)
	if err != nil {
		return say(st, &wire.ModuleAnswer{Error: err.Error()})
	}
	// Waiting for a form costs nothing, so only those that send hold a place.
	select {
	case k.modules <- struct{}{}:
		err = k.sendForm(st, &answer, form)
		<-k.modules
	default:
		err = say(st, &wire.ModuleAnswer{Error: fmt.Sprintf("the server is sending %d modules; try again later", ModulesPerServer)})
	}
	return errors.Join(err, form.Close())
}

func (k *session) sendForm(st link.Stream, answer *wire.ModuleAnswer, form io.ReadSeeker) error {
	if err := say(st, answer); err != nil {
		return err
	}
	var from wire.ModuleFrom
	if err := st.SetReadDeadline(time.Now().Add(FromTimeout)); err != nil {
		return err
	}
	if err := said(st, &from); err != nil {
		return err
	}
	if from.Offset > answer.FormSize {
		return &nonsense{fmt.Errorf("the device asks for byte %d of a form of %d", from.Offset, answer.FormSize)}
	}
	if _, err := form.Seek(int64(from.Offset), io.SeekStart); err != nil {
		return err
	}
	if err := k.sendPieces(st, form); err != nil {
		return err
	}
	return st.CloseWrite()
}

// sendPieces sends the rest of a form. A device that is slow has its place only as long as nobody else waits for one.
func (k *session) sendPieces(st link.Stream, form io.Reader) error {
	piece, turn := make([]byte, FormPieceBytes), time.Now().Add(ModuleTurn)
	for {
		n, err := io.ReadFull(form, piece)
		if n > 0 {
			if err := send(st, piece[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		case len(k.modules) == cap(k.modules) && time.Now().After(turn):
			st.Reset(link.CodeBusy)
			k.Logger.Debug("a device that takes a module slowly gives its place to others; it goes on later", "peer", k.link.Peer())
			return nil
		}
	}
}
