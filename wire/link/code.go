package link

import (
	"errors"
	"fmt"
)

// Code says why a link or a stream was ended on purpose. Codes travel; never renumber them.
type Code uint64

// The codes.
const (
	CodeDone     Code = 0  // all is said
	CodeShutdown Code = 1  // this process stops; come back later
	CodeRefused  Code = 2  // the peer may not do this; coming back does not help
	CodeReplaced Code = 3  // a newer link of the same peer took over
	CodeProtocol Code = 4  // the peer broke the protocol
	CodeBusy     Code = 5  // a limit is reached; come back later, with jitter
	CodeRevoked  Code = 6  // the peer's identity was revoked; it must join again
	CodeInternal Code = 7  // a fault on the side that ended it
	CodeCanceled Code = 8  // nobody wants the answer any more
	CodeRedirect Code = 9  // another server serves this; the reason names it
	CodeSilent   Code = 10 // nothing was heard of the peer for too long; it may come back at once
)

var codeNames = [...]string{"done", "shutdown", "refused", "replaced", "protocol error", "busy", "revoked", "internal error", "canceled", "redirect", "silent"}

// String is the code in words; a code of a newer version reads "code N".
func (c Code) String() string {
	if c < Code(len(codeNames)) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint64(c))
}

// Retry reports whether coming back later may help.
func (c Code) Retry() bool { return c != CodeRefused && c != CodeRevoked && c != CodeProtocol }

// CloseError is the reason of a link that one side closed.
type CloseError struct {
	Code   Code
	Reason string
	Remote bool // the peer closed it
}

// Error names the side, the code and the reason.
func (e *CloseError) Error() string {
	side := "link closed"
	if e.Remote {
		side = "link closed by the peer"
	}
	if e.Reason == "" {
		return fmt.Sprintf("%s (%s)", side, e.Code)
	}
	return fmt.Sprintf("%s (%s): %s", side, e.Code, e.Reason)
}

// ResetError is the error of a stream that one side gave up.
type ResetError struct {
	Code   Code
	Remote bool // the peer gave it up
}

// Error names the side and the code.
func (e *ResetError) Error() string {
	if e.Remote {
		return fmt.Sprintf("stream reset by the peer (%s)", e.Code)
	}
	return fmt.Sprintf("stream reset (%s)", e.Code)
}

// The reasons of a link that nobody closed.
var (
	// ErrSilent: nothing came from the peer for the idle timeout.
	ErrSilent = errors.New("link lost: nothing heard from the peer for too long")
	// ErrForgotten: the peer answered that it does not know the link; it was restarted.
	ErrForgotten = errors.New("link lost: the peer was restarted and does not know it any more")
	// ErrBroken: a TCP connection ended without a word. A process that dies leaves this behind at once.
	ErrBroken = errors.New("link lost: the connection was broken off; the peer's process ended, or something on the path cut it")
	// ErrNoAnswer: nobody answered while dialling.
	ErrNoAnswer = errors.New("no answer: check the address, that the server runs, and that UDP to its port is not filtered")
)

// DatagramSizeError says that a datagram is too long for the path.
type DatagramSizeError struct{ Size, Max int }

// Error names both sizes, in bytes.
func (e *DatagramSizeError) Error() string {
	return fmt.Sprintf("datagram of %d bytes; this path takes at most %d", e.Size, e.Max)
}

// Closed finds the CloseError in an error, if one side closed the link.
func Closed(err error) (*CloseError, bool) { return errors.AsType[*CloseError](err) }
