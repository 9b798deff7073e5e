package wire

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/codec"
)

// Limits of what one allocation may hold alone.
const (
	GrantedBytesMax   = 16 << 10 // in its binary form
	GrantedDevicesMax = 64       // requests of devices
	GrantedIDsMax     = 128      // instances of one request
)

// grantedForm is the version of the binary form.
const grantedForm = 1

// Granted is what an allocation alone holds of its node, in its binary form;
// empty: nothing. It is text, so that rows that carry it can be compared, and
// cost nothing when they have none. [Granted.Unpack] reads it.
type Granted string

// Grants is [Granted], read.
type Grants struct {
	Ports   []GrantedPort
	Devices []GrantedDevice
}

// GrantedPort is a port number under its label.
type GrantedPort struct {
	Label  string
	Number uint16
}

// GrantedDevice is what one request of a task got.
type GrantedDevice struct {
	Task   string
	Device string // vendor/type/name
	IDs    []string
}

// Empty reports whether nothing is held.
func (g *Grants) Empty() bool { return len(g.Ports)+len(g.Devices) == 0 }

// Pack is the binary form.
func (g *Grants) Pack() Granted {
	if g.Empty() {
		return ""
	}
	b := codec.AppendUint([]byte{grantedForm}, uint64(len(g.Ports)))
	for _, p := range g.Ports {
		b = codec.AppendUint(codec.AppendString(b, p.Label), uint64(p.Number))
	}
	b = codec.AppendUint(b, uint64(len(g.Devices)))
	for _, d := range g.Devices {
		b = codec.AppendString(codec.AppendString(b, d.Task), d.Device)
		b = codec.AppendUint(b, uint64(len(d.IDs)))
		for _, id := range d.IDs {
			b = codec.AppendString(b, id)
		}
	}
	return Granted(b)
}

// Unpack reads what one allocation holds.
func (g Granted) Unpack() (Grants, error) {
	if g == "" {
		return Grants{}, nil
	}
	r := codec.NewReader([]byte(g))
	out := readGrants(r)
	if err := r.Close(); err != nil {
		return Grants{}, fmt.Errorf("what an allocation holds of its node: %w", err)
	}
	return out, nil
}

// UnpackAll reads what several allocations hold, one after the other.
func (g Granted) UnpackAll() (out []Grants, err error) {
	r := codec.NewReader([]byte(g))
	for r.Left() > 0 && r.Err() == nil {
		out = append(out, readGrants(r))
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("what allocations hold of their node: %w", err)
	}
	return out, nil
}

func readGrants(r *codec.Reader) (out Grants) {
	if v := r.Byte(); v != grantedForm {
		r.Fail(fmt.Errorf("form %d, and this version reads %d", v, grantedForm))
	}
	for range r.Count("ports", fleet.PortsMax, 2) {
		p := GrantedPort{Label: r.String("a port's label", fleet.PortLabelBytesMax), Number: uint16(r.UintMax("a port", 1<<16-1))}
		if p.Number == 0 {
			r.Fail(errors.New("port 0 cannot be held"))
		}
		out.Ports = append(out.Ports, p)
	}
	for range r.Count("devices", GrantedDevicesMax, 3) {
		d := GrantedDevice{Task: r.String("a task's name", fleet.JobIDBytesMax), Device: r.String("a device's name", NameBytesMax)}
		for range r.Count("instances", GrantedIDsMax, 1) {
			d.IDs = append(d.IDs, r.String("an instance's ID", NameBytesMax))
		}
		out.Devices = append(out.Devices, d)
	}
	return out
}

// AppendGranted appends it, with its length.
func AppendGranted(b []byte, g Granted) []byte { return codec.AppendString(b, g) }

// ReadGranted reads and checks what AppendGranted wrote.
func ReadGranted(r *codec.Reader) Granted {
	g := Granted(r.String("what an allocation holds", GrantedBytesMax))
	if _, err := g.Unpack(); err != nil {
		r.Fail(err)
	}
	return g
}

// MarshalText is for JSON, which has no bytes.
func (g Granted) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(g)), nil
}

// UnmarshalText reads and checks what MarshalText wrote.
func (g *Granted) UnmarshalText(text []byte) error {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("what an allocation holds: %w", err)
	}
	if _, err := Granted(b).Unpack(); err != nil {
		return err
	}
	*g = Granted(b)
	return nil
}

// AppendGrantedOf appends what the rows of a list hold, for those that hold
// something: after everything else, and not at all when nobody does. So messages
// of fleets without ports and devices are byte by byte what they were, and servers
// and devices of before them read these.
func AppendGrantedOf(b []byte, n int, of func(i int) Granted) []byte {
	count := uint64(0)
	for i := range n {
		if of(i) != "" {
			count++
		}
	}
	if count == 0 {
		return b
	}
	b = codec.AppendUint(b, count)
	for i := range n {
		if g := of(i); g != "" {
			b = AppendGranted(codec.AppendUint(b, uint64(i)), g)
		}
	}
	return b
}

// ReadGrantedOf reads what AppendGrantedOf wrote for a list of n rows.
func ReadGrantedOf(r *codec.Reader, n int, set func(i int, g Granted)) {
	if r.Left() == 0 || r.Err() != nil {
		return
	}
	count := r.Count("rows that hold something", n, 4)
	if count == 0 && r.Err() == nil {
		r.Fail(errors.New("a list of what rows hold that is empty"))
	}
	next := 0
	for range count {
		i := int(r.UintMax("the position of a row", uint64(max(0, n-1))))
		g := ReadGranted(r)
		switch {
		case r.Err() != nil:
			return
		case i < next || g == "":
			r.Fail(errors.New("what rows hold is out of order, or nothing"))
			return
		}
		next = i + 1
		set(i, g)
	}
}
