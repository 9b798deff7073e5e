package runner_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-edge/dunlin/fleet"
)

// started starts a task and returns what it is told and how it is configured.
func started(t *testing.T, change func(*fleet.Job, *fleet.Task)) (env map[string]string, config string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.exceeds = true
		r.start()
		defer r.end()
		if _, err := r.want(1, change); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.spy.count() != 1 {
			t.Fatalf("not started: %s", eventText(r.status(1)))
		}
		env, config = r.spy.starts[0].Env, string(r.spy.starts[0].Config)
	})
	return env, config
}

// TestTaskVariables holds the table against what a task is told: no row too many, none too few.
func TestTaskVariables(t *testing.T) {
	env, _ := started(t, func(j *fleet.Job, k *fleet.Task) {
		j.Meta, j.TaskGroups[0].Meta = nil, nil
		k.Meta = map[string]string{"floor-no": "${meta.floor}"}
		k.Resources = &fleet.Resources{MemoryMB: fleet.Ptr(64), MemoryMaxMB: fleet.Ptr(128)}
	})
	want := map[string]string{"META_floor_no": "2", "META_FLOOR_NO": "2", "MEMORY_MAX_LIMIT": "128", "SHORT_ALLOC_ID": "01000000", "NODE_ID": "n1"}
	for _, v := range fleet.TaskVariables {
		if _, ok := want[v.Name]; !ok && v.Not == "" && !strings.HasSuffix(v.Name, "_") {
			want[v.Name] = env["NOMAD_"+v.Name]
		}
	}
	for _, prefix := range fleet.VariablePrefixes {
		for name, value := range want {
			if got, ok := env[prefix+name]; !ok || got != value {
				t.Errorf("%s%s is %q, %t; want %q", prefix, name, got, ok, value)
			}
			delete(env, prefix+name)
		}
	}
	delete(env, "PATH") // the driver's
	if len(env) > 0 {
		t.Errorf("the table leaves out %q", slices.Sorted(maps.Keys(env)))
	}
}

// TestReferencesOfATask: what each place sees.
func TestReferencesOfATask(t *testing.T) {
	env, config := started(t, func(j *fleet.Job, k *fleet.Task) {
		j.Meta = map[string]string{"where": "${node.datacenter}/${NOMAD_ALLOC_INDEX}"}
		k.Env = map[string]string{"A": "${NOMAD_META_where} $${A}", "PATH": "/x:${env.PATH}"}
		k.Config = []byte(`{"stdout":"${A} ${env[\"PATH\"]} ${DUNLIN_NODE_NAME} ${node.unique.name} ${node.region} ${meta.floor}"}`)
	})
	if env["A"] != "berlin/3 ${A}" || env["PATH"] != "/x:/bin" {
		t.Errorf("%q, %q", env["A"], env["PATH"])
	}
	if want := `{"stdout":"berlin/3 ${A} /x:/bin shop-7 shop-7 eu 2"}`; config != want {
		t.Errorf("%s; want %s", config, want)
	}
}

// TestGuestPageHasTheTable: the page that authors read says what the code says.
func TestGuestPageHasTheTable(t *testing.T) {
	b, err := os.ReadFile("../../docs/guest.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, v := range fleet.TaskVariables {
		name := v.Name
		if strings.HasSuffix(name, "_") {
			name += "KEY"
		}
		if v.Not == "" {
			fmt.Fprintf(&want, "| `%s` | %s |\n", name, v.Means)
		} else {
			fmt.Fprintf(&want, "| `%s` | not told: %s |\n", name, v.Not)
		}
	}
	if !strings.Contains(strings.ReplaceAll(string(b), "\r", ""), want.String()) {
		t.Errorf("docs/guest.md lacks these rows, in this order:\n%s", want.String())
	}
	forms, _, _ := strings.Cut(fleet.ReferenceForms, ";")
	for _, form := range strings.FieldsFunc(strings.TrimPrefix(forms, "references are "), func(c rune) bool { return c == ',' || c == ' ' }) {
		if strings.HasPrefix(form, "${") && !strings.Contains(string(b), "`"+form+"`") {
			t.Errorf("docs/guest.md does not name %s", form)
		}
	}
	for name := range fleet.NodeFields(&fleet.Node{}, "") {
		if !strings.Contains(string(b), "`"+name+"`") {
			t.Errorf("docs/guest.md does not name the field %s of ${node.…}", name)
		}
	}
}
