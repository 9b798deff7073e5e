package tlsnet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/dunlin-edge/dunlin/wire/link"
)

// errNoAnswer is link.ErrNoAnswer in the words of TCP.
var errNoAnswer error = noAnswer{}

type noAnswer struct{}

func (noAnswer) Error() string {
	return "no answer: check the address, that the server runs and serves TLS there (ports { tls = … }), and that TCP to its port is not filtered"
}

func (noAnswer) Is(err error) bool { return err == link.ErrNoAnswer }

// errCut says that a connection was made and ended within the handshake.
var errCut = errors.New("the connection was cut within the handshake: what listens there is no server of Dunlin's, or something on the path lets no TLS through")

// words turns the error of a connection into that of a link.
func words(err error) error {
	switch {
	case err == nil:
		return nil
	case timedOut(err), errors.Is(err, os.ErrDeadlineExceeded):
		return link.ErrSilent
	case broken(err):
		return link.ErrBroken
	default:
		return err
	}
}

func timedOut(err error) bool { return errors.Is(err, syscall.ETIMEDOUT) }

func broken(err error) bool {
	for _, is := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, errnoAborted} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
