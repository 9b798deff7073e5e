package driver

import (
	"errors"
	"fmt"
)

// ErrTaskGone says that the driver does not know the task: it was destroyed, or lost with what held it.
var ErrTaskGone = errors.New("task is not there any more")

// ErrNotSupported is what a NotSupportedError unwraps to.
var ErrNotSupported = errors.New("not supported by this driver")

// NotSupportedError refuses one facility, in the words of the driver's Capabilities.
type NotSupportedError struct {
	Driver   string
	Facility Facility
	Instead  string
}

func (e *NotSupportedError) Error() string {
	return fmt.Sprintf("driver %q has no %s: %s", e.Driver, e.Facility, e.Instead)
}

func (e *NotSupportedError) Unwrap() error { return ErrNotSupported }

// Refuse is the error for a facility that d does not have, with the words d itself gives.
func Refuse(d Driver, f Facility) error {
	return &NotSupportedError{Driver: d.Name(), Facility: f, Instead: d.Capabilities().Words[f]}
}

// StartError is the error of Start. Recoverable means that the same start may work later (a full disk, a process limit), so
// the restart policy applies; a wrong config stays wrong, and the task fails at once.
type StartError struct {
	Task        string
	Recoverable bool
	Err         error
}

func (e *StartError) Error() string { return fmt.Sprintf("start task %q: %v", e.Task, e.Err) }

func (e *StartError) Unwrap() error { return e.Err }

// IsRecoverable reports whether trying again can help. An error that is not a StartError is taken as recoverable: a task must
// not be given up for a fault that nobody classified.
func IsRecoverable(err error) bool {
	var se *StartError
	if errors.As(err, &se) {
		return se.Recoverable
	}
	return err != nil
}

// CheckHandle refuses a Handle that is not for the named driver or that a newer program wrote.
func CheckHandle(name string, h Handle) error {
	switch {
	case h.Driver != name:
		return fmt.Errorf("handle %q belongs to driver %q, not %q", h.ID, h.Driver, name)
	case h.Version > HandleVersion:
		return fmt.Errorf("handle %q has version %d, newer than %d: %w", h.ID, h.Version, HandleVersion, ErrTaskGone)
	case h.ID == "":
		return fmt.Errorf("handle of driver %q has no ID: %w", name, ErrTaskGone)
	}
	return nil
}
