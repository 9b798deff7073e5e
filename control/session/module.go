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
		return wire.Write(st, &wire.ModuleAnswer{Error: why.Error()})
	}
	answer, form, err := k.Modules.Form(ctx, &req)
	if err != nil {
		return wire.Write(st, &wire.ModuleAnswer{Error: err.Error()})
	}
	// Waiting for a form costs nothing, so only those that send hold a place.
	select {
	case k.modules <- struct{}{}:
		err = sendForm(st, &answer, form)
		<-k.modules
	default:
		err = wire.Write(st, &wire.ModuleAnswer{Error: fmt.Sprintf("the server is sending %d modules; try again later", ModulesPerServer)})
	}
	return errors.Join(err, form.Close())
}

func sendForm(st link.Stream, answer *wire.ModuleAnswer, form io.ReadSeeker) error {
	if err := wire.Write(st, answer); err != nil {
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
	if _, err := io.Copy(st, form); err != nil {
		return err
	}
	return st.CloseWrite()
}
