package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main is the guest process. It prepares itself, reads one Spec from specR (the end without a spec means that this spare
// was not needed: exit code 0), runs it on file descriptors 0, 1 and 2, writes the Report to reportW as one line of JSON,
// and returns the exit code of the process: the guest's own (255 for one beyond 8 bits), ExitTrap or ExitNotStarted.
//
// A report that cannot be written is not an error here: the host is gone, and the exit code is all that is left to say.
func Main(specR io.Reader, reportW io.Writer) int {
	// What to do when nobody reads its output is up to the guest: by default a broken pipe would end the process, and the
	// report would be lost with it.
	signal.Ignore(syscall.SIGPIPE)
	prepared := Prepare()
	spec, err := ReadSpec(specR)
	if errors.Is(err, io.EOF) {
		return 0
	}
	var rep Report
	if err != nil {
		rep = Report{Error: err.Error(), ExitCode: ExitNotStarted}
	} else if spec.CompileOnly {
		rep = ahead(context.Background(), spec)
	} else {
		rep = prepared.Run(context.Background(), spec, os.Stdin, os.Stdout, os.Stderr)
	}
	line, err := json.Marshal(rep)
	if err == nil {
		_, _ = reportW.Write(append(line, '\n'))
	}
	return rep.processExit()
}
