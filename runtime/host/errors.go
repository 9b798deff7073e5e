package host

import (
	"errors"
	"fmt"
)

// Code is the closed set of reasons a host refuses.
type Code string

// The codes.
const (
	CodeBadRequest   Code = "bad_request"   // the same call will never work
	CodeGone         Code = "gone"          // the task is not known
	CodeStart        Code = "start"         // the program cannot be run: missing, not executable
	CodeResource     Code = "resource"      // no more processes, descriptors, memory, disk; may work later
	CodeLimit        Code = "limit"         // a named limit of the host is reached; may work later
	CodeNotSupported Code = "not_supported" // not for this kind of task
	CodeClosing      Code = "closing"       // the host is about to exit; ask the next one
	CodeInternal     Code = "internal"
)

// Error is a refusal that crossed the socket.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return "host: " + e.Text }

// Is lets errors.Is compare by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Text == ""
}

// Errors to compare with errors.Is.
var (
	ErrTaskGone     error = &Error{Code: CodeGone}
	ErrNotSupported error = &Error{Code: CodeNotSupported}
	errClosing      error = &Error{Code: CodeClosing}
)

// CodeOf is the code of err, or CodeInternal when it did not come from a host.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// asError makes any error fit to cross the socket.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Text: err.Error()}
}

func gone(id string) *Error { return refuse(CodeGone, "task %q is not known", id) }
