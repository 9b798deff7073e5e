package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// messages makes one empty message of each type; a new type must be added here, which TestEveryTypeIsTested checks.
var messages = []func() Message{
	func() Message { return &Header{} }, func() Message { return &Register{} }, func() Message { return &Welcome{} },
	func() Message { return &StatusBatch{} }, func() Message { return &StatusAck{} }, func() Message { return &ModuleRequest{} },
	func() Message { return &ModuleAnswer{} }, func() Message { return &Desired{} }, func() Message { return &DesiredAck{} },
	func() Message { return &LogRequest{} }, func() Message { return &LogAnswer{} }, func() Message { return &Beat{} },
	func() Message { return &JoinRequest{} }, func() Message { return &JoinAnswer{} }, func() Message { return &ModuleFrom{} },
	func() Message { return &Facts{} }, func() Message { return &FactsAck{} }, func() Message { return &Servers{} },
	func() Message { return &TrafficRequest{} }, func() Message { return &TrafficAnswer{} },
	func() Message { return &RenewRequest{} }, func() Message { return &RenewAnswer{} }, func() Message { return &ProbeAnswer{} },
	func() Message { return &WrittenAnswer{} },
	func() Message { return &FsRequest{} }, func() Message { return &FsAnswer{} }, func() Message { return &FsPiece{} },
	func() Message { return &ExecRequest{} }, func() Message { return &ExecAnswer{} }, func() Message { return &ExecInput{} }, func() Message { return &ExecOutput{} },
}

func TestEveryTypeIsTested(t *testing.T) {
	seen := map[byte]bool{}
	for _, make := range messages {
		seen[make().Type()] = true
	}
	for n := byte(typeHeader); n <= typeProbeAnswer; n++ {
		if !seen[n] && (n <= typeJoinAnswer || n >= typeRenewRequest) {
			t.Errorf("message type %d has no round-trip test", n)
		}
	}
	for _, n := range []byte{typeFacts, typeFactsAck, typeModuleFrom, typeRenewRequest, typeRenewAnswer, typeProbeAnswer, typeTrafficRequest, typeTrafficAnswer,
		typeFsRequest, typeFsAnswer, typeFsPiece, typeExecRequest, typeExecAnswer, typeExecInput, typeExecOutput} {
		if !seen[n] {
			t.Errorf("message type %d has no round-trip test", n)
		}
	}
	if len(seen) != len(messages) {
		t.Error("two messages have one type")
	}
}

func uuid(t *rapid.T) fleet.UUID {
	return fleet.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))
}

func text(t *rapid.T) string { return rapid.StringN(0, 20, 60).Draw(t, "text") }

func bytesOf(t *rapid.T) []byte {
	if b := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "bytes"); len(b) > 0 {
		return b
	}
	return []byte{}
}

func number(t *rapid.T) uint64         { return rapid.Uint64().Draw(t, "n") }
func signed(t *rapid.T) int64          { return rapid.Int64().Draw(t, "i") }
func yes(t *rapid.T) bool              { return rapid.Bool().Draw(t, "b") }
func generation(t *rapid.T) Generation { return Generation{number(t), number(t)} }

// list is nil when it is empty, as decoders leave it.
func list[T any](t *rapid.T, one func(*rapid.T) T) (out []T) {
	for range rapid.IntRange(0, 3).Draw(t, "len") {
		out = append(out, one(t))
	}
	return out
}

func jobKey(t *rapid.T) JobKey { return JobKey{text(t), fleet.JobID(text(t)), number(t), number(t)} }

func allocStatus(t *rapid.T) AllocStatus {
	return AllocStatus{
		ID: uuid(t), Status: rapid.SampledFrom(clientStatuses).Draw(t, "status"), Description: text(t),
		Tasks: list(t, func(t *rapid.T) TaskStatus {
			return TaskStatus{Name: text(t), ObservedTask: fleet.ObservedTask{
				State: rapid.SampledFrom(taskStates).Draw(t, "state"), Failed: yes(t), Restarts: number(t),
				StartedAt: signed(t), FinishedAt: signed(t), RestartAt: signed(t),
				Events: list(t, func(t *rapid.T) fleet.CodedEvent {
					return fleet.CodedEvent{Code: fleet.EventCode(rapid.Byte().Draw(t, "code")), Time: signed(t), Args: list(t, text)}
				}),
			}}
		}),
	}
}

