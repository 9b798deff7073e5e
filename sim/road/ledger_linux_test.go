package road

import "testing"

// The audit of TestKills is only as good as its memory: what is lost must not be allowed, what was never answered must be.
func TestLedger(t *testing.T) {
	t.Parallel()
	run := func(n int) state { return state{serial: n, count: 1} }
	halt := func(n int) state { return state{serial: n, stop: true} }
	for name, c := range map[string]struct {
		ledger  ledger
		serial  int
		stopped bool
		want    bool
	}{
		"as acknowledged":                   {ledger{acked: run(3)}, 3, false, true},
		"an older one":                      {ledger{acked: run(3)}, 2, false, false},
		"stopped by nobody":                 {ledger{acked: run(3)}, 3, true, false},
		"an unanswered write was applied":   {ledger{acked: run(3), maybe: []state{run(4)}}, 4, false, true},
		"an unanswered write was not":       {ledger{acked: run(3), maybe: []state{run(4)}}, 3, false, true},
		"an unanswered stop was applied":    {ledger{acked: run(3), maybe: []state{halt(4)}}, 3, true, true},
		"an acknowledged stop":              {ledger{acked: halt(4), past: map[int]bool{3: true}}, 3, true, true},
		"an acknowledged stop is undone":    {ledger{acked: halt(4), past: map[int]bool{3: true}}, 3, false, false},
		"started again, unanswered":         {ledger{acked: halt(4), past: map[int]bool{3: true}, maybe: []state{run(5)}}, 5, false, true},
		"a stop of an unanswered one":       {ledger{acked: halt(5), past: map[int]bool{3: true}}, 4, true, true},
		"never acknowledged, there anyway":  {ledger{maybe: []state{run(1)}}, 1, false, true},
		"never asked for":                   {ledger{acked: run(3), maybe: []state{run(4)}}, 9, false, false},
		"a stop lost with an older version": {ledger{acked: halt(4), past: map[int]bool{3: true}}, 2, false, false},
	} {
		if got := c.ledger.allows(c.serial, c.stopped); got != c.want {
			t.Errorf("%s: allowed %t, want %t", name, got, c.want)
		}
	}
}
