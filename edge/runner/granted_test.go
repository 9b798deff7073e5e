package runner

import (
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestPortsInTheEnvironment(t *testing.T) {
	env := map[string]string{}
	node := &fleet.Node{Attributes: map[string]string{fleet.AttributeAddress: "fd00::7"}}
	tell := func(name, value string) { env["NOMAD_"+name] = value }
	grantedVariables(tell, &wire.Grants{Ports: []wire.GrantedPort{{Label: "http", Number: 8080}, {Label: "x", Number: 20001}}, Devices: []wire.GrantedDevice{
		{Task: "t", Device: "nvidia/gpu/t4", IDs: []string{"0", "1"}}, {Task: "t", Device: "amd/gpu/x", IDs: []string{"7"}}, {Task: "u", Device: "usb/serial/ftdi", IDs: []string{"/dev/ttyUSB0"}},
	}}, "t", node.Address())
	for name, want := range map[string]string{
		"NOMAD_PORT_http": "8080", "NOMAD_HOST_PORT_http": "8080", "NOMAD_ALLOC_PORT_http": "8080",
		"NOMAD_IP_http": "fd00::7", "NOMAD_HOST_IP_http": "fd00::7",
		"NOMAD_ADDR_http": "[fd00::7]:8080", "NOMAD_HOST_ADDR_http": "[fd00::7]:8080", "NOMAD_PORT_x": "20001", "NOMAD_DEVICE_GPU": "0,1,7", "NOMAD_DEVICE_SERIAL": "",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if got, err := fleet.Interpolate("-addr=${NOMAD_ADDR_x} ${env.NOMAD_PORT_http}", references(node, "", env)); err != nil || got != "-addr=[fd00::7]:20001 8080" {
		t.Errorf("%q, %v", got, err)
	}
	if (&fleet.Node{}).Address() != "127.0.0.1" {
		t.Error("a device that tells no address is found on its loopback")
	}
}
