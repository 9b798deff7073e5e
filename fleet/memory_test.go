package fleet

import (
	"strings"
	"testing"
)

func TestMemoryMax(t *testing.T) {
	for name, tc := range map[string]struct {
		max     *int
		want    string // the only problem begins so; empty: none
		limit   int    // where tasks may exceed their memory
		exceeds bool
	}{
		"none":         {nil, "", 300, false},
		"empty":        {Ptr(0), "", 300, false},
		"more":         {Ptr(500), "", 500, true},
		"the same":     {Ptr(300), "", 300, false},
		"less":         {Ptr(299), "TaskGroups[0].Tasks[0].Resources.MemoryMaxMB: memory_max is 299, below memory, which is 300", 299, true},
		"no unlimited": {Ptr(-1), "TaskGroups[0].Tasks[0].Resources.MemoryMaxMB: memory_max is -1, below memory, which is 300", 300, false},
	} {
		j := sampleJob()
		r := j.TaskGroups[0].Tasks[0].Resources
		r.MemoryMaxMB = tc.max
		Canonicalize(j)
		ps := Validate(j, nil)
		if tc.want == "" && len(ps) > 0 || tc.want != "" && (len(ps) != 1 || !strings.HasPrefix(ps[0].String(), tc.want) || ps.Err() == nil) {
			t.Errorf("%s: %v", name, ps)
		}
		if r.MemoryLimitMB(true) != tc.limit || r.MemoryLimitMB(false) != 300 || j.TaskGroups[0].Exceeds() != tc.exceeds {
			t.Errorf("%s: limits %d and %d, exceeds %t", name, r.MemoryLimitMB(true), r.MemoryLimitMB(false), j.TaskGroups[0].Exceeds())
		}
		if j.TaskGroups[0].Ask().MemoryMB != 300 {
			t.Errorf("%s: %d MiB are reserved", name, j.TaskGroups[0].Ask().MemoryMB)
		}
	}
}

func TestMemoryMaxInWords(t *testing.T) {
	j := sampleJob()
	g := &j.TaskGroups[0]
	if ps := MemoryMaxIgnored(j); len(ps) > 0 {
		t.Errorf("%v", ps)
	}
	g.Tasks[0].Resources.MemoryMaxMB = Ptr(500)
	ps := MemoryMaxIgnored(j)
	if len(ps) != 1 || ps.Err() != nil || !strings.HasPrefix(ps[0].String(), "TaskGroups[0].Tasks[0].Resources.MemoryMaxMB: memory_max = 500 has no effect, the limit is memory = 300") {
		t.Errorf("%v", ps)
	}
	if got := g.Resources(true).Tasks["server"].Memory; got != (AllocatedMemory{MemoryMB: 300, MemoryMaxMB: 500}) {
		t.Errorf("%+v", got)
	}
	if got := g.Resources(false).Tasks["server"].Memory; got != (AllocatedMemory{MemoryMB: 300}) {
		t.Errorf("%+v", got)
	}
}
