package command

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/control/state"
	"github.com/dunlin-edge/dunlin/fleet"
)

// logged applies commands one after the other.
type logged struct {
	x     *state.Txn
	index uint64
}

func (l *logged) do(c Command) (any, error) {
	l.index++
	return Apply(l.x, l.index, Encode(c))
}

func TestPoolsOfDevicesAreMade(t *testing.T) {
	l := &logged{x: state.New().Begin()}
	spec := func(pool string) []byte { return fmt.Appendf(nil, `{"Name":"n","NodePool":%q}`, pool) }
	for n, pool := range []string{"", "default", "vans", "vans"} {
		if _, err := l.do(NodeRegister{ID: uid(n + 1), Spec: spec(pool)}); err != nil {
			t.Fatal(err)
		}
	}
	if p, ok := l.x.NodePool("vans"); !ok || p.CreateIndex != 3 || l.x.NodePoolCount() != 1 {
		t.Errorf("%+v of %d", p, l.x.NodePoolCount())
	}
	for _, pool := range []string{"all", "a/b", strings.Repeat("x", 200)} {
		if _, err := l.do(NodeRegister{ID: uid(9), Spec: spec(pool)}); !errors.Is(err, ErrInvalid) {
			t.Errorf("pool %.10s: %v", pool, err)
		}
	}
	// Devices that name ever new pools fill the table to its limit and no further.
	for n := range fleet.NodePoolsMax + 3 {
		if _, err := l.do(NodeRegister{ID: uid(100 + n), Spec: spec(fmt.Sprint("p", n))}); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.x.NodePoolCount(); n != fleet.NodePoolsMax {
		t.Errorf("%d pools", n)
	}
	if _, err := l.do(NodePoolPut{Pool: []byte(`{"Name":"one-more"}`)}); !errors.Is(err, ErrInvalid) {
		t.Errorf("one more: %v", err)
	}
	if _, err := l.do(NodePoolPut{Pool: []byte(`{"Name":"vans","Description":"x"}`)}); err != nil {
		t.Errorf("changing one of them: %v", err)
	}
	if p, _ := l.x.NodePool("vans"); p.CreateIndex != 3 || p.ModifyIndex != l.index || p.Description != "x" {
		t.Errorf("%+v", p)
	}
}

func TestJobsNeedTheirPool(t *testing.T) {
	l := &logged{x: state.New().Begin()}
	job := &fleet.Job{ID: "a", NodePool: "shops", TaskGroups: []fleet.TaskGroup{{Name: "g"}}}
	reg := JobRegister{Spec: fleet.CanonicalBytes(job), EvalID: uid(1)}
	if _, err := l.do(reg); !errors.Is(err, ErrNoSuchPool) {
		t.Fatalf("registered: %v", err)
	}
	if _, err := l.do(NodePoolPut{Pool: []byte(`{"Name":"shops"}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.do(reg); err != nil {
		t.Fatal(err)
	}
	if _, err := l.do(NodePoolDelete{Name: "shops"}); !errors.Is(err, ErrPoolInUse) {
		t.Errorf("deleted: %v", err)
	}
}

func TestSchedulerIsSetOnce(t *testing.T) {
	l := &logged{x: state.New().Begin()}
	set := func(c SchedulerSet) SchedulerIs {
		t.Helper()
		r, err := l.do(c)
		if err != nil {
			t.Fatal(err)
		}
		return r.(SchedulerIs)
	}
	if is := set(SchedulerSet{Config: []byte(`{"SchedulerAlgorithm":"spread"}`), CheckIndex: true, Index: 0}); !is.Updated || is.ModifyIndex != 1 {
		t.Errorf("first: %+v", is)
	}
	if is := set(SchedulerSet{Config: []byte(`{}`), CheckIndex: true, Index: 0}); is.Updated || is.SchedulerAlgorithm != "spread" {
		t.Errorf("late: %+v", is)
	}
	if is := set(SchedulerSet{Config: []byte(`{}`)}); !is.Updated || is.SchedulerAlgorithm != "binpack" || is.CreateIndex != 1 {
		t.Errorf("unconditional: %+v", is)
	}
	if _, err := l.do(SchedulerSet{Config: []byte(`{"SchedulerAlgorithm":"best"}`)}); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown algorithm: %v", err)
	}
}
