package fleet

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDiffEdited(t *testing.T) {
	old, next := sampleJob(), sampleJob()
	old.Stop = true
	old.Periodic = json.RawMessage(`{"MaxParallel":1,"Canary":[1,2]}`)
	next.Priority = Ptr(70)
	next.Datacenters = []string{"dc2", "*"}
	next.Meta = map[string]string{"owner": "ops"}
	next.Periodic = json.RawMessage(`{"Canary":[1,3],"Extra":null}`)
	next.AllAtOnce = json.RawMessage(`true`)
	next.VaultToken = json.RawMessage(`[{}, []]`) // empty inside is something
	next.ConsulToken = json.RawMessage("{ }")     // empty at the top is nothing
	next.Constraints = []Constraint{{LTarget: "${attr.a}", RTarget: "b"}}
	web := &next.TaskGroups[0]
	web.Count = Ptr(3)
	web.Tasks[0].Config = json.RawMessage(`{"args":["a","b"],"module":"sha256:00"}`)
	web.Tasks[0].Env = map[string]string{"B": "1"}
	web.Tasks[0].KillTimeout = Ptr(Duration(7e9))
	web.Tasks[0].Resources.MemoryMB = Ptr(64)
	next.TaskGroups = next.TaskGroups[:1]

	got := Diff(old, next)
	var lines []string
	for _, f := range got.Fields {
		lines = append(lines, line("", f))
	}
	lines = append(lines, objectLines("", got.Objects)...)
	for _, g := range got.TaskGroups {
		lines = append(lines, g.Type+" group "+g.Name)
		if g.Name == "db" {
			continue // deleted as a whole; the next test counts its fields
		}
		for _, f := range g.Fields {
			lines = append(lines, line("  ", f))
		}
		for _, k := range g.Tasks {
			lines = append(lines, "  "+k.Type+" task "+k.Name)
			for _, f := range k.Fields {
				lines = append(lines, line("    ", f))
			}
			lines = append(lines, objectLines("    ", k.Objects)...)
		}
	}
	want := `Added AllAtOnce: "" → "true"
Added Meta[owner]: "" → "ops"
Edited Priority: "50" → "70"
Edited Stop: "true" → "false"
Added Constraint
  Added LTarget: "" → "${attr.a}"
  Added Operand: "" → "="
  Added RTarget: "" → "b"
Added Datacenter
  Added Datacenter: "" → "dc2"
Edited Periodic
  Edited Canary[1]: "2" → "3"
  Added Extra: "" → "null"
  Deleted MaxParallel: "1" → ""
Added VaultToken
  Added [0]: "" → "{}"
  Added [1]: "" → "[]"
Deleted group db
Edited group web
  Edited Count: "1" → "3"
  Edited task server
    Deleted Env[A]: "1" → ""
    Added Env[B]: "" → "1"
    Edited KillTimeout: "5000000000" → "7000000000"
    Edited Config
      Added args[1]: "" → "b"
    Edited Resources
      Edited MemoryMB: "300" → "64"`
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Error(diff)
	}
	if got.Type != DiffEdited || got.ID != "shop" {
		t.Errorf("%s %s", got.Type, got.ID)
	}
}

func line(indent string, f FieldDiff) string {
	return indent + f.Type + " " + f.Name + `: "` + f.Old + `" → "` + f.New + `"`
}

func objectLines(indent string, obs []ObjectDiff) []string {
	var out []string
	for _, o := range obs {
		out = append(out, indent+o.Type+" "+o.Name)
		for _, f := range o.Fields {
			out = append(out, line(indent+"  ", f))
		}
		out = append(out, objectLines(indent+"  ", o.Objects)...)
	}
	return out
}

func TestDiffOfNothing(t *testing.T) {
	if d := Diff(nil, nil); d.Type != DiffNone || len(d.Fields)+len(d.Objects)+len(d.TaskGroups) > 0 {
		t.Errorf("%+v", d)
	}
	j := sampleJob()
	added, deleted := Diff(nil, j), Diff(j, nil)
	if added.Type != DiffAdded || deleted.Type != DiffDeleted || added.ID != "shop" || deleted.ID != "shop" {
		t.Errorf("%s %s", added.Type, deleted.Type)
	}
	// A deletion is an addition read backwards.
	back := strings.NewReplacer(`"Deleted"`, `"Added"`, `"Old"`, `"New"`, `"New"`, `"Old"`)
	a, b := encodeJSON(added), back.Replace(encodeJSON(deleted))
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		t.Fatal("a difference must be JSON")
	}
	if diff := cmp.Diff(x, y); diff != "" {
		t.Error(diff)
	}
	if len(added.TaskGroups) != 2 || added.TaskGroups[0].Type != DiffAdded || added.TaskGroups[0].Tasks[0].Type != DiffAdded {
		t.Errorf("%s", a)
	}
}

// No difference is shown exactly when nothing but order differs, and drawing two
// jobs shows one whenever a version would be made.
func TestDiffAgreesWithVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawJob(t), drawJob(t)
		a.Stop, b.Stop, a.ID, b.ID = false, false, "x", "x"
		if d := Diff(a, a.Clone()); d.Type != DiffNone {
			t.Fatalf("a job differs from its copy: %s", encodeJSON(d))
		}
		d := Diff(a, b)
		if encodeJSON(d) != encodeJSON(Diff(a.Clone(), b.Clone())) {
			t.Fatal("the order of a difference is not fixed")
		}
		if d.Type != DiffNone && string(CanonicalBytes(a)) == string(CanonicalBytes(b)) {
			t.Fatalf("the same version differs: %s", encodeJSON(d))
		}
		for i := range b.TaskGroups { // make the lists comparable in order, then the reverse holds too
			b.TaskGroups[i].Constraints = nil
			for k := range b.TaskGroups[i].Tasks {
				b.TaskGroups[i].Tasks[k].Constraints = nil
			}
		}
		b.Constraints, b.Datacenters = nil, nil
		c := b.Clone()
		c.JobUncarried = a.JobUncarried
		if len(c.TaskGroups) > 0 && len(a.TaskGroups) > 0 {
			c.TaskGroups[0].Tasks = nil
			c.TaskGroups[0].GroupUncarried = a.TaskGroups[0].GroupUncarried
		}
		same := string(CanonicalBytes(b)) == string(CanonicalBytes(c))
		if none := Diff(b, c).Type == DiffNone; none != same {
			t.Fatalf("none is %v, same version is %v:\n%s\n%s", none, same, CanonicalBytes(b), CanonicalBytes(c))
		}
	})
}
