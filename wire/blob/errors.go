package blob

import (
	"errors"
	"fmt"
)

// ErrBusy says that somebody else is writing the same blob now; wait for them.
var ErrBusy = errors.New("the blob is being written already")

// NotFoundError says that a blob is not in the store.
type NotFoundError struct{ Digest Digest }

// Error names the blob.
func (e *NotFoundError) Error() string { return fmt.Sprintf("no blob %s in the store", e.Digest) }

// MismatchError says that a content is not what it was announced as. Nothing of it was kept.
type MismatchError struct{ Want, Got Digest }

// Error names both digests.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("blob %s: the content has digest %s; dropped, fetch it again", e.Want, e.Got)
}

// SizeError says that a content is shorter or longer than announced. What had arrived is kept.
type SizeError struct {
	Digest    Digest
	Want, Got int64 // bytes
}

// Error names both sizes.
func (e *SizeError) Error() string {
	if e.Got < e.Want {
		return fmt.Sprintf("blob %s: %d of %d bytes are here; go on from there", e.Digest, e.Got, e.Want)
	}
	return fmt.Sprintf("blob %s: %d bytes came, %d were announced", e.Digest, e.Got, e.Want)
}

// FullError says that a blob does not fit, even after all that may go is gone.
type FullError struct {
	Need   int64 // bytes asked for
	Max    int64 // the store's limit
	Pinned int64 // bytes that must stay: pinned, open or being written
}

// Error shows the numbers.
func (e *FullError) Error() string {
	return fmt.Sprintf("blob store full: %d bytes needed, %d of at most %d are in use and may not be removed; raise the limit or stop jobs that hold modules", e.Need, e.Pinned, e.Max)
}

// CorruptError says that a stored blob had changed on disk. It was removed.
type CorruptError struct{ Digest, Got Digest }

// Error names both digests.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("blob %s had changed on disk (its content has digest %s) and was removed; check the disk", e.Digest, e.Got)
}
