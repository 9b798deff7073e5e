package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/edge/agent"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/host"
	"github.com/dunlin-edge/dunlin/wire"
	"github.com/dunlin-edge/dunlin/wire/link"
)

// files is when each file of a folder was last written, and how long it is.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			out[path] = info.ModTime().String() + " " + string(rune(info.Size()))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// want gives the device one allocation of a job and waits until it is acknowledged.
func (r *rig) want(l link.Link, gen uint64) {
	r.t.Helper()
	j := &fleet.Job{ID: "web", TaskGroups: []fleet.TaskGroup{{Name: "g", Tasks: []fleet.Task{{Name: "main", Driver: "fake", Config: json.RawMessage(`{"stdout":"hello\n"}`)}}}}}
	key := wire.JobKey{Namespace: "default", ID: "web"}
	st, err := l.OpenStream(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	var ack wire.DesiredAck
	if err := errors.Join(wire.Write(st, &wire.Header{Kind: wire.KindDesired, Node: nodeID}), wire.Write(st, &wire.Desired{
		RegionID: fleet.UUID{1}, Gen: wire.Generation{Epoch: 1, N: gen}, Full: true, Jobs: []wire.JobSpec{{Key: key, JSON: fleet.CanonicalBytes(j)}},
		Allocs: []wire.DesiredAlloc{{ID: allocID, Job: key, Group: "g"}},
	}), wire.Read(st, &ack)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) status() agent.Status {
	r.t.Helper()
	s, err := r.agent.Status(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// In a day of beats with a task running nothing is written at all: neither by what the agent counts nor by what the folder shows.
// Asking for the counts writes nothing either.
func TestBeatsWriteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		l, _ := r.register()
		beats := 0
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			for {
				if _, err := l.ReceiveDatagram(context.Background()); err != nil {
					return
				}
				beats++
			}
		}()
		r.want(l, 1)
		r.told(l, fleet.ClientRunning)
		time.Sleep(2 * device.PersistWindow)
		dir := r.config().DataDir
		before, filesBefore := r.status().Written, files(t, dir)
		if before.Total.State == 0 || before.Since.IsZero() {
			t.Fatalf("a desired state was taken and nothing was counted: %+v", before)
		}
		time.Sleep(23 * time.Hour)
		after := r.status().Written
		if before.Total.State != after.Total.State || before.Total.Logs != after.Total.Logs || before.Total.Modules != after.Total.Modules {
			t.Errorf("a day of beats wrote: %+v, before %+v", after.Total, before.Total)
		}
		if got := files(t, dir); !maps.Equal(filesBefore, got) {
			t.Errorf("files changed: %v, were %v", got, filesBefore)
		}
		r.stop()
		<-heard
		if beats < 23*60 {
			t.Errorf("there were %d beats in a day", beats)
		}
	})
}

// toldHost is a host that says what the test wants.
type toldHost struct{ is host.Written }

func (h *toldHost) Written(context.Context) (host.Written, bool, error) { return h.is, true, nil }

// Counts of bytes written and carried go on over restarts of the agent and of the host, and the region can ask for them over the link.
func TestWrittenGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		all := int64(9_000)
		h := &toldHost{host.Written{Began: time.Unix(5, 0), Logs: 1000, All: &all}}
		r.host = h
		r.start()
		l, _ := r.register()
		r.want(l, 1)
		r.told(l, fleet.ClientRunning)
		if got := r.status().Written.Total.Logs; got != 1000 {
			t.Errorf("logs: %d", got)
		}
		month := r.status().Traffic.Month
		r.want(l, 2) // carries the counts to the disk
		first := r.status().Written.Total
		r.stop()

		h.is.Logs = 1500 // while no agent was there
		r.start()
		if got := r.status().Traffic.Month; month == 0 || got < month {
			t.Errorf("the links carried %d bytes this month, and after a restart %d", month, got)
		}
		l, _ = r.register()
		if got := r.status().Written.Total; got.Logs != 1500 || got.State < first.State {
			t.Errorf("after a restart of the agent: %+v, before it %+v", got, first)
		}
		h.is = host.Written{Began: time.Unix(6, 0), Logs: 30}
		st, err := l.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var answer wire.WrittenAnswer
		var told fleet.DiskWrites
		if err := errors.Join(wire.Write(st, &wire.Header{Kind: wire.KindWritten, Node: nodeID}), wire.Read(st, &answer), json.Unmarshal(answer.JSON, &told)); err != nil {
			t.Fatal(err)
		}
		if told.Total.Logs != 1530 || told.Total.State < first.State || len(told.Days) != 1 {
			t.Errorf("told after a restart of the host: %+v", told)
		}
		r.stop()
	})
}
