package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestValidateVolumes(t *testing.T) {
	host := Volume{Name: "v", Type: VolumeTypeHost, Source: "certs"}
	mount := VolumeMount{Volume: "v", Destination: "/certs"}
	many := Volumes{}
	for i := range VolumesMax + 1 {
		many = append(many, Volume{Name: fmt.Sprintf("v%d", i), Type: VolumeTypeHost, Source: "s"})
	}
	for name, tc := range map[string]struct {
		volumes Volumes
		mounts  []VolumeMount
		want    string // a part of the only problem, a refusal; empty: none
	}{
		"none":               {nil, nil, ""},
		"mounted":            {Volumes{host}, []VolumeMount{mount}, ""},
		"not mounted":        {Volumes{host}, nil, ""},
		"mounted twice":      {Volumes{host}, []VolumeMount{mount, {Volume: "v", Destination: "/other", ReadOnly: true}}, ""},
		"as clients send it": {Volumes{host}, []VolumeMount{{Volume: "v", Destination: "/v", PropagationMode: json.RawMessage(`"private"`), SELinuxLabel: json.RawMessage(`""`)}}, ""},
		"no type":            {Volumes{{Name: "v", Source: "s"}}, nil, `Volumes[0].Type: volume "v" is of type "", which is not known; write type = "host"`},
		"csi":                {Volumes{{Name: "v", Type: "csi", Source: "s"}}, nil, `Volumes[0].Type: volume "v" is of type csi, and storage plugins are not run`},
		"no source":          {Volumes{{Name: "v", Type: "host"}}, nil, `Volumes[0].Source: volume "v" has a source of 0 bytes`},
		"no name":            {Volumes{{Type: "host", Source: "s"}}, nil, "Volumes[0].Name: the name is empty"},
		"one name twice":     {Volumes{host, host}, nil, `Volumes[1].Name: two volumes of group "web" are named "v"`},
		"too many":           {many, nil, "Volumes: 33 volumes; at most 32"},
		"per allocation":     {Volumes{{Name: "v", Type: "host", Source: "s", PerAlloc: json.RawMessage("true")}}, nil, "Volumes[0].PerAlloc: PerAlloc is not carried out"},
		"of no volume":       {nil, []VolumeMount{mount}, `VolumeMounts[0].Volume: group "web" has no volume "v", nor any other; add volume "v"`},
		"of another volume":  {Volumes{host}, []VolumeMount{{Volume: "w", Destination: "/w"}}, `VolumeMounts[0].Volume: group "web" has no volume "w"; there are v`},
		"relative":           {Volumes{host}, []VolumeMount{{Volume: "v", Destination: "certs"}}, `VolumeMounts[0].Destination: "certs" is no place for a mount`},
		"nowhere":            {Volumes{host}, []VolumeMount{{Volume: "v"}}, `VolumeMounts[0].Destination: "" is no place`},
		"over everything":    {Volumes{host}, []VolumeMount{{Volume: "v", Destination: "/"}}, `VolumeMounts[0].Destination: "/" is no place`},
		"with dots":          {Volumes{host}, []VolumeMount{{Volume: "v", Destination: "/a/../b"}}, `VolumeMounts[0].Destination: "/a/../b" is no place`},
		"two at one place":   {Volumes{host}, []VolumeMount{mount, mount}, "VolumeMounts[1].Destination: two volumes are mounted at /certs"},
	} {
		j := sampleJob()
		j.TaskGroups[0].Volumes, j.TaskGroups[0].Tasks[0].VolumeMounts = tc.volumes, tc.mounts
		Canonicalize(j)
		ps := Validate(j, nil)
		if tc.want == "" && len(ps) > 0 || tc.want != "" && (len(ps) != 1 || ps.Err() == nil || !strings.Contains(ps[0].String(), tc.want)) {
			t.Errorf("%s: %v", name, ps)
		}
	}
}

func TestVolumesInJSON(t *testing.T) {
	j := sampleJob()
	j.TaskGroups[0].Volumes = Volumes{{Name: "z", Type: "host", Source: "s"}, {Name: "a", Type: "host", Source: "r", ReadOnly: true}}
	Canonicalize(j)
	b := CanonicalBytes(j)
	want := `"Volumes":{"a":{"Name":"a","Type":"host","Source":"r","ReadOnly":true},"z":{"Name":"z","Type":"host","Source":"s","ReadOnly":false}}`
	if !strings.Contains(string(b), want) {
		t.Errorf("%s", b)
	}
	var back Job
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(back.TaskGroups[0].Volumes, j.TaskGroups[0].Volumes) {
		t.Errorf("%v: %+v", err, back.TaskGroups[0].Volumes)
	}
	for _, none := range []string{"null", "{}"} {
		var g TaskGroup
		if err := json.Unmarshal([]byte(`{"Volumes":`+none+`}`), &g); err != nil || len(g.Volumes) > 0 {
			t.Errorf("%s: %v %v", none, err, g.Volumes)
		}
	}
	if err := json.Unmarshal([]byte(`{"Volumes":[]}`), &TaskGroup{}); err == nil {
		t.Error("a list was read")
	}
}

func TestVolumeChanges(t *testing.T) {
	with := func(edit func(*TaskGroup)) (*Job, *TaskGroup) {
		j := sampleJob()
		g := &j.TaskGroups[0]
		g.Volumes = Volumes{{Name: "v", Type: "host", Source: "certs"}}
		g.Tasks[0].VolumeMounts = []VolumeMount{{Volume: "v", Destination: "/certs"}}
		edit(g)
		Canonicalize(j)
		return j, g
	}
	old, was := with(func(*TaskGroup) {})
	for name, edit := range map[string]func(*TaskGroup){
		"source":      func(g *TaskGroup) { g.Volumes[0].Source = "other" },
		"read only":   func(g *TaskGroup) { g.Volumes[0].ReadOnly = true },
		"destination": func(g *TaskGroup) { g.Tasks[0].VolumeMounts[0].Destination = "/x" },
		"mount":       func(g *TaskGroup) { g.Tasks[0].VolumeMounts = nil },
	} {
		j, g := with(edit)
		if got := UpdateKind(was, g, old, j); got != ChangeRestart {
			t.Errorf("%s: %s", name, got)
		}
		if d := Diff(old, j); d.Type != DiffEdited || len(d.TaskGroups) != 1 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestCheckMounts(t *testing.T) {
	j := sampleJob()
	j.TaskGroups[0].Tasks[0].VolumeMounts = []VolumeMount{{Volume: "v", Destination: "/a"}, {Volume: "v", Destination: "/b"}}
	ps := CheckMounts(j, func(driver, destination string) error {
		if driver == "wasm" && destination == "/b" {
			return errors.New("no")
		}
		return nil
	})
	if len(ps) != 1 || ps[0].String() != "TaskGroups[0].Tasks[0].VolumeMounts[1]: no" || ps.Err() == nil {
		t.Errorf("%v", ps)
	}
}