func desiredAlloc(t *rapid.T) DesiredAlloc {
	return DesiredAlloc{
		ID: uuid(t), Job: jobKey(t), Group: text(t), Index: rapid.Uint32Range(0, 1<<31).Draw(t, "index"),
		Stop: yes(t), Exceeds: yes(t), StopReason: text(t), CreateTime: signed(t), After: list(t, uuid), Granted: granted(t),
	}
}

// granted is nothing, for most.
func granted(t *rapid.T) Granted {
	var g Grants
	if rapid.IntRange(0, 2).Draw(t, "holds") == 0 {
		g.Ports = list(t, func(t *rapid.T) GrantedPort { return GrantedPort{text(t), rapid.Uint16Range(1, 65535).Draw(t, "port")} })
		g.Devices = list(t, func(t *rapid.T) GrantedDevice { return GrantedDevice{text(t), text(t), list(t, text)} })
	}
	return g.Pack()
}

func trafficBook(t *rapid.T) (b traffic.Book) {
	b.Link[traffic.Beat] = traffic.Count{Sent: number(t), Received: number(t)}
	b.Month = traffic.Period{Key: signed(t), Elapsed: time.Duration(signed(t))}
	b.Month.Tally[traffic.Other].Received = number(t)
	return b
}

// draw fills a message with any legal value.
func draw(t *rapid.T, m Message) {
	switch m := m.(type) {
	case *Header:
		*m = Header{Kind(rapid.IntRange(int(KindRegister), int(KindJoin)).Draw(t, "kind")), uuid(t)}
	case *Register:
		*m = Register{uuid(t), generation(t), bytesOf(t), number(t), yes(t), uuid(t)}
	case *Welcome:
		*m = Welcome{uuid(t), number(t), signed(t), signed(t), text(t), text(t), signed(t)}
	case *StatusBatch:
		*m = StatusBatch{number(t), yes(t), list(t, allocStatus), yes(t), nil}
		if m.TellsOrphans {
			m.Orphans = list(t, func(t *rapid.T) Orphan {
				return Orphan{uuid(t), jobKey(t), text(t), rapid.Uint32Range(0, 1<<31).Draw(t, "index"), rapid.SampledFrom(clientStatuses).Draw(t, "status"), signed(t), granted(t)}
			})
		}
	case *StatusAck:
		*m = StatusAck{number(t)}
	case *ModuleRequest:
		*m = ModuleRequest{text(t), yes(t), list(t, text), list(t, func(t *rapid.T) ModuleBegun { return ModuleBegun{text(t), number(t)} }),
			Encoding(rapid.Byte().Draw(t, "takes"))}
	case *ModuleAnswer:
		encoding := Encoding(rapid.IntRange(int(EncodingWhole), int(EncodingDelta)).Draw(t, "encoding"))
		*m = ModuleAnswer{encoding, text(t), number(t), text(t), number(t), text(t)}
	case *ModuleFrom:
		*m = ModuleFrom{number(t)}
	case *Desired:
		*m = Desired{uuid(t), generation(t), yes(t), list(t, func(t *rapid.T) JobSpec { return JobSpec{jobKey(t), bytesOf(t)} }), list(t, desiredAlloc), list(t, uuid), number(t)}
	case *DesiredAck:
		*m = DesiredAck{generation(t)}
	case *LogRequest:
		*m = LogRequest{uuid(t), text(t), text(t), yes(t), number(t), number(t), yes(t)}
	case *LogAnswer:
		*m = LogAnswer{text(t)}
	case *Beat:
		*m = Beat{uuid(t), number(t)}
	case *TrafficRequest:
	case *TrafficAnswer:
		*m = TrafficAnswer{trafficBook(t), number(t), traffic.Budget(number(t))}
	case *JoinRequest:
		*m = JoinRequest{text(t), text(t)}
	case *Servers:
		*m = Servers{list(t, text)}
	case *JoinAnswer:
		*m = JoinAnswer{uuid(t), text(t), text(t), text(t), bytesOf(t), bytesOf(t), text(t), text(t), text(t)}
	case *Facts:
		*m = Facts{number(t), list(t, func(t *rapid.T) Attribute { return Attribute{text(t), text(t)} }), list(t, text)}
	case *FactsAck:
		*m = FactsAck{number(t)}
	case *RenewRequest: // says nothing
	case *RenewAnswer:
		*m = RenewAnswer{bytesOf(t), text(t)}
	case *ProbeAnswer:
		*m = ProbeAnswer{uuid(t)}
	case *WrittenAnswer:
		*m = WrittenAnswer{bytesOf(t), text(t)}
	case *FsRequest:
		*m = FsRequest{uuid(t), FsVerb(rapid.IntRange(int(FsList), int(FsRead)).Draw(t, "verb")), text(t), yes(t), number(t), number(t), number(t), yes(t)}
	case *FsAnswer:
		*m = FsAnswer{FsRefusal(rapid.IntRange(0, int(FsFailed)).Draw(t, "refusal")), text(t), list(t, func(t *rapid.T) fleet.FileInfo {
			return fleet.FileInfo{Name: text(t), IsDir: yes(t), Size: signed(t), FileMode: text(t), ModTime: time.Unix(0, signed(t)).UTC(), ContentType: text(t)}
		}), yes(t), number(t) >> 1}
	case *FsPiece:
		*m = FsPiece{bytesOf(t), FsEvent(rapid.IntRange(0, int(FsBroken)).Draw(t, "event")), text(t)}
	case *ExecRequest:
		*m = ExecRequest{uuid(t), text(t), list(t, text), yes(t)}
	case *ExecAnswer:
		*m = ExecAnswer{text(t)}
	case *ExecInput:
		side := rapid.Uint64Range(0, ExecSidesMax)
		*m = ExecInput{bytesOf(t), yes(t), TerminalSize{side.Draw(t, "rows"), side.Draw(t, "columns")}}
	case *ExecOutput:
		*m = ExecOutput{ExecStream(rapid.IntRange(int(ExecStdout), int(ExecEnd)).Draw(t, "stream")), bytesOf(t), signed(t), text(t)}
	default:
		t.Fatalf("no way to draw a %T", m)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, make := range messages {
		t.Run(reflect.TypeOf(make()).Elem().Name(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := make()
				draw(t, m)
				var stream bytes.Buffer
				if err := errors.Join(Write(&stream, m), Write(&stream, m)); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					got := make()
					if err := Read(&stream, got); err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(got, m) {
						t.Fatalf("got %+v, want %+v", got, m)
					}
				}
				got := make()
				if err := Decode(EncodeDatagram(m), got); err != nil || !reflect.DeepEqual(got, m) {
					t.Fatalf("as a datagram: %v, %+v", err, got)
				}
				if err := Read(&stream, make()); !errors.Is(err, io.EOF) {
					t.Fatalf("at the end: %v", err)
				}
			})
		})
	}
}

func TestCutFramesAreErrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := messages[rapid.IntRange(0, len(messages)-1).Draw(t, "type")]
		whole := m()
		draw(t, whole)
		b, err := Encode(whole)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, len(b)-1).Draw(t, "cut")
		if err := Read(bytes.NewReader(b[:n]), m()); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("a frame cut at %d of %d: %v", n, len(b), err)
		}
		if n > 4 {
			less := m()
			if err := Decode(b[4:n], less); err == nil && !older(less, b[4:n]) {
				t.Fatalf("a body cut at %d of %d was accepted", n-4, len(b)-4)
			}
		}
	})
}

// older reports whether a body is a whole message as it was before its type grew a tail.
func older(m Message, body []byte) bool {
	switch m := m.(type) {
	case *ModuleRequest:
		return m.Takes == EncodingPatch && len(EncodeDatagram(m)) == len(body)+1
	case *Desired:
		return bytes.Equal(EncodeDatagram(m), body)
	}
	return false
}

func TestLimits(t *testing.T) {
	if _, err := Encode(&Register{Spec: make([]byte, FrameBytesMax)}); !errors.Is(err, ErrFrameTooLong) {
		t.Errorf("a frame beyond the limit was built: %v", err)
	}
	if err := Read(strings.NewReader("\xff\xff\xff\xff"), &Beat{}); !errors.Is(err, ErrFrameTooLong) {
		t.Errorf("a frame beyond the limit was announced: %v", err)
	}
	if err := Decode([]byte{typeBeat}, &Header{}); err == nil || !strings.Contains(err.Error(), "type 12") {
		t.Errorf("a message of another type: %v", err)
	}
	if err := Decode(EncodeDatagram(&Header{Kind: 99}), &Header{}); err == nil {
		t.Error("an unknown kind of stream was accepted")
	}
	if err := Decode(EncodeDatagram(&LogAnswer{Error: strings.Repeat("x", ErrorBytesMax+1)}), &LogAnswer{}); err == nil {
		t.Error("a text beyond the limit was accepted")
	}
	if err := Decode(EncodeDatagram(&ModuleAnswer{Encoding: EncodingDelta + 1}), &ModuleAnswer{}); err == nil {
		t.Error("an unknown encoding was accepted")
	}
	if err := Decode(EncodeDatagram(&ModuleRequest{Holds: make([]string, ModuleHoldsMax+1)}), &ModuleRequest{}); err == nil {
		t.Error("more held modules than the limit were accepted")
	}
	silent := EncodeDatagram(&ModuleRequest{Digest: "sha256:", Takes: EncodingDelta})
	var older ModuleRequest
	if err := Decode(silent[:len(silent)-1], &older); err != nil || older.Takes != EncodingPatch {
		t.Errorf("a device that does not say what it takes: %+v, %v", older, err)
	}
	if err := Decode(append(EncodeDatagram(&StatusAck{Seq: 1}), 0), &StatusAck{}); err == nil {
		t.Error("a message with bytes left over was accepted")
	}
}

