package fleet

import (
	"slices"
	"strings"
	"testing"
)

// preferring is a canonical job that an edit gives preferences.
func preferring(edit func(*Job)) *Job {
	j := &Job{ID: "a", TaskGroups: []TaskGroup{{Name: "g", Tasks: []Task{{Name: "t", Driver: "wasm"}}}}}
	edit(j)
	Canonicalize(j)
	return j
}

func TestPreferenceMessages(t *testing.T) {
	affinity := func(a Affinity) func(*Job) {
		return func(j *Job) { j.TaskGroups[0].Tasks[0].Affinities = []Affinity{a} }
	}
	spread := func(s ...Spread) func(*Job) { return func(j *Job) { j.TaskGroups[0].Spreads = s } }
	targets := func(ts ...SpreadTarget) func(*Job) {
		return spread(Spread{Attribute: "${node.datacenter}", SpreadTarget: ts})
	}
	const a, s = "TaskGroups[0].Tasks[0].Affinities[0]", "TaskGroups[0].Spreads"
	for _, tc := range []struct {
		edit func(*Job)
		want string
	}{
		{affinity(Affinity{LTarget: "x", Weight: Ptr(0)}), a + ".Weight: a weight of 0 prefers nothing; use -100 to 100"},
		{affinity(Affinity{LTarget: "x", Weight: Ptr(101)}), a + ".Weight: 101 is out of range; use -100 to 100"},
		{affinity(Affinity{LTarget: "x", Weight: Ptr(-101)}), a + ".Weight: -101 is out of range"},
		{affinity(Affinity{LTarget: "x", Operand: "near"}), a + `.Operand: unknown operator "near"; use one of = `},
		{affinity(Affinity{Operand: "distinct_hosts"}), a + ".Operand: distinct_hosts is a rule and no preference; write it as a constraint"},
		{affinity(Affinity{LTarget: "x", Operand: "regexp", RTarget: "("}), a + `.RTarget: "(" is not a regular expression`},
		{affinity(Affinity{}), a + ".LTarget: the rule names no attribute"},
		{func(j *Job) { j.Affinities = make([]Affinity, AffinitiesMax+1) }, "Affinities: 65 affinities; at most 64"},
		{func(j *Job) { j.Type, j.Affinities = JobTypeSystem, []Affinity{{LTarget: "x"}} }, "Affinities: a job of type system runs on every node"},
		{func(j *Job) { j.Type, j.Spreads = JobTypeSysBatch, []Spread{{Attribute: "x"}} }, "Spreads: a job of type sysbatch runs on every node"},
		{spread(Spread{}), s + "[0].Attribute: the spread names no attribute; write attribute = "},
		{spread(Spread{Attribute: "x"}, Spread{Attribute: "x"}), s + "[1].Attribute: two spreads are over x; join their targets"},
		{spread(Spread{Attribute: "x", Weight: Ptr(101)}), s + "[0].Weight: 101 is out of range; use 0 to 100"},
		{func(j *Job) { j.Spreads = make([]Spread, SpreadsMax+1) }, "Spreads: 9 spreads; at most 8"},
		{func(j *Job) {
			for _, name := range strings.Split("abcde", "") {
				j.Spreads = append(j.Spreads, Spread{Attribute: name})
				j.TaskGroups[0].Spreads = append(j.TaskGroups[0].Spreads, Spread{Attribute: name + name})
			}
		}, s + ": 10 spreads count for the group, the job's included; at most 8"},
		{targets(SpreadTarget{Percent: 5}), s + "[0].SpreadTarget[0].Value: the target names no value; write target"},
		{targets(SpreadTarget{Value: "a"}, SpreadTarget{Value: "a"}), s + `[0].SpreadTarget[1].Value: two targets are for "a"; join them`},
		{targets(SpreadTarget{Value: "a", Percent: -1}), s + "[0].SpreadTarget[0].Percent: -1 is out of range; use 0 to 100"},
		{targets(SpreadTarget{Value: "a", Percent: 60}, SpreadTarget{Value: "b", Percent: 41}), s + "[0].SpreadTarget: the percentages add up to 101; at most 100"},
		{targets(make([]SpreadTarget, SpreadTargetsMax+1)...), s + "[0].SpreadTarget: 65 targets; at most 64"},
	} {
		ps := Validate(preferring(tc.edit), okConfig)
		if !slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning && strings.HasPrefix(p.String(), tc.want) }) {
			t.Errorf("want %s\ngot  %v", tc.want, ps)
		}
	}
}

