package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestDevicesOfAnAgent(t *testing.T) {
	parse := func(blocks string) (*Config, error) {
		return Parse("a.hcl", []byte("server { enabled = true }\nclient {\nenabled = true\n"+blocks+"\n}\n"))
	}
	c, err := parse(`
		device "usb/serial/ftdi" {
			ids        = ["/dev/ttyUSB0", "/dev/ttyUSB1"]
			attributes = { baud = "115200", bus = "rs485" }
		}
		device "nvidia/gpu/t4" { ids = ["0"] }`)
	if err != nil {
		t.Fatal(err)
	}
	ds := c.Client.Devices
	if len(ds) != 2 || ds[0].ID() != "nvidia/gpu/t4" || len(ds[1].Instances) != 2 || !ds[1].Instances[0].Healthy || ds[1].Attributes["bus"] != "rs485" {
		t.Errorf("%+v", ds)
	}
	long := strings.Repeat("x", 1000)
	large := ""
	for i := range 17 {
		large += fmt.Sprintf("device \"a/b/%d\" {\n ids = [\"%d\"] \n attributes = { a = %q, b = %q, c = %q, d = %q }\n}\n", i, i, long, long, long, long)
	}
	for blocks, want := range map[string]string{
		large:                                 "at most 65536",
		`device "gpu" { ids = ["0"] }`:        "VENDOR/TYPE/NAME",
		`device "a/b/c/d" { ids = ["0"] }`:    "names no device",
		`device "a/b/c" { ids = [] }`:         "has no ids",
		`device "a/b/c" { ids = ["0", "0"] }`: "stands there twice",
		`device "a/b/c" { ids = ["0,1"] }`:    "is no id",
		"device \"a/b/c\" {\n ids = [\"0\"] \n}\ndevice \"a/b/c\" {\n ids = [\"1\"] \n}": "into one",
		"device \"a/b/c\" {\n ids = [\"0\"] \n}\ndevice \"a/b/d\" {\n ids = [\"0\"] \n}": "held by two",
	} {
		if _, err := parse(blocks); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", blocks, err, want)
		}
	}
}
