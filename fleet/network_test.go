package fleet

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func portJob(network string) *Job {
	j := &Job{}
	src := `{"ID":"web","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"wasm"}],"Networks":[` + network + `]}]}`
	if err := json.Unmarshal([]byte(src), j); err != nil {
		panic(err)
	}
	Canonicalize(j)
	return j
}

func TestNetworksInWords(t *testing.T) {
	for network, want := range map[string]string{
		`{"DynamicPorts":[{"Label":"a"}],"ReservedPorts":[{"Label":"b","Value":80}]}`: "",
		// What official clients of the field send beside it.
		`{"Mode":"host","Device":"","CIDR":"","IP":"","Hostname":"","MBits":0,"DNS":null,"DynamicPorts":[{"Label":"a","Value":0,"To":-1,"HostNetwork":"default","IgnoreCollision":false}]}`: "",
		`{"Mode":"bridge"}`: `network mode "bridge" is not carried out`,
		`{"DynamicPorts":[{"Label":"a","HostNetwork":"public"}]}`:               "HostNetwork is not carried out",
		`{"DNS":{"Servers":["1.1.1.1"]}}`:                                       "DNS is not carried out",
		`{"DynamicPorts":[{"Label":"a b"}]}`:                                    "is no label of a port",
		`{"DynamicPorts":[{"Label":"a"},{"Label":"A"}]}`:                        "two ports are named",
		`{"DynamicPorts":[{"Label":"a","Value":7}]}`:                            "dynamic port \"a\" names the number 7",
		`{"ReservedPorts":[{"Label":"a","Value":70000}]}`:                       "static = 70000 is no port",
		`{"ReservedPorts":[{"Label":"a","Value":80},{"Label":"b","Value":80}]}`: `ports "a" and "b" both want 80`,
		`{"ReservedPorts":[{"Label":"a","Value":80,"To":70000}]}`:               "to = 70000 is no port",
		`{},{}`: "has 2 network blocks",
		`{"DynamicPorts":[` + strings.Repeat(`{"Label":"a"},`, PortsMax) + `{"Label":"b"}]}`: "has 65 ports",
	} {
		err := Validate(portJob(network), nil).Err()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", network, err, want)
		}
	}
	if w := Validate(portJob(`{"DynamicPorts":[{"Label":"a","To":9000}]}`), nil).Warnings(); len(w) != 1 || !strings.Contains(w[0], "NOMAD_PORT_a") {
		t.Errorf("warnings: %q", w)
	}
}

func TestAChangedPortReplaces(t *testing.T) {
	base := portJob(`{"DynamicPorts":[{"Label":"a"},{"Label":"b"}]}`)
	for network, want := range map[string]Change{
		`{"Mode":"host","DynamicPorts":[{"Label":"b"},{"Label":"a","To":-1}]}`:          ChangeNone,
		`{"DynamicPorts":[{"Label":"a"}]}`:                                              ChangeRestart,
		`{"DynamicPorts":[{"Label":"a"}],"ReservedPorts":[{"Label":"b","Value":8080}]}`: ChangeRestart,
	} {
		other := portJob(network)
		if got := UpdateKind(&base.TaskGroups[0], &other.TaskGroups[0], base, other); got != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
	d := Diff(base, portJob(`{"ReservedPorts":[{"Label":"a","Value":8080}],"DynamicPorts":[{"Label":"b"}]}`))
	if len(d.TaskGroups) != 1 || len(d.TaskGroups[0].Objects) != 2 || d.TaskGroups[0].Objects[0].Name != "Network" {
		t.Errorf("diff: %+v", d.TaskGroups)
	}
}

func TestParsePorts(t *testing.T) {
	got, err := ParsePorts(" 80, 22,8500-8600,8590-8700,8701, ")
	if want := []PortRange{{22, 22}, {80, 80}, {8500, 8701}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"x", "0", "70000", "9-8", "1-", "-1"} {
		if _, err := ParsePorts(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	n := &Node{}
	if n.DynamicPorts() != (PortRange{20000, 32000}) {
		t.Error(n.DynamicPorts())
	}
	n.NodeResources.MinDynamicPort = 40000
	if r := n.DynamicPorts(); r.From <= r.To {
		t.Error("a range whose end is before its begin has no port")
	}
}

// A copy goes through JSON, which has no list of ports as job files write them.
func TestACopyKeepsUnsortedPorts(t *testing.T) {
	j := &Job{ID: "web", TaskGroups: []TaskGroup{{Name: "g", Networks: []Network{{Ports: []Port{{Label: "a"}, {Label: "b", Value: 80}}}}}}}
	n := j.Clone().TaskGroups[0].Networks[0]
	if len(n.DynamicPorts) != 1 || len(n.ReservedPorts) != 1 || n.ReservedPorts[0].Value != 80 {
		t.Fatalf("%+v", n)
	}
	if len(j.TaskGroups[0].Networks[0].Ports) != 2 {
		t.Fatal("a copy changed the original")
	}
}
