package fleet

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is nanoseconds in JSON, as the public API has it, and a Go duration
// string in job files. JSON strings ("30s") are accepted too, because people
// write JSON by hand.
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String formats d as Go does ("1m30s").
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalJSON reads a number of nanoseconds or a duration string.
func (d *Duration) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		v, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration; write for example \"30s\" or \"1h15m\"", s)
		}
		*d = Duration(v)
		return nil
	}
	var n int64
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("a duration is nanoseconds or a string such as \"30s\", not %s", b)
	}
	*d = Duration(n)
	return nil
}

// Ptr returns a pointer to v, for fields whose default is not zero.
func Ptr[T any](v T) *T { return &v }

// Or returns what p points to, or def when p is nil.
func Or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}
