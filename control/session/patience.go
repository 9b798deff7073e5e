package session

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// Limits of a device that is slow to take what it is sent. A link shows that it lives by its beats, whether or not anybody reads the
// rest of it; so what is sent has its own limit, or a goroutine, its message and perhaps a place would be held for as long as beats come.
const (
	// TakeRateMin is how slowly a device may take what it is sent, in bytes per second, beyond AckTimeout for each message.
	TakeRateMin = 1 << 10
	// FormPieceBytes is what of a module's form is sent at a time.
	FormPieceBytes = 16 << 10
	// ModuleTurn is how long a device may be sent a module when others wait for its place. It resumes where it was given up.
	ModuleTurn = 2 * time.Minute
)

// patience is how long a device may take for n bytes.
func patience(n int) time.Duration {
	return AckTimeout + time.Duration(n)*time.Second/TakeRateMin
}

// say sends messages to a device, which must take them within patience. A long message may still be on its way when say returns.
// Those that are said at once mostly share a packet.
func say(st link.Stream, messages ...wire.Message) error {
	b, err := frames(messages...)
	if err != nil {
		return err
	}
	return send(st, b)
}

func frames(messages ...wire.Message) (all []byte, err error) {
	for _, m := range messages {
		b, err := wire.Encode(m)
		if err != nil {
			return nil, err
		}
		all = append(all, b...)
	}
	return all, nil
}

func send(st link.Stream, b []byte) error {
	limit := patience(len(b))
	if err := st.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	n, err := st.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the device took %d of %d bytes within %s: %w", n, len(b), limit, err)
	}
	return err
}
