package fleet

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func deviceJob(devices string) *Job {
	src := `{"ID":"see","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"wasm","Resources":{"Devices":[` + devices + `]}}]}]}`
	j := &Job{}
	if err := json.Unmarshal([]byte(src), j); err != nil {
		panic(err)
	}
	Canonicalize(j)
	return j
}

func TestDevicesInWords(t *testing.T) {
	for devices, want := range map[string]string{
		`{"Name":"gpu"}`:                "",
		`{"Name":"nvidia/gpu"}`:         "",
		`{"Name":"nvidia/gpu/T4 16GB"}`: "",
		`{"Name":"gpu","Count":2,"Constraints":[{"LTarget":"${device.attr.memory}","RTarget":"8 GiB","Operand":">="}]}`: "",
		`{"Name":"gpu","Affinities":null}`: "",
		`{"Name":"gpu","Affinities":[{"LTarget":"${device.model}","RTarget":"a"},{"LTarget":"${device.attr.memory}","RTarget":"8 GiB","Operand":">","Weight":-100}]}`: "",
		`{"Name":""}`:               "names no device",
		`{"Name":"a/b/c/d"}`:        "names no device",
		`{"Name":"a//c"}`:           "names no device",
		`{"Name":"gpu","Count":0}`:  "0 is out of range",
		`{"Name":"gpu","Count":65}`: "65 is out of range",
		`{"Name":"gpu","Affinities":[{"LTarget":"${attr.arch}","RTarget":"arm"}]}`:                      "is no value of a device",
		`{"Name":"gpu","Affinities":[{"LTarget":"${device.model}","RTarget":"a","Weight":0}]}`:          "prefers nothing",
		`{"Name":"gpu","Affinities":[{"LTarget":"${device.model}","RTarget":"a","Weight":101}]}`:        "101 is out of range",
		`{"Name":"gpu","Affinities":[{"Operand":"distinct_property","LTarget":"${device.model}"}]}`:     "is a rule for nodes",
		`{"Name":"gpu","FirstAvailable":[{"Name":"tpu"}]}`:                                              "a device is asked for by one name",
		`{"Name":"gpu","Constraints":[{"LTarget":"${attr.arch}","RTarget":"arm"}]}`:                     "is no value of a device",
		`{"Name":"gpu","Constraints":[{"LTarget":"${device.ids}","RTarget":"a"}]}`:                      "is no value of a device",
		`{"Name":"gpu","Constraints":[{"LTarget":"${device.model}","RTarget":"${meta.x}"}]}`:            "is no value of a device",
		`{"Name":"gpu","Constraints":[{"LTarget":"${device.model}","RTarget":"a","Mode":"always"}]}`:    "is not carried out for devices",
		`{"Name":"gpu","Constraints":[{"Operand":"distinct_hosts"}]}`:                                   "is a rule for nodes",
		`{"Name":"gpu","Constraints":[{"LTarget":"${device.model}","RTarget":"(","Operand":"regexp"}]}`: "not a regular expression",
		strings.Repeat(`{"Name":"gpu"},`, DevicesMax) + `{"Name":"gpu"}`:                                "have 17 device blocks",
		`{"Name":"gpu","Count":40},{"Name":"tpu","Count":40}`:                                           "ask for 80 devices",
	} {
		err := Validate(deviceJob(devices), nil).Err()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", devices, err, want)
		}
	}
}

func TestAChangedDeviceReplaces(t *testing.T) {
	base := deviceJob(`{"Name":"gpu"},{"Name":"camera"}`)
	for devices, want := range map[string]Change{
		`{"Name":"camera","Count":1},{"Name":"gpu","Constraints":[]}`: ChangeNone,
		`{"Name":"camera"},{"Name":"gpu","Count":2}`:                  ChangeRestart,
		`{"Name":"camera"}`: ChangeRestart,
		`{"Name":"camera"},{"Name":"gpu","Affinities":[{"LTarget":"${device.model}","RTarget":"a"}]}`: ChangeRestart,
	} {
		next := deviceJob(devices)
		if got := UpdateKind(&base.TaskGroups[0], &next.TaskGroups[0], base, next); got != want {
			t.Errorf("%s: %s, want %s", devices, got, want)
		}
	}
	d, err := json.Marshal(Diff(base, deviceJob(`{"Name":"camera"},{"Name":"tpu"}`)))
	if err != nil || !strings.Contains(string(d), `"tpu"`) || !strings.Contains(string(d), `"gpu"`) || strings.Contains(string(d), `"camera"`) {
		t.Errorf("%s %v", d, err)
	}
}

