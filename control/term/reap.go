package term

import (
	"time"

	"github.com/dunlin-edge/dunlin/control/reap"
	"github.com/dunlin-edge/dunlin/fleet"
)

// reapPause is how long a pass rests between two looks, so that a large region
// forgets beside its work and not instead of it.
const reapPause = 100 * time.Millisecond

// reaps is the forgetting of a term. A new one begins anew.
type reaps struct {
	cfg  reap.Config
	pass *reap.Pass // nil: none is under way
	at   time.Time  // of the next look
	away bool       // a step is being proposed
}

func (t *Term) reap() {
	r := &t.reaps
	if r.away || t.now.Before(r.at) {
		return
	}
	if r.pass == nil {
		r.pass = reap.NewPass(r.cfg)
	}
	step, more := r.pass.Next(t.view, t.now.UnixNano())
	r.at = t.now.Add(reapPause)
	if !more {
		r.pass, r.at = nil, t.now.Add(r.cfg.Every)
	}
	if !reap.Empty(&step) {
		r.away = true
		t.launch(&flight{reap: append([]fleet.UUID{}, step.Nodes...)}, &step)
	}
}

func (t *Term) landReap(f *flight) {
	t.reaps.away = false
	for _, id := range f.reap {
		if t.view.NodeByID(id) == nil {
			t.live.Forget(id)
		}
	}
}
