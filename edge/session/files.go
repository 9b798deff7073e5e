package session

import (
	"context"
	"errors"
	"math"

	"github.com/dunlin-edge/dunlin/edge/allocfs"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// serveFiles shows an allocation's files. What is wrong with the request is said in the answer; the link stays.
func (s *Session) serveFiles(ctx context.Context, st link.Stream) error {
	defer st.Close() //nolint:errcheck // the reader is gone or has all
	var req wire.FsRequest
	if err := readSoon(st, &req); err != nil {
		if isReset(err) || ctx.Err() != nil {
			return nil
		}
		return protocolErrorf("a request for files cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(st.Context(), cancel)() // the one who follows has gone
	out := &paced{st, ctx, s.opts.Meter, traffic.Logs}
	files, err := s.opts.Device.Files(ctx, req.Alloc)
	if err != nil {
		s.answerFiles(out, &wire.FsAnswer{Refusal: refusalOf(err), Error: bounded(err)})
		return nil
	}
	defer files.Close() //nolint:errcheck // read only
	if req.Verb == wire.FsRead {
		s.sendFile(ctx, st, out, files, &req)
		return nil
	}
	s.answerFiles(out, describeFiles(files, &req))
	return nil
}

func describeFiles(files *allocfs.FS, req *wire.FsRequest) *wire.FsAnswer {
	var a wire.FsAnswer
	var err error
	if req.Verb == wire.FsList {
		a.Files, a.More, err = files.List(req.Path, wire.FsEntriesMax)
	} else {
		a.Files = make([]fleet.FileInfo, 1)
		a.Files[0], err = files.Stat(req.Path)
	}
	if err != nil {
		return &wire.FsAnswer{Refusal: refusalOf(err), Error: bounded(err)}
	}
	return &a
}

func (s *Session) sendFile(ctx context.Context, st link.Stream, out *paced, files *allocfs.FS, req *wire.FsRequest) {
	f, err := files.Read(req.Path, allocfs.Range{
		FromEnd: req.FromEnd, Offset: int64(min(req.Offset, math.MaxInt64)), Limit: int64(min(req.Limit, math.MaxInt64)),
		TailLines: int(min(req.TailLines, math.MaxInt32)), Follow: req.Follow,
	})
	if err != nil {
		s.answerFiles(out, &wire.FsAnswer{Refusal: refusalOf(err), Error: bounded(err)})
		return
	}
	defer f.Close() //nolint:errcheck // read only
	if err := wire.Write(out, &wire.FsAnswer{Offset: uint64(f.Offset())}); err != nil {
		return // gone
	}
	err = f.Each(ctx, func(piece []byte, what allocfs.Event) error {
		err := wire.Write(out, &wire.FsPiece{Data: piece, Event: eventOf(what)})
		if err != nil {
			return &goneError{err}
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return
	}
	if _, gone := errors.AsType[*goneError](err); gone {
		return
	}
	if err := wire.Write(out, &wire.FsPiece{Event: wire.FsBroken, Error: bounded(err)}); err != nil {
		st.Reset(link.CodeInternal)
	}
}

// goneError says that nobody reads any more.
type goneError struct{ error }

func eventOf(e allocfs.Event) wire.FsEvent {
	switch e {
	case allocfs.Truncated:
		return wire.FsTruncated
	case allocfs.Deleted:
		return wire.FsDeleted
	}
	return wire.FsNoEvent
}

func refusalOf(err error) wire.FsRefusal {
	switch {
	case errors.Is(err, allocfs.ErrNotFound):
		return wire.FsNotFound
	case errors.Is(err, allocfs.ErrForbidden):
		return wire.FsForbidden
	case errors.Is(err, allocfs.ErrMisplaced):
		return wire.FsMisplaced
	}
	return wire.FsFailed
}

// bounded is an error as it fits into an answer.
func bounded(err error) string {
	text := err.Error()
	return text[:min(len(text), wire.ErrorBytesMax)]
}

func (s *Session) answerFiles(out *paced, a *wire.FsAnswer) {
	if err := wire.Write(out, a); err != nil {
		s.opts.Log.Debug("nobody waits for the answer about files any more", "error", err)
	}
}
