package wire

import (
	"fmt"

	"github.com/dunlin-edge/dunlin/wire/codec"
)

// A module travels on a stream of its own: the device sends a ModuleRequest, the server a ModuleAnswer that says in which form
// it would come, the device a ModuleFrom, and then the bytes of the form come from there to its end.
//
// The form's bytes have a digest, and that is what a resumed fetch goes by: the device looks what it has under that name. So
// an offset always means the same bytes, nobody needs to remember which form was begun, and a server that makes a form again
// and gets other bytes has another name for them. The price is a round trip per module.

// Limits of a ModuleRequest.
const (
	ModuleHoldsMax = 16 // modules that may serve as base of a patch
	ModuleBegunMax = 8  // forms that were begun
)

// Encoding is how the bytes of a form stand for the module.
type Encoding byte

// Encodings. They are on the wire: never renumber.
const (
	EncodingWhole      Encoding = 1 // the module itself; the form's digest is the module's
	EncodingCompressed Encoding = 2 // wire/patch, without a base
	EncodingPatch      Encoding = 3 // wire/patch, with a base that the device holds
	EncodingDelta      Encoding = 4 // the same, following what moved
)

// String is the encoding's name.
func (e Encoding) String() string {
	switch e {
	case EncodingWhole:
		return "whole"
	case EncodingCompressed:
		return "compressed"
	case EncodingPatch:
		return "patch"
	case EncodingDelta:
		return "delta"
	}
	return fmt.Sprintf("encoding %d", byte(e))
}

// ModuleRequest asks for a module.
type ModuleRequest struct {
	Digest    string        // "sha256:…"
	WholeOnly bool          // no other encoding is taken, because one has failed
	Holds     []string      // digests of modules that are here, likeliest base first
	Begun     []ModuleBegun // forms that are here in part, so that the least that is missing can be chosen
	// Takes is the newest encoding that is understood; those before it are too. An older device does not say: EncodingPatch.
	Takes Encoding
}

// ModuleBegun is a form that a device has in part, of whatever module.
type ModuleBegun struct {
	Form  string // digest
	Bytes uint64
}

// Type implements [Message].
func (*ModuleRequest) Type() byte { return typeModuleRequest }

// Append implements [Message].
func (m *ModuleRequest) Append(b []byte) []byte {
	b = codec.AppendBool(codec.AppendString(b, m.Digest), m.WholeOnly)
	b = codec.AppendUint(b, uint64(len(m.Holds)))
	for _, d := range m.Holds {
		b = codec.AppendString(b, d)
	}
	b = codec.AppendUint(b, uint64(len(m.Begun)))
	for _, p := range m.Begun {
		b = codec.AppendUint(codec.AppendString(b, p.Form), p.Bytes)
	}
	return append(b, byte(m.Takes))
}

// Decode implements [Message].
func (m *ModuleRequest) Decode(r *codec.Reader) {
	m.Digest = r.String("a digest", NameBytesMax)
	m.WholeOnly = r.Bool()
	for range r.Count("held modules", ModuleHoldsMax, 1) {
		m.Holds = append(m.Holds, r.String("a digest", NameBytesMax))
	}
	for range r.Count("begun forms", ModuleBegunMax, 2) {
		m.Begun = append(m.Begun, ModuleBegun{Form: r.String("a digest", NameBytesMax), Bytes: r.Uint()})
	}
	if m.Takes = EncodingPatch; r.Err() == nil && r.Left() > 0 {
		m.Takes = Encoding(r.Byte())
	}
}

// ModuleAnswer says in which form a module would come.
type ModuleAnswer struct {
	Encoding Encoding
	Base     string // of a patch or delta: digest
	Size     uint64 // of the module, bytes
	Form     string // digest of the form's bytes
	FormSize uint64 // of the form, bytes
	Error    string // not empty: nothing comes, and the rest means nothing
}

// Type implements [Message].
func (*ModuleAnswer) Type() byte { return typeModuleAnswer }

// Append implements [Message].
func (m *ModuleAnswer) Append(b []byte) []byte {
	b = codec.AppendString(append(b, byte(m.Encoding)), m.Base)
	b = codec.AppendString(codec.AppendUint(b, m.Size), m.Form)
	return codec.AppendString(codec.AppendUint(b, m.FormSize), m.Error)
}

// Decode implements [Message].
func (m *ModuleAnswer) Decode(r *codec.Reader) {
	m.Encoding = Encoding(r.Byte())
	m.Base = r.String("a digest", NameBytesMax)
	m.Size = r.Uint()
	m.Form = r.String("a digest", NameBytesMax)
	m.FormSize = r.Uint()
	m.Error = r.String("an error", ErrorBytesMax)
	if r.Err() == nil && m.Error == "" && (m.Encoding < EncodingWhole || m.Encoding > EncodingDelta) {
		r.Fail(fmt.Errorf("unknown encoding %d of a module", m.Encoding))
	}
}

// ModuleFrom asks for the bytes of the form that was offered, from an offset to the end.
type ModuleFrom struct{ Offset uint64 }

// Type implements [Message].
func (*ModuleFrom) Type() byte { return typeModuleFrom }

// Append implements [Message].
func (m *ModuleFrom) Append(b []byte) []byte { return codec.AppendUint(b, m.Offset) }

// Decode implements [Message].
func (m *ModuleFrom) Decode(r *codec.Reader) { m.Offset = r.Uint() }
