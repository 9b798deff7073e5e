package fleet

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestUUIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		got, err := ParseUUID(u.String())
		if err != nil || got != u {
			t.Fatalf("%s: %v, %v", u, got, err)
		}
		if up, err := ParseUUID(strings.ToUpper(u.String())); err != nil || up != u {
			t.Fatalf("upper case: %v, %v", up, err)
		}
		m := MintUUID(u).String()
		if m[14] != '4' || !strings.ContainsRune("89ab", rune(m[19])) || MintUUID(u).IsZero() {
			t.Fatalf("%s is not a version 4 UUID", m)
		}
	})
}

func TestParseUUIDRefuses(t *testing.T) {
	for _, s := range []string{"", "x", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000",
		"00000000+0000-0000-0000-000000000000", "0000000g-0000-0000-0000-000000000000"} {
		if u, err := ParseUUID(s); err == nil || !u.IsZero() {
			t.Errorf("%q gave %s, %v", s, u, err)
		}
	}
}

func TestShortID(t *testing.T) {
	if got := ShortID(AllocID("12345678-9")); got != "12345678" {
		t.Error(got)
	}
	if got := ShortID(NodeID("123")); got != "123" {
		t.Error(got)
	}
}

func FuzzParseUUID(f *testing.F) {
	f.Add("6ba7b810-9dad-41d1-80b4-00c04fd430c8")
	f.Add("6BA7B810-9DAD-41D1-80B4-00C04FD430C8")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := ParseUUID(s); err == nil && u.String() != strings.ToLower(s) {
			t.Fatalf("%q became %s", s, u)
		}
	})
}
