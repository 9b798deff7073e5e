package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/fake"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// allModules is a cache that has everything.
type allModules struct{ noModules }

func (allModules) Fetch(context.Context, config.ModuleRef, []string) error { return nil }
func (allModules) Path(string) (string, bool)                              { return "/module.wasm", true }

// slow is a driver whose tasks take a minute to prepare, after which there is no room for what was made.
type slow struct{ *fake.Driver }

func (slow) Prepare(_ context.Context, t driver.Task) error {
	time.Sleep(time.Minute)
	for _, path := range t.Artifacts {
		return errors.New("no room for the code of " + path)
	}
	return errors.New("it was not told where the module is")
}

func (s slow) Start(ctx context.Context, t driver.Task) (driver.Handle, error) {
	t.Config = script(fake.Script{RunFor: "1h"})
	return s.Driver.Start(ctx, t)
}

// The old version runs while the driver prepares the new one; that the preparation failed is told, and the start is tried.
func TestPrepareBeforeTheOldStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.wasm = slow{r.spy.Driver}
		r.start()
		defer r.end()
		if _, err := r.runner.LinkUp(t.Context(), &wire.Welcome{RegionID: fleet.UUID{1}, Epoch: 1}); err != nil {
			t.Fatal(err)
		}
		change := func(digit string) func(*fleet.Job, *fleet.Task) {
			return func(_ *fleet.Job, k *fleet.Task) {
				k.Driver, k.Config = "wasm", json.RawMessage(`{"module":"sha256:`+strings.Repeat(digit, 64)+`"}`)
			}
		}
		if _, err := r.want(1, change("a")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.replaces = &wire.DesiredAlloc{ID: fleet.UUID{1}, Job: wire.JobKey{Namespace: "default", ID: "web", Version: 1}, Group: "g", Index: 3, Stop: true, StopReason: "replaced"}
		if _, err := r.want(2, change("b")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Second)
		synctest.Wait()
		if old, next := r.status(1), r.status(2); old.Status != fleet.ClientRunning || next.Status != fleet.ClientPending {
			t.Fatalf("while the new version is prepared it is %s, and the old one %s:\n%s", next.Status, old.Status, eventText(old))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		old, next := r.status(1), r.status(2)
		if old.Status != fleet.ClientComplete || next.Status != fleet.ClientRunning {
			t.Errorf("prepared, the new version is %s, and the old one %s", next.Status, old.Status)
		}
		if !strings.Contains(eventText(next), "no room for the code of /module.wasm") {
			t.Errorf("the failed preparation is not told:\n%s", eventText(next))
		}
	})
}