func TestGenerationOrder(t *testing.T) {
	rising := []Generation{{}, {0, 9}, {1, 0}, {1, 1}, {2, 0}}
	for i, g := range rising {
		for j, h := range rising {
			if g.Less(h) != (i < j) {
				t.Errorf("%s < %s is %v", g, h, g.Less(h))
			}
		}
	}
}

// FuzzDecode gives any bytes to every decoder. What is accepted must have one form only.
func FuzzDecode(f *testing.F) {
	seeds := []Message{
		&Header{Kind: KindLogs}, &Register{Spec: []byte("{}")}, &Welcome{ServerName: "s1", Refusal: "no"},
		&StatusBatch{Seq: 1, Full: true, Allocs: []AllocStatus{{Status: fleet.ClientRunning, Tasks: []TaskStatus{{Name: "main", ObservedTask: fleet.ObservedTask{
			State: fleet.TaskRunning, Events: []fleet.CodedEvent{{Code: fleet.EventStarted, Time: 1, Args: []string{"x"}}}}}}}}},
		&StatusAck{Seq: 300}, &ModuleAnswer{Encoding: EncodingPatch, Base: "sha256:", Size: 9, Form: "sha256:", FormSize: 1},
		&ModuleRequest{Digest: "sha256:", WholeOnly: true, Holds: []string{"sha256:"}, Begun: []ModuleBegun{{"sha256:", 7}}, Takes: EncodingDelta}, &ModuleFrom{Offset: 3},
		&Desired{Full: true, Jobs: []JobSpec{{JSON: []byte("{}")}}, Allocs: []DesiredAlloc{{Group: "g", Stop: true}, {Group: "g", After: []fleet.UUID{{2}}}}, Forget: []fleet.UUID{{1}}},
		&DesiredAck{Gen: Generation{1, 2}}, &LogRequest{Task: "main", Stream: "stdout", Follow: true}, &LogAnswer{Error: "no"}, &Beat{Seq: 7},
		&Facts{Seq: 2, Set: []Attribute{{"power.source", "battery"}}, Unset: []string{"tpm.version"}}, &FactsAck{Seq: 2},
		&JoinRequest{Token: "t"}, &JoinAnswer{Name: "n", CertPEM: []byte("x")}, &WrittenAnswer{JSON: []byte("{}")},
		&FsRequest{Verb: FsRead, Path: "alloc/logs/main.stdout.0", FromEnd: true, Offset: 10, Limit: 5, Follow: true},
		&FsAnswer{Files: []fleet.FileInfo{{Name: "logs", IsDir: true, FileMode: "drwxr-xr-x"}}, More: true, Offset: 7}, &FsAnswer{Refusal: FsNotFound, Error: "no"},
		&FsPiece{Data: []byte("x")}, &FsPiece{Event: FsBroken, Error: "no"},
		&ExecRequest{Task: "main", Argv: []string{"sh", "-c", "exit 3"}, Terminal: true}, &ExecAnswer{Error: "no"},
		&ExecInput{Data: []byte("x"), End: true, Size: TerminalSize{24, 80}}, &ExecOutput{Stream: ExecStdout, Data: []byte("x")}, &ExecOutput{Stream: ExecEnd, Code: 3},
	}
	for _, m := range seeds {
		f.Add(EncodeDatagram(m))
	}
	f.Add([]byte{typeDesired, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, make := range messages {
			m := make()
			if Decode(body, m) != nil {
				continue
			}
			again := EncodeDatagram(m)
			back := make()
			if err := Decode(again, back); err != nil || !reflect.DeepEqual(back, m) {
				t.Fatalf("%T was accepted and does not survive: %v\n%+v\n%+v", m, err, m, back)
			}
		}
	})
}
