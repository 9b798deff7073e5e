package quicnet

import (
	"errors"
	"fmt"
	"net"

	"github.com/quic-go/quic-go"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// QUIC carries a TLS alert N as the error code 0x100+N (RFC 9001, section 4.8).
const (
	alertBase = 0x100
	alertLast = 0x1ff
)

// words turns QUIC's errors into those of the port. Others (contexts, deadlines, io.EOF) pass as they are.
func words(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*quic.ApplicationError](err); ok {
		if link.Code(e.ErrorCode) == link.CodeSilent && !e.Remote {
			return link.ErrSilent // this side gave it up; see watch
		}
		return &link.CloseError{Code: link.Code(e.ErrorCode), Reason: e.ErrorMessage, Remote: e.Remote}
	}
	if e, ok := errors.AsType[*quic.StreamError](err); ok {
		return &link.ResetError{Code: link.Code(e.ErrorCode), Remote: e.Remote}
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok {
		return transportWords(e)
	}
	if e, ok := errors.AsType[*quic.DatagramTooLargeError](err); ok {
		return &link.DatagramSizeError{Max: int(e.MaxDatagramPayloadSize)}
	}
	if _, ok := errors.AsType[*quic.IdleTimeoutError](err); ok {
		return link.ErrSilent
	}
	if _, ok := errors.AsType[*quic.HandshakeTimeoutError](err); ok {
		return link.ErrNoAnswer
	}
	if _, ok := errors.AsType[*quic.StatelessResetError](err); ok {
		return link.ErrForgotten
	}
	if errors.Is(err, quic.ErrTransportClosed) || errors.Is(err, quic.ErrServerClosed) {
		return net.ErrClosed
	}
	return err
}

func transportWords(e *quic.TransportError) error {
	switch {
	case e.ErrorCode >= alertBase && e.ErrorCode <= alertLast && e.Remote:
		return fmt.Errorf("handshake refused: %w", trust.RemoteAlert(e.ErrorCode-alertBase))
	case e.ErrorCode == quic.ConnectionRefused && e.Remote:
		return &link.CloseError{Code: link.CodeBusy, Reason: "the server has no room for another handshake now, or is stopping", Remote: true}
	default:
		return e
	}
}
