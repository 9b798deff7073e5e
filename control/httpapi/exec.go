package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/wire"
)

// closeReasonBytes is what the end of a WebSocket connection has room for.
const closeReasonBytes = 123

// exec runs a command beside a task, over a WebSocket connection with the messages of the field. What can be refused is refused
// before the connection is one, because then there is a status and room for words.
func (a *API) exec(w http.ResponseWriter, r *http.Request) error {
	_, row, node, err := a.placed(r)
	if err != nil {
		return err
	}
	ask, err := execRequest(r, row)
	if err != nil {
		return err
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return refuse(http.StatusUpgradeRequired, "a command beside a task is run over a WebSocket connection; use dunlin alloc exec")
	}
	done, err := take(a.execs, "commands beside tasks")
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := a.startExec(ctx, node, *ask)
	if err != nil {
		return err
	}
	// Whether the page that asks may do so was decided before, as for every path.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		a.Logger.Debug("a WebSocket handshake failed", "error", err)
		return nil // it has been answered
	}
	defer conn.CloseNow() //nolint:errcheck // ended by then
	conn.SetReadLimit(api.ExecMessageBytesMax)
	c.conn = conn
	c.serve(ctx, cancel)
	return nil
}

func execRequest(r *http.Request, row *state.Alloc) (*wire.ExecRequest, error) {
	ask := &wire.ExecRequest{Alloc: row.ID}
	var err error
	if ask.Task, err = taskOf(row.GroupSpec(), r.URL.Query().Get("task")); err != nil {
		return nil, err
	}
	if ask.Terminal, err = boolParam(r, "tty"); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(r.URL.Query().Get("command")), &ask.Argv); err != nil {
		return nil, refuse(http.StatusBadRequest, `command is to be a list of words in JSON, for example ["/bin/sh"]: %v`, err)
	}
	bytes := 0
	for _, word := range ask.Argv {
		bytes += len(word)
	}
	switch {
	case len(ask.Argv) == 0 || ask.Argv[0] == "":
		return nil, refuse(http.StatusBadRequest, `command is empty; give a list of words in JSON, for example ["/bin/sh"]`)
	case len(ask.Argv) > wire.ExecArgvMax:
		return nil, refuse(http.StatusBadRequest, "command has %d words; at most %d", len(ask.Argv), wire.ExecArgvMax)
	case bytes > wire.ExecArgvBytesMax-4*wire.ExecArgvMax: // each word's length travels too
		return nil, refuse(http.StatusBadRequest, "command has %d bytes; at most %d", bytes, wire.ExecArgvBytesMax-4*wire.ExecArgvMax)
	}
	return ask, nil
}

// execution is a command on a device and the connection of its operator.
type execution struct {
	api    *API
	device string
	conn   *websocket.Conn
	give   func(*wire.ExecInput) error
	take   func() (*wire.ExecOutput, error)
}

func (a *API) startExec(ctx context.Context, node *state.Node, ask wire.ExecRequest) (*execution, error) {
	absent := func() error {
		return refuse(http.StatusBadGateway, "%s, so no command runs there", a.away(node))
	}
	if !a.Sessions.Connected(node.ID) {
		return nil, absent()
	}
	give, take, err := a.Sessions.Exec(ctx, node.ID, ask)
	switch {
	case err != nil && !a.Sessions.Connected(node.ID):
		return nil, absent()
	case err != nil:
		return nil, refuse(http.StatusBadGateway, "device %s: %v", node.Spec.Name, err)
	}
	a.Logger.Info("a command runs beside a task", "node", node.ID, "alloc", ask.Alloc, "task", ask.Task, "command", ask.Argv[0], "terminal", ask.Terminal)
	return &execution{api: a, device: node.Spec.Name, give: give, take: take}, nil
}

