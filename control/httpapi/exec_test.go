package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/dunlin-edge/dunlin/api"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// commanded is a region with one allocation on a linked device, whose commands print what they are given, with their sizes, and end
// with their input; the word that they end with is in end.
func commanded(t *testing.T, end wire.ExecOutput) (g *region, asked *wire.ExecRequest, left chan struct{}) {
	g, asked, left = newRegion(t), &wire.ExecRequest{}, make(chan struct{})
	registered(g, "web")
	g.alloc(50, "web", g.node(9, "pi-9", fleet.LinkOnline), nil)
	g.command = func(ctx context.Context, req wire.ExecRequest) (func(*wire.ExecInput) error, func() (*wire.ExecOutput, error), error) {
		*asked = req
		inputs := make(chan wire.ExecInput)
		context.AfterFunc(ctx, func() { close(left) })
		give := func(in *wire.ExecInput) error {
			select {
			case inputs <- *in:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var queue []wire.ExecOutput
		take := func() (*wire.ExecOutput, error) {
			for len(queue) == 0 {
				select {
				case in := <-inputs:
					if len(in.Data) > 0 {
						queue = append(queue, wire.ExecOutput{Stream: wire.ExecStdout, Data: in.Data})
					}
					if in.Size != (wire.TerminalSize{}) {
						queue = append(queue, wire.ExecOutput{Stream: wire.ExecStderr, Data: fmt.Appendf(nil, "[%dx%d]", in.Size.Rows, in.Size.Columns)})
					}
					if in.End {
						queue = append(queue, end)
					}
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			out := queue[0]
			queue = queue[1:]
			return &out, nil
		}
		return give, take, nil
	}
	return g, asked, left
}

func TestExec(t *testing.T) {
	g, asked, left := commanded(t, wire.ExecOutput{Stream: wire.ExecEnd, Code: 42})
	run, err := g.client(api.Config{}).Exec(t.Context(), "32", api.ExecOptions{Command: []string{"sh", "-c", "a b"}, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789", 10_000)
	typed := make(chan error, 1)
	go func() {
		_, err := run.Write([]byte(big))
		typed <- errors.Join(err, run.Resize(api.TerminalSize{Height: 24, Width: 1 << 30}), run.CloseInput())
	}()
	var stdout, stderr bytes.Buffer
	code, err := run.Wait(&stdout, &stderr)
	if err := errors.Join(err, <-typed); err != nil || code != 42 || stdout.String() != big || stderr.String() != "[24x10000]" {
		t.Errorf("code %d, %v, %d bytes, %q", code, err, stdout.Len(), stderr.String())
	}
	if fmt.Sprintf("%+v", *asked) != fmt.Sprintf("%+v", wire.ExecRequest{Alloc: id(50), Task: "main", Argv: []string{"sh", "-c", "a b"}, Terminal: true}) {
		t.Errorf("asked %+v", *asked)
	}
	<-left
}

// TestExecFails: what the device says of a command that could not end by itself arrives whole, and cut for clients of the field.
func TestExecFails(t *testing.T) {
	why := strings.Repeat("é", 100)
	g, _, left := commanded(t, wire.ExecOutput{Stream: wire.ExecEnd, Error: why})
	c := g.client(api.Config{})
	run, err := c.Exec(t.Context(), "32", api.ExecOptions{Command: []string{"sh"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.CloseInput(); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(&bytes.Buffer{}, &bytes.Buffer{}); err == nil || err.Error() != "device pi-9: "+why {
		t.Errorf("%v", err)
	}
	<-left

	g, _, left = commanded(t, wire.ExecOutput{Stream: wire.ExecEnd, Error: why})
	plain, _, err := websocket.Dial(t.Context(), g.client(api.Config{}).Address()+"/v1/client/allocation/32/exec?command=%5B%22sh%22%5D", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.CloseNow()
	if err := plain.Write(t.Context(), websocket.MessageText, []byte(`{"stdin":{"close":true}}`)); err != nil {
		t.Fatal(err)
	}
	var closed websocket.CloseError
	for err == nil {
		_, _, err = plain.Read(t.Context())
	}
	if !errors.As(err, &closed) || closed.Code != websocket.StatusInternalError || !strings.HasPrefix(closed.Reason, "device pi-9: éé") {
		t.Errorf("%v", err)
	}
	<-left
}

// TestExecEndsWithItsOperator: whoever leaves, says nonsense or cancels leaves no command behind.
func TestExecEndsWithItsOperator(t *testing.T) {
	dial := func(t *testing.T, g *region) *websocket.Conn {
		t.Helper()
		conn, _, err := websocket.Dial(t.Context(), g.client(api.Config{}).Address()+"/v1/client/allocation/32/exec?command=%5B%22sh%22%5D", nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for name, leave := range map[string]func(*testing.T, *region) error{
		"gone": func(t *testing.T, g *region) error { return dial(t, g).CloseNow() },
		"bye":  func(t *testing.T, g *region) error { return dial(t, g).Close(websocket.StatusNormalClosure, "") },
		"nonsense": func(t *testing.T, g *region) error {
			c := dial(t, g)
			defer c.CloseNow()
			return c.Write(t.Context(), websocket.MessageText, []byte("nonsense"))
		},
		"too much": func(t *testing.T, g *region) error {
			c := dial(t, g)
			defer c.CloseNow()
			return c.Write(t.Context(), websocket.MessageText, make([]byte, api.ExecMessageBytesMax+1))
		},
		"canceled": func(t *testing.T, g *region) error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			run, err := g.client(api.Config{}).Exec(ctx, "32", api.ExecOptions{Command: []string{"sh"}})
			if err != nil {
				return err
			}
			cancel()
			if _, err := run.Wait(&bytes.Buffer{}, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("canceled, it ended with %v", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, left := commanded(t, wire.ExecOutput{Stream: wire.ExecEnd})
			if err := leave(t, g); err != nil {
				t.Error(err)
			}
			<-left
		})
	}
}

func TestExecRefusals(t *testing.T) {
	g, _, _ := commanded(t, wire.ExecOutput{})
	g.alloc(51, "web", g.node(8, "pi-8", fleet.LinkLost), nil)
	g.command = func(context.Context, wire.ExecRequest) (func(*wire.ExecInput) error, func() (*wire.ExecOutput, error), error) {
		return nil, nil, errors.New("a guest has no shell")
	}
	h := g.api(Access{Open: true})
	if w := do(h, "GET", "/v1/client/allocation/32/exec?command=%5B%22sh%22%5D", ""); w.Code != http.StatusUpgradeRequired || w.Header().Get("Upgrade") != "websocket" {
		t.Errorf("without an upgrade: %d %q", w.Code, w.Body)
	}
	c := g.client(api.Config{})
	for _, tc := range []struct {
		id     fleet.AllocID
		o      api.ExecOptions
		status int
		want   string
	}{
		{"32", api.ExecOptions{Command: []string{"sh"}}, http.StatusBadGateway, "device pi-9: a guest has no shell"},
		{"33", api.ExecOptions{Command: []string{"sh"}}, http.StatusBadGateway, "device pi-8 is lost since 2027-01-15T07:00:00Z (1h0m0s ago)"},
		{"99", api.ExecOptions{Command: []string{"sh"}}, http.StatusNotFound, "no allocation"},
		{"32", api.ExecOptions{}, http.StatusBadRequest, "command is empty"},
		{"32", api.ExecOptions{Command: []string{"sh"}, Task: "other"}, http.StatusNotFound, `no task "other"`},
		{"32", api.ExecOptions{Command: make([]string, wire.ExecArgvMax+1)}, http.StatusBadRequest, "command is empty"},
		{"32", api.ExecOptions{Command: append([]string{"sh"}, make([]string, wire.ExecArgvMax)...)}, http.StatusBadRequest, "1025 words; at most 1024"},
	} {
		_, err := c.Exec(t.Context(), tc.id, tc.o)
		if !api.IsStatus(err, tc.status) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %.20v: %v, want %d %q", tc.id, tc.o, err, tc.status, tc.want)
		}
	}
	if w := do(h, "GET", "/v1/client/allocation/32/exec?command=sh", ""); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "list of words in JSON") {
		t.Errorf("a command that is no list: %d %q", w.Code, w.Body)
	}
	for range ExecsMax {
		h.execs <- struct{}{}
	}
	r, err := http.NewRequest("GET", "/v1/client/allocation/32/exec?command=%5B%22sh%22%5D", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Upgrade", "websocket")
	r.SetPathValue("id", "32")
	if err := h.exec(nil, r); err == nil || !strings.Contains(err.Error(), "64 commands beside tasks are open already") {
		t.Errorf("beyond the limit: %v", err)
	}
}
