package quicnet

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math"
)

// A sealed packet is a datagram beside the QUIC connection, on the same socket. Its first byte has neither of the two bits that
// mark a packet of QUIC (RFC 9443). Its key comes from the link's handshake (RFC 8446, section 7.5), so who sends it has shown who
// it is; it is sealed by AES-128-GCM, with mark and number as nonce and the head as additional data.
//
//	datagram  mark, link, number, sealed payload          the dialling side sends it
//	answer    mark, link, number, one sealed byte         the number is that of the datagram
//	unknown   mark, link, number                          the datagram's link is not known here; not authenticated
//
// An answer is never longer than what it answers, so nobody can be flooded through a server.
const (
	markDatagram = 0x01
	markAnswer   = 0x02
	markUnknown  = 0x03
)

// Sizes in bytes.
const (
	sealedHead = 1 + len(linkID{}) + 4
	sealedTag  = 16
	// SealedMax bounds the payload of a sealed packet; longer datagrams are QUIC's, which knows what the path carries.
	SealedMax = 1000
)

// sealedSecret is the label under which both ends take the key from their handshake.
const sealedSecret = "EXPORTER-dunlin-datagrams"

// linkID names a link on the wire. It is drawn by the handshake: who has not seen the link's packets cannot guess it.
type linkID [6]byte

// sealedKey is what both ends of a link know. The marks keep the nonces of the two directions apart.
type sealedKey struct {
	id     linkID
	secret [16]byte
}

// exporter is tls.ConnectionState's ExportKeyingMaterial.
type exporter func(label string, context []byte, length int) ([]byte, error)

func newSealedKey(export exporter) (k sealedKey, err error) {
	secret, err := export(sealedSecret, nil, len(k.id)+len(k.secret))
	if err != nil {
		return k, err
	}
	copy(k.secret[:], secret[copy(k.id[:], secret):])
	return k, nil
}

// sealedPacket is a packet as it came; body is still sealed.
type sealedPacket struct {
	mark   byte
	id     linkID
	number uint32
	head   []byte
	body   []byte
}

// parseSealed takes a packet apart. The result shares its bytes.
func parseSealed(b []byte) (p sealedPacket, ok bool) {
	if len(b) < sealedHead || len(b) > sealedHead+SealedMax+sealedTag {
		return p, false
	}
	p = sealedPacket{mark: b[0], number: binary.BigEndian.Uint32(b[1+len(p.id):]), head: b[:sealedHead], body: b[sealedHead:]}
	copy(p.id[:], b[1:])
	switch p.mark {
	case markDatagram:
		return p, len(p.body) >= sealedTag
	case markAnswer:
		return p, len(p.body) == sealedTag+1
	case markUnknown:
		return p, len(p.body) == 0
	}
	return p, false
}

func appendHead(b []byte, mark byte, id linkID, number uint32) []byte {
	b = append(append(b, mark), id[:]...)
	return binary.BigEndian.AppendUint32(b, number)
}

// sealer expands the key. An idle link has a packet in half a minute: what expanding costs it, a microsecond, is less than a
// kilobyte kept per link.
func (k *sealedKey) sealer() sealer {
	block, err := aes.NewCipher(k.secret[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a cipher of another block size
	}
	return sealer{k.id, gcm}
}

// sealer makes and opens the packets of one link.
type sealer struct {
	id   linkID
	aead cipher.AEAD
}

// seal makes a packet. A number must never be used twice with one mark.
func (s sealer) seal(mark byte, number uint32, payload []byte) []byte {
	b := make([]byte, 0, sealedHead+len(payload)+sealedTag)
	b = appendHead(b, mark, s.id, number)
	nonce := nonceOf(mark, number)
	return s.aead.Seal(b, nonce[:], payload, b)
}

// open gives the payload of a packet of this link.
func (s sealer) open(p sealedPacket) ([]byte, error) {
	nonce := nonceOf(p.mark, p.number)
	return s.aead.Open(nil, nonce[:], p.body, p.head)
}

func nonceOf(mark byte, number uint32) (nonce [12]byte) {
	nonce[0] = mark
	binary.BigEndian.PutUint32(nonce[8:], number)
	return nonce
}

// numbers tells which numbers have been seen, so that a packet that is sent again by somebody on the way is not heard twice. Those
// further back than windowBits count as seen (RFC 4303, section 3.4.3).
type numbers struct {
	last uint32
	seen uint64 // bit i: last-i
}

const (
	windowBits = 64
	numberLast = math.MaxUint32 // the last number of a link; after it, datagrams are QUIC's
)

// take reports whether a number is new, and marks it.
func (n *numbers) take(number uint32) bool {
	if number > n.last {
		n.seen = n.seen<<min(number-n.last, windowBits) | 1
		n.last = number
		return true
	}
	back := n.last - number
	if number == 0 || back >= windowBits || n.seen>>back&1 != 0 {
		return false
	}
	n.seen |= 1 << back
	return true
}
