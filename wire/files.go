package wire

import (
	"fmt"
	"math"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Files of an allocation are read on a stream of [KindFiles] that the server opens: an FsRequest, the device's FsAnswer, and for
// FsRead as many FsPieces as it takes until the stream ends. The bytes come in pieces and not bare, as those of a log do, because a
// file that is followed may be cut off or go, which its reader must be told in its place between the bytes.

// Limits of what is said about files.
const (
	PathBytesMax    = 4 << 10  // of a path that is asked for
	FsEntriesMax    = 4096     // of a folder; a longer listing is cut, and says so
	FsPieceBytesMax = 32 << 10 // of one FsPiece
)

// FsVerb is what is wanted of a path.
type FsVerb byte

// The verbs. They are on the wire: never renumber.
const (
	FsList FsVerb = 1 // what is in a folder
	FsStat FsVerb = 2 // one file or folder
	FsRead FsVerb = 3 // the bytes of a file
)

// FsRefusal is the kind of a device's no.
type FsRefusal byte

// The kinds. They are on the wire: never renumber.
const (
	FsGranted   FsRefusal = 0
	FsNotFound  FsRefusal = 1
	FsForbidden FsRefusal = 2 // outside of the allocation's folder, or a secret
	FsMisplaced FsRefusal = 3 // a folder where a file was wanted, or the other way round
	FsFailed    FsRefusal = 4 // the disk, or the device, could not
)

// FsRequest asks for a folder's list, for what a file is, or for its bytes.
type FsRequest struct {
	Alloc     fleet.UUID
	Verb      FsVerb
	Path      string // from the allocation's folder; empty: the folder itself
	FromEnd   bool   // Offset counts back from the end
	Offset    uint64 // bytes
	Limit     uint64 // bytes; 0: to the end
	TailLines uint64 // not zero: the last lines instead of an offset
	Follow    bool
}

// Type implements [Message].
func (*FsRequest) Type() byte { return typeFsRequest }

// Append implements [Message].
func (m *FsRequest) Append(b []byte) []byte {
	b = codec.AppendString(append(append(b, m.Alloc[:]...), byte(m.Verb)), m.Path)
	b = codec.AppendUint(codec.AppendUint(codec.AppendBool(b, m.FromEnd), m.Offset), m.Limit)
	return codec.AppendBool(codec.AppendUint(b, m.TailLines), m.Follow)
}

// Decode implements [Message].
func (m *FsRequest) Decode(r *codec.Reader) {
	m.Alloc = r.UUID()
	m.Verb = FsVerb(r.Byte())
	m.Path = r.String("a path", PathBytesMax)
	m.FromEnd = r.Bool()
	m.Offset, m.Limit, m.TailLines = r.Uint(), r.Uint(), r.Uint()
	m.Follow = r.Bool()
	if r.Err() == nil && (m.Verb < FsList || m.Verb > FsRead) {
		r.Fail(fmt.Errorf("unknown verb %d for a file", m.Verb))
	}
}

// FsAnswer is the device's answer to an FsRequest.
type FsAnswer struct {
	Refusal FsRefusal
	Error   string           // of a refusal
	Files   []fleet.FileInfo // of FsList by name, of FsStat one
	More    bool             // the folder has more than FsEntriesMax; which of them are in Files is chance
	Offset  uint64           // of FsRead: where in the file the first piece is from
}

// Type implements [Message].
func (*FsAnswer) Type() byte { return typeFsAnswer }

// Append implements [Message].
func (m *FsAnswer) Append(b []byte) []byte {
	b = codec.AppendString(append(b, byte(m.Refusal)), m.Error)
	b = codec.AppendUint(b, uint64(len(m.Files)))
	for i := range m.Files {
		f := &m.Files[i]
		b = codec.AppendInt(codec.AppendBool(codec.AppendString(b, f.Name), f.IsDir), f.Size)
		b = codec.AppendInt(codec.AppendString(b, f.FileMode), f.ModTime.UnixNano())
		b = codec.AppendString(b, f.ContentType)
	}
	return codec.AppendUint(codec.AppendBool(b, m.More), m.Offset)
}

// Decode implements [Message].
func (m *FsAnswer) Decode(r *codec.Reader) {
	m.Refusal = FsRefusal(r.Byte())
	m.Error = r.String("an error", ErrorBytesMax)
	for range r.Count("files", FsEntriesMax, 6) {
		f := fleet.FileInfo{Name: r.String("a file's name", NameBytesMax), IsDir: r.Bool(), Size: r.Int(), FileMode: r.String("a file's mode", NameBytesMax)}
		f.ModTime = time.Unix(0, r.Int()).UTC()
		f.ContentType = r.String("a file's content type", NameBytesMax)
		m.Files = append(m.Files, f)
	}
	m.More = r.Bool()
	m.Offset = r.Uint()
	if r.Err() == nil && m.Refusal > FsFailed {
		r.Fail(fmt.Errorf("unknown refusal %d of a file", m.Refusal))
	}
	if r.Err() == nil && m.Offset > math.MaxInt64 {
		r.Fail(fmt.Errorf("offset %d is beyond any file", m.Offset))
	}
}

// FsEvent is what became of a file that is followed.
type FsEvent byte

// The events. They are on the wire: never renumber.
const (
	FsNoEvent   FsEvent = 0
	FsTruncated FsEvent = 1 // it was cut or replaced; what comes next is from its beginning
	FsDeleted   FsEvent = 2 // nothing comes next
	FsBroken    FsEvent = 3 // it cannot be read any more, because of Error; nothing comes next
)

// FsPiece is a piece of a file, or what happened to it.
type FsPiece struct {
	Data  []byte
	Event FsEvent
	Error string
}

// Type implements [Message].
func (*FsPiece) Type() byte { return typeFsPiece }

// Append implements [Message].
func (m *FsPiece) Append(b []byte) []byte {
	return codec.AppendString(append(codec.AppendBytes(b, m.Data), byte(m.Event)), m.Error)
}

// Decode implements [Message].
func (m *FsPiece) Decode(r *codec.Reader) {
	m.Data = r.Bytes("a piece of a file", FsPieceBytesMax)
	m.Event = FsEvent(r.Byte())
	m.Error = r.String("an error", ErrorBytesMax)
	if r.Err() == nil && m.Event > FsBroken {
		r.Fail(fmt.Errorf("unknown event %d of a file", m.Event))
	}
}
