package reach

import (
	"fmt"
	"testing"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// What ended a link decides how soon its device comes back, and whether it does.
func TestOutcomeOfALinkThatWasClosed(t *testing.T) {
	for code, want := range map[link.Code]Outcome{
		link.CodeShutdown: {Lost: true},
		link.CodeSilent:   {Lost: true}, // the server heard nothing of this device for too long, as of many others perhaps
		link.CodeBusy:     {Lost: true, Busy: true},
		link.CodeReplaced: {},
		link.CodeRevoked:  {Final: true},
	} {
		err := fmt.Errorf("the link ended: %w", &link.CloseError{Code: code, Remote: true})
		if got := OutcomeOf(err); got != want {
			t.Errorf("%s: %+v; want %+v", code, got, want)
		}
	}
}
