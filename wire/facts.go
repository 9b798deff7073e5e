package wire

import (
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// FactsMax bounds the facts of one message, set and unset each; a device with
// more changes sends several.
const FactsMax = 64

// Attribute is one ${attr.…} of a node.
type Attribute struct{ Name, Value string }

// Facts is what changed of a node's attributes since it registered on this link,
// or since the last acknowledged message: a difference, so that a device need not
// describe itself anew because it became warmer.
type Facts struct {
	Seq   uint64 // rises by one with each message of a link
	Set   []Attribute
	Unset []string // not known any more
}

// Type implements [Message].
func (*Facts) Type() byte { return typeFacts }

// Append implements [Message].
func (m *Facts) Append(b []byte) []byte {
	return AppendAttributes(codec.AppendUint(b, m.Seq), m.Set, m.Unset)
}

// Decode implements [Message].
func (m *Facts) Decode(r *codec.Reader) {
	m.Seq = r.Uint()
	m.Set, m.Unset = ReadAttributes(r)
}

// AppendAttributes appends the binary form of a difference. The replicated
// command uses the same form.
func AppendAttributes(b []byte, set []Attribute, unset []string) []byte {
	b = codec.AppendUint(b, uint64(len(set)))
	for _, a := range set {
		b = codec.AppendString(codec.AppendString(b, a.Name), a.Value)
	}
	b = codec.AppendUint(b, uint64(len(unset)))
	for _, name := range unset {
		b = codec.AppendString(b, name)
	}
	return b
}

// ReadAttributes reads what AppendAttributes wrote.
func ReadAttributes(r *codec.Reader) (set []Attribute, unset []string) {
	for range r.Count("facts", FactsMax, 2) {
		set = append(set, Attribute{
			Name: r.String("a fact's name", NameBytesMax), Value: r.String("a fact's value", fleet.NodeAttributeBytesMax),
		})
	}
	for range r.Count("facts that are gone", FactsMax, 1) {
		unset = append(unset, r.String("a fact's name", NameBytesMax))
	}
	return set, unset
}

// FactsAck says that the message of that number is committed in the region.
type FactsAck struct{ Seq uint64 }

// Type implements [Message].
func (*FactsAck) Type() byte { return typeFactsAck }

// Append implements [Message].
func (m *FactsAck) Append(b []byte) []byte { return codec.AppendUint(b, m.Seq) }

// Decode implements [Message].
func (m *FactsAck) Decode(r *codec.Reader) { m.Seq = r.Uint() }
