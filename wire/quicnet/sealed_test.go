package quicnet

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

func drawKey(t *rapid.T) sealedKey {
	k, err := newSealedKey(func(label string, context []byte, n int) ([]byte, error) {
		return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, label), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What one end seals the other opens; changed in any bit, or taken for another mark or number, it is refused.
func TestSealedPacketsOpenAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKey(t)
		mark := rapid.SampledFrom([]byte{markDatagram, markAnswer}).Draw(t, "mark")
		number := rapid.Uint32().Draw(t, "number")
		payload := []byte{1}
		if mark == markDatagram {
			payload = rapid.SliceOfN(rapid.Byte(), 0, SealedMax).Draw(t, "payload")
		}
		b := k.sealer().seal(mark, number, payload)
		if !sealed(b) || len(b) != sealedHead+len(payload)+sealedTag {
			t.Fatalf("%d bytes, first %#x", len(b), b[0])
		}
		p, ok := parseSealed(b)
		if !ok || p.mark != mark || p.number != number || p.id != k.id {
			t.Fatalf("parsed %+v, %t", p, ok)
		}
		if got, err := k.sealer().open(p); err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("opened %x, %v; want %x", got, err, payload)
		}
		bit := rapid.IntRange(0, 8*len(b)-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		if p, ok := parseSealed(b); ok && p.mark != markUnknown {
			if got, err := k.sealer().open(p); err == nil {
				t.Fatalf("with bit %d changed it opens as %x", bit, got)
			}
		}
		b[bit/8] ^= 1 << (bit % 8)
		if p, ok := parseSealed(b); ok {
			other := drawKey(t)
			if _, err := other.sealer().open(p); err == nil && other.secret != k.secret {
				t.Fatal("another link's key opens it")
			}
		}
	})
}

// Numbers against the model that remembers all of them.
func TestANumberIsTakenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n numbers
		taken, last := map[uint32]bool{}, uint32(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			number := last + uint32(rapid.IntRange(-2*windowBits, 2*windowBits).Draw(t, "step"))
			if rapid.IntRange(0, 40).Draw(t, "far") == 0 {
				number = rapid.Uint32().Draw(t, "number")
			}
			want := number != 0 && !taken[number] && (number > last || last-number < windowBits)
			if got := n.take(number); got != want {
				t.Fatalf("%d after %d: taken %t; want %t", number, last, got, want)
			}
			if want {
				taken[number] = true
				last = max(last, number)
			}
		}
	})
}

func FuzzParseSealed(f *testing.F) {
	k := sealedKey{id: linkID{1, 2, 3, 4, 5, 6}}
	f.Add(k.sealer().seal(markDatagram, 1, []byte("beat")))
	f.Add(k.sealer().seal(markAnswer, 1<<31, []byte{flagMoved}))
	f.Add(appendHead(nil, markUnknown, k.id, 7))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseSealed(b)
		if !ok {
			return
		}
		if again := append(appendHead(nil, p.mark, p.id, p.number), p.body...); !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %+v", b, p)
		}
		if payload, err := k.sealer().open(p); err == nil && len(payload) > SealedMax {
			t.Fatalf("a payload of %d bytes", len(payload))
		}
	})
}
