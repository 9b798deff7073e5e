package reach

import (
	"errors"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// OutcomeOf is what the error of an attempt, or the end of a link, means for the next one.
func OutcomeOf(err error) Outcome {
	o := Outcome{
		NoAnswer: errors.Is(err, link.ErrNoAnswer), Silent: errors.Is(err, link.ErrSilent),
		Lost: errors.Is(err, link.ErrForgotten) || errors.Is(err, link.ErrBroken) || errors.Is(err, link.ErrSilent),
	}
	if c, ok := link.Closed(err); ok {
		o.Final, o.Spread = !c.Code.Retry(), c.Spread()
		o.Busy = c.Code == link.CodeBusy
		o.Lost = c.Code == link.CodeShutdown || c.Code == link.CodeSilent || o.Busy
		if c.Code == link.CodeRedirect && c.Remote {
			o.Redirect = c.Reason
		}
		return o
	}
	_, o.Final = errors.AsType[*trust.Refusal](err)
	return o
}
