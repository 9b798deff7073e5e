package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Limits of a command beside a task, as it travels between client and region.
const (
	ExecMessageBytesMax = 128 << 10        // of one message, in JSON
	ExecHeartbeatEvery  = 10 * time.Second // both sides show that they are there
	ExecSilenceMax      = 45 * time.Second // then the other side is taken to be gone
	ExecWriteTimeout    = 30 * time.Second // for the other side to take one message
	execInputBytes      = 32 << 10         // of one message of input
)

// ExecInput is one message to a command. An empty one is a heartbeat.
type ExecInput struct {
	Stdin   *ExecPiece    `json:"stdin,omitempty"`
	TTYSize *TerminalSize `json:"tty_size,omitempty"`
}

// ExecOutput is one message of a command. An empty one is a heartbeat.
type ExecOutput struct {
	Stdout *ExecPiece  `json:"stdout,omitempty"`
	Stderr *ExecPiece  `json:"stderr,omitempty"`
	Exited bool        `json:"exited,omitempty"` // Result says how; the last message
	Result *ExecResult `json:"result,omitempty"`
	Error  string      `json:"error,omitempty"` // why there is no result; the last message. Not of the field, whose clients read it, cut, in the end of the connection
}

// ExecPiece is a piece of a stream.
type ExecPiece struct {
	Data  []byte `json:"data,omitempty"`  // base64 in JSON
	Close bool   `json:"close,omitempty"` // nothing comes behind Data
}

// ExecResult is how a command ended.
type ExecResult struct {
	ExitCode int `json:"exit_code"`
}

// TerminalSize is the size of a terminal in characters.
type TerminalSize struct {
	Height int `json:"height,omitempty"`
	Width  int `json:"width,omitempty"`
}

// ExecOptions say what to run.
type ExecOptions struct {
	Task    string // empty: the only task
	Command []string
	TTY     bool // in a terminal; its output then comes as standard output alone
}

// Execution is a command that runs beside a task. Wait must be called, once; the rest may be called from any goroutine.
type Execution struct {
	conn *websocket.Conn
	ctx  context.Context
}

// Exec runs a command beside a task. It ends with ctx, and with the connection.
func (c *Client) Exec(ctx context.Context, id fleet.AllocID, o ExecOptions) (*Execution, error) {
	words, err := json.Marshal(o.Command)
	if err != nil {
		return nil, fmt.Errorf("encode the command: %w", err)
	}
	query := url.Values{"task": {o.Task}, "command": {string(words)}, "tty": {strconv.FormatBool(o.TTY)}}
	if c.region != "" {
		query.Set("region", c.region)
	}
	header := http.Header{}
	if c.token != "" {
		header.Set(TokenHeader, c.token)
	}
	dial, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	conn, res, err := websocket.Dial(dial, c.base.String()+"/v1/client/allocation/"+segment(id)+"/exec?"+query.Encode(), &websocket.DialOptions{
		HTTPClient: c.http, HTTPHeader: header,
	})
	switch {
	case err == nil:
		conn.SetReadLimit(ExecMessageBytesMax)
		return &Execution{conn: conn, ctx: ctx}, nil
	case res != nil && res.StatusCode != http.StatusSwitchingProtocols:
		text, _ := io.ReadAll(io.LimitReader(res.Body, ErrorBytesMax)) // what could be read is all there is to say
		return nil, &Error{Status: res.StatusCode, Message: strings.TrimSpace(string(text))}
	}
	return nil, c.unreachable(err)
}

func (e *Execution) send(in *ExecInput) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode input: %w", err)
	}
	// Not bounded: a command that reads nothing makes its operator wait, and that the region is there Wait sees.
	return e.conn.Write(e.ctx, websocket.MessageText, b)
}

// Write gives the command input. It waits while the command does not read.
func (e *Execution) Write(p []byte) (done int, err error) {
	for done < len(p) {
		n := min(len(p)-done, execInputBytes)
		if err := e.send(&ExecInput{Stdin: &ExecPiece{Data: p[done : done+n]}}); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// CloseInput ends the command's input.
func (e *Execution) CloseInput() error { return e.send(&ExecInput{Stdin: &ExecPiece{Close: true}}) }

// Resize says how large the operator's terminal is.
func (e *Execution) Resize(s TerminalSize) error { return e.send(&ExecInput{TTYSize: &s}) }

// Wait passes the command's output on until it has ended, and returns its exit code: 128 + n after signal n. An error says why there
// is no code.
func (e *Execution) Wait(stdout, stderr io.Writer) (code int, err error) {
	defer e.conn.CloseNow() //nolint:errcheck // all is said
	beating := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(beating)
	wg.Go(func() { e.beat(beating) })
	for {
		var out ExecOutput
		if err := e.read(&out); err != nil {
			return 0, err
		}
		for _, piece := range []struct {
			of *ExecPiece
			to io.Writer
		}{{out.Stdout, stdout}, {out.Stderr, stderr}} {
			if piece.of != nil && len(piece.of.Data) > 0 {
				if _, err := piece.to.Write(piece.of.Data); err != nil {
					return 0, fmt.Errorf("pass output on: %w", err)
				}
			}
		}
		switch {
		case out.Error != "":
			return 0, errors.New(out.Error)
		case out.Exited && out.Result != nil:
			_ = e.conn.Close(websocket.StatusNormalClosure, "") // the region has nothing more to say
			return out.Result.ExitCode, nil
		}
	}
}

func (e *Execution) read(out *ExecOutput) error {
	ctx, cancel := context.WithTimeout(e.ctx, ExecSilenceMax)
	defer cancel()
	_, b, err := e.conn.Read(ctx)
	switch {
	case e.ctx.Err() != nil:
		return context.Cause(e.ctx)
	case ctx.Err() != nil:
		return fmt.Errorf("the region was silent for %s; the command has ended, or ends when the region sees that nobody is here", ExecSilenceMax)
	case err != nil:
		var closed websocket.CloseError
		if errors.As(err, &closed) && closed.Reason != "" {
			return errors.New(closed.Reason)
		}
		return fmt.Errorf("the connection to the command broke off: %w", err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("a message of the command does not decode: %w", err)
	}
	return nil
}

// beat shows the region that somebody is here.
func (e *Execution) beat(done <-chan struct{}) {
	tick := time.NewTicker(ExecHeartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if e.send(&ExecInput{}) != nil {
				return // Wait sees the same
			}
		case <-done:
			return
		case <-e.ctx.Done():
			return
		}
	}
}