// serve lasts until the command has ended or its operator has gone.
func (c *execution) serve(ctx context.Context, cancel func()) {
	outputs := make(chan execTaken)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { c.takeAll(ctx, outputs) })
	wg.Go(func() {
		if err := c.listen(ctx); ctx.Err() == nil {
			c.api.Logger.Debug("the operator of a command has gone", "device", c.device, "error", err)
		}
		cancel()
	})
	beat := time.NewTicker(api.ExecHeartbeatEvery)
	defer beat.Stop()
	for {
		select {
		case o := <-outputs:
			last, err := c.pass(ctx, o)
			if last || err != nil {
				return
			}
		case <-beat.C: // shows the operator that the region is there, and the region that the operator is
			if c.say(ctx, &api.ExecOutput{}) != nil {
				return
			}
		case <-ctx.Done():
			_ = c.conn.Close(websocket.StatusGoingAway, "the command was ended because its connection or this server ends")
			return
		}
	}
}

type execTaken struct {
	out *wire.ExecOutput
	err error
}

func (c *execution) takeAll(ctx context.Context, outputs chan<- execTaken) {
	for {
		out, err := c.take()
		select {
		case outputs <- execTaken{out, err}:
		case <-ctx.Done():
			return
		}
		if err != nil || out.Stream == wire.ExecEnd {
			return
		}
	}
}

// pass says to the operator what the device said; last is true when that was all.
func (c *execution) pass(ctx context.Context, o execTaken) (last bool, err error) {
	switch {
	case o.err != nil:
		return true, c.fail(ctx, fmt.Sprintf("the link to device %s broke off (%v); the command has ended there, or does so when the device sees it", c.device, o.err))
	case o.out.Stream == wire.ExecEnd && o.out.Error != "":
		return true, c.fail(ctx, fmt.Sprintf("device %s: %s", c.device, o.out.Error))
	case o.out.Stream == wire.ExecEnd:
		if err := c.say(ctx, &api.ExecOutput{Exited: true, Result: &api.ExecResult{ExitCode: int(o.out.Code)}}); err != nil {
			return true, err
		}
		return true, c.conn.Close(websocket.StatusNormalClosure, "")
	case o.out.Stream == wire.ExecStderr:
		return false, c.say(ctx, &api.ExecOutput{Stderr: &api.ExecPiece{Data: o.out.Data}})
	}
	return false, c.say(ctx, &api.ExecOutput{Stdout: &api.ExecPiece{Data: o.out.Data}})
}

// fail ends the connection with words; clients of the field read them in its end, where there is room for few.
func (c *execution) fail(ctx context.Context, text string) error {
	if err := c.say(ctx, &api.ExecOutput{Error: text}); err != nil {
		return err
	}
	return c.conn.Close(websocket.StatusInternalError, strings.ToValidUTF8(text[:min(len(text), closeReasonBytes)], ""))
}

func (c *execution) say(ctx context.Context, m *api.ExecOutput) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, api.ExecWriteTimeout)
	defer cancel()
	return c.conn.Write(ctx, websocket.MessageText, b)
}

// listen gives the command what the operator sends, until the operator has gone. Its error is why.
func (c *execution) listen(ctx context.Context) error {
	for {
		in, err := c.hear(ctx)
		if err != nil {
			return err
		}
		if err := c.pour(in); err != nil {
			return err
		}
	}
}

func (c *execution) hear(ctx context.Context) (*api.ExecInput, error) {
	ctx, cancel := context.WithTimeout(ctx, api.ExecSilenceMax)
	defer cancel()
	_, b, err := c.conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	var in api.ExecInput
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, errors.Join(err, c.conn.Close(websocket.StatusUnsupportedData, "a message is not what this path takes"))
	}
	return &in, nil
}

func (c *execution) pour(in *api.ExecInput) error {
	if s := in.TTYSize; s != nil {
		size := wire.TerminalSize{Rows: side(s.Height), Columns: side(s.Width)}
		if err := c.give(&wire.ExecInput{Size: size}); err != nil {
			return err
		}
	}
	if in.Stdin == nil {
		return nil
	}
	for data := in.Stdin.Data; ; {
		n := min(len(data), wire.ExecDataBytesMax)
		m := wire.ExecInput{Data: data[:n], End: in.Stdin.Close && n == len(data)}
		if n == 0 && !m.End {
			return nil
		}
		if err := c.give(&m); err != nil {
			return err
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// side is rows or columns as they may travel.
func side(n int) uint64 { return uint64(max(0, min(n, wire.ExecSidesMax))) }
