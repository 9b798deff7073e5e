// Package patch is the coded form in which modules travel: compressed, or as what differs from a module that the receiver
// holds. It is pure: bytes in, bytes out.
//
// The one idea: a module is cut into segments, and each is one zstd frame whose dictionary is the piece of the base where the
// same code is most likely to be. So both ends need memory for one segment and one piece of the base, whatever the size of the
// module (see ApplyMemoryBytes), and a patch is a compressed form with a better dictionary, not a second format.
//
// A delta is a patch whose segments may also be recipes: which stretches of the piece the segment is made of, and what differs in
// them byte by byte, with a guess at what calls and addresses became. A dictionary has to say where each address is that moved; a
// program with one line more has tens of thousands. See recipe.go, align.go and moved.go.
//
// The rejected alternative is one frame with the whole base as dictionary: a receiver would hold both modules in memory, which
// a device with 128 MB cannot for the modules that make patches worth having. It saves a few hundred bytes per segment.
//
// Invariants:
//   - The form is a function of the base, the module and this package's version. It holds no time, no randomness, and the
//     encoder has one goroutine; so a server that dropped a form makes the same bytes again.
//   - A decoder believes nothing: sizes, places and lengths are compared with limits before anything is made for them, and it
//     gives at most as many bytes as the form announced. Whether they are the right ones only the module's digest tells: the
//     blob store that takes them checks it, so nothing is hashed twice here.
//
// Form: "dlp1"; 1 (compressed), 2 (patch) or 3 (delta); the module's size; for the latter two the base's size. Then, per segment:
// for these two where its piece of the base begins; for a delta the byte 0 (the piece is the frame's dictionary) or 1 (a recipe);
// the frame's length; the frame. Numbers are varints.
//
// Threading: functions and values; a Reader belongs to one goroutine.
package patch

import "fmt"

// Sizes of the form, fixed by it, and limits.
const (
	// SegmentBytes is what one frame holds of the module; the last may be shorter.
	SegmentBytes = 2 << 20
	// PieceBytes is how much of the base a frame may refer to.
	PieceBytes = 4 << 20
	// FrameBytesMax bounds one frame: zstd grows what it cannot compress by three bytes per block of 128 KiB.
	FrameBytesMax = SegmentBytes + 4<<10
	// SizeMax bounds a module, in bytes.
	SizeMax = 256 << 20
	// ApplyMemoryBytes is about what a Reader holds at a time: a segment, a frame, a piece of the base and tables.
	ApplyMemoryBytes = SegmentBytes + RunsBytesMax + FrameBytesMax + PieceBytes + 1<<20
)

const (
	magic          = "dlp1"
	formCompressed = 1
	formPatch      = 2
	formDelta      = 3
	kindFrame      = 0
	kindRecipe     = 1
	dictID         = 1
	// windowBytes must reach over a segment and its piece of the base.
	windowBytes = 8 << 20
)

// FormError says that bytes are not a form that this package makes, or not for this base.
type FormError struct{ Reason string }

// Error says what is wrong.
func (e *FormError) Error() string {
	return "the coded module is not understood: " + e.Reason + "; fetch it whole"
}

func wrong(format string, args ...any) error { return &FormError{fmt.Sprintf(format, args...)} }