func TestNamesOfDevices(t *testing.T) {
	have := &NodeDeviceResource{Vendor: "nvidia", Type: "gpu", Name: "T4"}
	for name, want := range map[string]bool{
		"gpu": true, "nvidia/gpu": true, "nvidia/gpu/T4": true, "nvidia": false, "amd/gpu": false, "nvidia/gpu/T": false, "gpu/T4": false,
	} {
		if d := (&RequestedDevice{Name: name}); d.Names(have) != want || strings.Contains(name, "gpu") && name != "gpu/T4" && d.Kind() != "gpu" {
			t.Errorf("%s: %v, kind %s", name, d.Names(have), d.Kind())
		}
	}
}

func TestDevicesOfANode(t *testing.T) {
	n := &Node{Attributes: map[string]string{
		"serial.ports": "ttyS0,ttyUSB0,ttyUSB1", "usb.devices": "0403:6001", "gpu.drivers": "nouveau", "camera.names": "cam", "i2c.buses": "i2c-1",
	}}
	ftdi := NodeDeviceResource{Vendor: "usb", Type: "serial", Name: "ftdi", Instances: []NodeDevice{{ID: "/dev/ttyUSB0", Healthy: true}}}
	var got []string
	list := func() {
		for _, d := range n.Devices() {
			for _, x := range d.Instances {
				got = append(got, d.ID()+"="+x.ID)
			}
		}
	}
	list()
	want := []string{"nvidia/gpu/nouveau=nouveau", "0403/usb/6001=0403:6001", "host/serial/ttyS=/dev/ttyS0", "host/serial/ttyUSB=/dev/ttyUSB0",
		"host/serial/ttyUSB=/dev/ttyUSB1", "host/i2c/bus=/dev/i2c-1", "host/camera/cam=cam"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found: %v, want %v", got, want)
	}
	// What the configuration names is not found once more; nonsense is left out.
	odd := NodeDeviceResource{Vendor: "a", Type: "b", Name: "c", Instances: []NodeDevice{{ID: "/dev/ttyUSB0"}, {ID: "x,y"}, {ID: "z"}, {ID: "z"}}}
	n.NodeResources.Devices, got = []NodeDeviceResource{ftdi, odd, {Vendor: "a//", Type: "gpu", Name: "c"}}, nil
	list()
	want = []string{"usb/serial/ftdi=/dev/ttyUSB0", "a/b/c=z", "0403/usb/6001=0403:6001", "host/i2c/bus=/dev/i2c-1", "host/camera/cam=cam"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("configured: %v, want %v", got, want)
	}
	if len(n.NodeResources.Devices) != 3 || len(n.NodeResources.Devices[1].Instances) != 4 {
		t.Error("what is configured was changed")
	}
}

func TestDeviceAttributesAreTheFields(t *testing.T) {
	a := DeviceAttributes{"memory": "16 GiB", "cores": "-12", "name": "T4", "ecc": "true", "odd": "007"}
	b, err := json.Marshal(a)
	const want = `{"cores":{"Int":-12},"ecc":{"Bool":true},"memory":{"Int":16,"Unit":"GiB"},"name":{"String":"T4"},"odd":{"String":"007"}}`
	if err != nil || string(b) != want {
		t.Fatalf("%s %v", b, err)
	}
	var back DeviceAttributes
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(a, back) {
		t.Fatalf("%v %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"x":{"Float":1.50,"Unit":"GHz"}}`), &back); err != nil || back["x"] != "1.50 GHz" {
		t.Fatalf("%v %v", back, err)
	}
}

// The quick look at a whole name says what the thorough one does.
func TestTheTwoLooksAtANameAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		part := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune("a/, \x01é")), 0, 4, -1), rapid.StringOfN(rapid.Just('a'), 40, 66, -1))
		d := NodeDeviceResource{Vendor: part.Draw(rt, "vendor"), Type: part.Draw(rt, "type"), Name: part.Draw(rt, "name")}
		slash := strings.Contains(d.Vendor+d.Type+d.Name, "/")
		if want := checkDeviceName(d.ID(), deviceNamePartsMax) == nil && !slash; d.isNamed() != want {
			rt.Fatalf("%q: %v, want %v", d.ID(), d.isNamed(), want)
		}
	})
}
