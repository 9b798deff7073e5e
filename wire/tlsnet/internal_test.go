package tlsnet

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/wire/link"
	"github.com/dunlin-edge/dunlin/wire/linktest"
	"github.com/dunlin-edge/dunlin/wire/trust"
)

// rogue is a client with a good certificate that speaks frames by hand.
type rogue struct {
	t      *testing.T
	server *Endpoint
	conn   *tls.Conn
	link   link.Link // as the server sees it
}

func newRogue(t *testing.T) *rogue {
	t.Helper()
	region := linktest.NewRegion(t, linktest.RegionName)
	server, err := Open("127.0.0.1:0", Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	conf, err := region.Client(region.Issue(t, trust.KindNode, "n1", time.Now())).TLS(trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", server.Addr().String(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rogue{t: t, server: server, conn: conn}
}

func (r *rogue) send(b []byte) {
	r.t.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

// hello sends good settings and takes the link at the server.
func (r *rogue) hello() {
	r.t.Helper()
	r.send(settingsOf(link.DefaultProfile(trust.ProtocolEdge)).append(nil))
	l, err := r.server.Listener(trust.ProtocolEdge)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.link, err = l.Accept(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// farewell reads until the server's close frame.
func (r *rogue) farewell() *link.CloseError {
	r.t.Helper()
	for {
		var b [frameHead]byte
		if _, err := io.ReadFull(r.conn, b[:]); err != nil {
			r.t.Fatalf("no farewell: %v", err)
		}
		h, err := parseHead(b)
		if err != nil {
			r.t.Fatal(err)
		}
		body := make([]byte, h.length)
		if _, err := io.ReadFull(r.conn, body); err != nil {
			r.t.Fatal(err)
		}
		if h.kind == frameClose {
			return parseClose(body)
		}
	}
}

func data(stream uint32, n int) []byte {
	return append(appendHead(nil, frameData, stream, n), make([]byte, n)...)
}

func TestAPeerThatBreaksTheProtocolLosesTheLink(t *testing.T) {
	var tooMany, beyondLink []byte
	for i := range uint32(StreamsMax + 1) {
		tooMany = append(tooMany, data(1+2*i, 1)...)
	}
	for range 40 { // 512 KiB is the stream's window
		beyondLink = append(beyondLink, data(1, FrameBytesMax)...)
	}
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	for name, tc := range map[string]struct {
		say  []byte
		want string
	}{
		"an unknown type":                 {appendHead(nil, 77, 1, 0), "unknown type 77"},
		"an oversized frame":              {appendHead(nil, frameData, 1, FrameBytesMax+1), "want 1 to"},
		"an empty frame of data":          {appendHead(nil, frameData, 1, 0), "want 1 to"},
		"data on the link":                {appendHead(nil, frameData, 0, 1), "on stream 0"},
		"a ping on a stream":              {appendHead(nil, framePing, 1, 0), "on stream 1"},
		"settings twice":                  {settingsOf(link.DefaultProfile("")).append(nil), "twice"},
		"a stream out of order":           {data(3, 1), "next to open is 1"},
		"a stream of the server's":        {data(2, 1), "next to open is 1"},
		"data after the end":              {join(data(1, 1), appendHead(nil, frameFin, 1, 0), data(1, 1)), "after its end"},
		"two ends":                        {join(data(1, 1), appendHead(nil, frameFin, 1, 0), appendHead(nil, frameFin, 1, 0)), "ends twice"},
		"more streams than allowed":       {tooMany, "more than 256 streams"},
		"more than the window":            {beyondLink, "beyond the window"},
		"a window that overflows":         {join(data(1, 1), appendWord(nil, frameWindow, 1, 1<<31)), "a window of stream 1"},
		"a window of the link, too large": {join(appendWord(nil, frameWindow, 0, windowMax), appendWord(nil, frameWindow, 0, windowMax)), "a window beyond"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRogue(t)
			r.hello()
			r.send(tc.say)
			if got := r.farewell(); got.Code != link.CodeProtocol || !strings.Contains(got.Reason, tc.want) {
				t.Errorf("the server says %v; want a protocol error with %q", got, tc.want)
			}
			<-r.link.Context().Done()
		})
	}
}

// Frames that cross the end of their stream are no fault.
func TestLateFramesAreNoFault(t *testing.T) {
	r := newRogue(t)
	r.hello()
	r.send(append(data(1, 1), appendHead(nil, frameFin, 1, 0)...))
	st, err := r.link.AcceptStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(st); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	r.send(appendWord(nil, frameWindow, 1, 5))
	r.send(appendWord(nil, frameStop, 1, 5))
	r.send(data(3, 4))
	if st, err = r.link.AcceptStream(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(st, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	st.Reset(link.CodeDone)
}

// A peer that opens and gives up streams as fast as it can must not make the server remember them all.
func TestStreamsGivenUpAreForgotten(t *testing.T) {
	r := newRogue(t)
	r.hello()
	sl := r.link.(*tlsLink)
	ended := make(chan struct{}, StreamsMax) // one token per stream that the server has ended too
	go func() {
		var b [frameHead]byte
		for {
			if _, err := io.ReadFull(r.conn, b[:]); err != nil {
				close(ended)
				return
			}
			h, _ := parseHead(b)
			io.CopyN(io.Discard, r.conn, int64(h.length)) //nolint:errcheck // the next read tells
			if h.kind == frameReset {
				ended <- struct{}{}
			}
		}
	}()
	for i := range uint32(20 * StreamsMax) {
		if i >= StreamsMax { // as a peer that keeps to the limit would
			if _, more := <-ended; !more {
				t.Fatalf("the link ended: %v", context.Cause(r.link.Context()))
			}
		}
		id := 1 + 2*i
		r.send(append(data(id, 1), append(appendWord(nil, frameReset, id, 0), appendWord(nil, frameStop, id, 0)...)...))
		sl.mu.Lock()
		known := len(sl.streams)
		sl.mu.Unlock()
		if known > StreamsMax {
			t.Fatalf("%d streams are remembered", known)
		}
	}
	if waiting := len(sl.accepts); waiting > StreamsMax {
		t.Errorf("%d streams wait to be accepted", waiting)
	}
}

func TestBadGreetings(t *testing.T) {
	old := settingsOf(link.DefaultProfile(trust.ProtocolEdge)).append(nil)
	old[frameHead] = version + 1
	none := settingsOf(link.Profile{}).append(nil)
	for name, say := range map[string][]byte{"another version": old, "no windows": none, "data first": data(1, 1)} {
		r := newRogue(t)
		r.send(say)
		if _, err := io.ReadAll(r.conn); err != nil {
			t.Errorf("%s: %v; want the connection closed", name, err)
		}
		if n := r.server.Links(); n != 0 {
			t.Errorf("%s: %d links", name, n)
		}
	}
}

func TestABeatIsOneSmallPacket(t *testing.T) {
	region := linktest.NewRegion(t, linktest.RegionName)
	server, err := Open("127.0.0.1:0", Options{ServerTLS: region.ServerTLS(t, region.Server, trust.ProtocolEdge)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := Open("", Options{Credentials: region.Client(region.Issue(t, trust.KindNode, "n1", time.Now()))})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	l, err := client.Dial(t.Context(), server.Addr().String(), trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	accept, err := server.Listener(trust.ProtocolEdge)
	if err != nil {
		t.Fatal(err)
	}
	far, err := accept.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const beat = 26 // of wire.Beat
	before := l.Stats()
	if err := l.SendDatagram(make([]byte, beat)); err != nil {
		t.Fatal(err)
	}
	if _, err := far.ReceiveDatagram(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats().SentBytes - before.SentBytes; got != beat+frameHead+22 { // 22 is what a TLS record adds
		t.Errorf("a beat of %d bytes makes %d bytes of TCP", beat, got)
	}
	if _, ok := info(l.(*tlsLink).under.Conn); ok {
		if s := l.Stats(); s.RoundTrip == 0 || s.PacketHeader != tcpHeader {
			t.Errorf("stats %+v", s)
		}
	}
}

func TestWords(t *testing.T) {
	for _, tc := range []struct{ in, want error }{
		{io.EOF, link.ErrBroken}, {net.ErrClosed, link.ErrBroken}, {errnoAborted, link.ErrBroken}, {nil, nil},
	} {
		if got := words(tc.in); !errors.Is(got, tc.want) {
			t.Errorf("%v is %v; want %v", tc.in, got, tc.want)
		}
	}
	if !errors.Is(errNoAnswer, link.ErrNoAnswer) {
		t.Error("no answer over TCP is not link.ErrNoAnswer")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendHead(nil, frameData, 1, 5))
	f.Add(settingsOf(link.DefaultProfile("")).append(nil))
	f.Add(appendClose(nil, &link.CloseError{Code: link.CodeBusy, Reason: "full"}))
	f.Add(appendWord(nil, frameWindow, 0, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < frameHead {
			return
		}
		h, err := parseHead([frameHead]byte(b[:frameHead]))
		if err != nil {
			return
		}
		if h.length > FrameBytesMax {
			t.Fatalf("a frame of %d bytes passes", h.length)
		}
		if again, err := parseHead([frameHead]byte(appendHead(nil, h.kind, h.stream, h.length))); err != nil || again != h {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
		body := b[frameHead:]
		if len(body) < h.length {
			return
		}
		switch body = body[:h.length]; h.kind {
		case frameSettings:
			if s, err := parseSettings(body); err == nil && (s.streams > StreamsMax || s.idle <= 0) {
				t.Fatalf("settings %+v pass", s)
			}
		case frameClose:
			if c := parseClose(body); uint32(c.Code) != binary.BigEndian.Uint32(body) || len(c.Reason) > link.ReasonBytesMax {
				t.Fatalf("close %+v", c)
			}
		}
	})
}
