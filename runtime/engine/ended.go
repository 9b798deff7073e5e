package engine

import (
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/sys"
)

// ended fills in how a guest that ran came to its end. err is what its _start returned.
//
// OOM is a judgement from two facts, since no guest says "I died of memory": the last request to grow was refused by our
// limit, and the end was not a good one. A refusal that the guest survived with a later success, or with exit code 0, does
// not count.
func (rep *Report) ended(err error, refused bool) {
	var exit *sys.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		rep.ExitCode = int(int32(exit.ExitCode()))
	default:
		rep.ExitCode = ExitTrap
		rep.Trap = trapText(err)
	}
	rep.OOM = refused && rep.ExitCode != 0
}

const trapMark = "wasm error: "

// ranIntoTrap tells a trap in a module's start function from a failure to make the instance.
func ranIntoTrap(err error) bool {
	var exit *sys.ExitError
	return errors.As(err, &exit) || strings.Contains(err.Error(), trapMark)
}

// trapText is the cause and then the guest's stack, at most TrapBytesMax, cut at a line where there is one.
func trapText(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, trapMark); ok {
		text = after
	}
	if len(text) <= TrapBytesMax {
		return text
	}
	text = text[:TrapBytesMax]
	if i := strings.LastIndexByte(text, '\n'); i > 0 {
		return text[:i]
	}
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}

// processExit is the exit code for the operating system, which has 8 bits: a guest's code beyond them must not turn into
// 0, so it becomes 255. The report carries the exact one.
func (rep *Report) processExit() int {
	if rep.ExitCode < 0 || rep.ExitCode > math.MaxUint8 {
		return math.MaxUint8
	}
	return rep.ExitCode
}
