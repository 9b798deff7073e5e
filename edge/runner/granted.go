package runner

import (
	"net"
	"strconv"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/wire"
)

// grantedVariables tells what the allocation alone holds of the device: its ports under the names of the field. Tasks use the device's
// own network, so inside and outside are the same number. Of devices a task is told its own alone.
func grantedVariables(tell func(name, value string), g *wire.Grants, task, ip string) {
	for _, p := range g.Ports {
		number := strconv.Itoa(int(p.Number))
		addr := net.JoinHostPort(ip, number)
		for name, value := range map[string]string{
			"PORT_": number, "HOST_PORT_": number, "ALLOC_PORT_": number,
			"IP_": ip, "HOST_IP_": ip, "ADDR_": addr, "HOST_ADDR_": addr,
		} {
			tell(name+p.Label, value)
		}
	}
	ids := map[string][]string{}
	for _, d := range g.Devices {
		if d.Task == task {
			name := fleet.DeviceVariable(d.Device)
			ids[name] = append(ids[name], d.IDs...)
		}
	}
	for name, of := range ids {
		tell(name, strings.Join(of, ","))
	}
}