func TestPreferencesAreAcceptedAndGathered(t *testing.T) {
	j := preferring(func(j *Job) {
		j.Affinities = []Affinity{{LTarget: "j", Operand: "set_contains_all"}}
		j.Spreads = []Spread{{Attribute: "both"}, {Attribute: "j"}}
		g := &j.TaskGroups[0]
		g.Affinities, g.Tasks[0].Affinities = []Affinity{{LTarget: "g"}}, []Affinity{{LTarget: "t", Weight: Ptr(-100)}}
		g.Spreads = []Spread{{Attribute: "both", Weight: Ptr(0), SpreadTarget: []SpreadTarget{{"a", 60}, {SpreadRest, 40}}}}
	})
	if ps := Validate(j, okConfig); len(ps) > 0 {
		t.Fatalf("%v", ps)
	}
	var words []string
	for _, a := range j.TaskGroups[0].AllAffinities(j) {
		words = append(words, a.String())
	}
	for _, s := range j.TaskGroups[0].AllSpreads(j) {
		words = append(words, s.Attribute, encodeJSON(s.Weight))
	}
	if got, want := strings.Join(words, "|"), "j set_contains  (weight 50)|g =  (weight 50)|t =  (weight -100)|both|0|j|50"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Equal preferences of two decoded jobs are no difference, though their pointers
// differ; and a changed one reads like the job file.
func TestPreferencesInADiff(t *testing.T) {
	with := func(percent int) *Job {
		return preferring(func(j *Job) {
			j.Affinities = []Affinity{{LTarget: "${attr.a}", RTarget: "b", Weight: Ptr(20)}}
			j.TaskGroups[0].Spreads = []Spread{{Attribute: "${node.datacenter}", SpreadTarget: []SpreadTarget{{"dc1", percent}}}}
		})
	}
	if d := Diff(with(50), with(50)); d.Type != DiffNone {
		t.Fatalf("%+v", d)
	}
	d := Diff(with(50), with(60))
	got := strings.Join(objectLines("", d.TaskGroups[0].Objects), "\n")
	for _, want := range []string{"Deleted Spread", "Added Spread", "SpreadTarget", `Value: "" → "dc1"`, `Percent: "" → "60"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if d := Diff(preferring(func(*Job) {}), with(50)); d.Objects[0].Name != "Affinity" {
		t.Errorf("%+v", d.Objects)
	}
	if kind := UpdateKind(&with(50).TaskGroups[0], &with(60).TaskGroups[0], with(50), with(60)); kind != ChangeInPlace {
		t.Errorf("a changed spread is %s", kind)
	}
}

func TestPoolAndSchedulerMessages(t *testing.T) {
	for _, tc := range []struct {
		got  Problems
		want string
	}{
		{(&NodePool{Name: "a b"}).Validate(), `Name: "a b" is no name of a node pool`},
		{(&NodePool{Name: "a", Description: strings.Repeat("x", 257)}).Validate(), "Description: it has 257 bytes; at most 256"},
		{(&NodePool{Name: "a", SchedulerConfiguration: &NodePoolScheduler{SchedulerAlgorithm: "best"}}).Validate(),
			`SchedulerConfiguration.SchedulerAlgorithm: unknown algorithm "best"; use binpack or spread`},
		{(&SchedulerConfiguration{SchedulerAlgorithm: "best"}).Validate(), `SchedulerAlgorithm: unknown algorithm "best"`},
	} {
		if len(tc.got) != 1 || !strings.HasPrefix(tc.got[0].String(), tc.want) || tc.got.Err() == nil {
			t.Errorf("want %s\ngot  %v", tc.want, tc.got)
		}
	}
	if ps := (&SchedulerConfiguration{MemoryOversubscriptionEnabled: true}).Validate(); len(ps) > 0 {
		t.Errorf("%v", ps)
	}
	if ps := (&NodePool{Name: "shops_1-A", SchedulerConfiguration: &NodePoolScheduler{SchedulerAlgorithm: AlgorithmSpread}}).Validate(); len(ps) > 0 {
		t.Errorf("%v", ps)
	}
	if CheckPoolOfNode("") != nil || CheckPoolOfNode("shops") != nil || CheckPoolOfNode(NodePoolAll) == nil || CheckPoolOfNode("a/b") == nil {
		t.Error("pools of nodes")
	}
}
