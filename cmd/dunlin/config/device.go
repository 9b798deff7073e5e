package config

import (
	"fmt"
	"net"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// What a joined device keeps in its data folder.
const (
	AgentFile = "agent.hcl"
	TLSDir    = "tls"
)

// Device is what `dunlin join` learnt.
type Device struct {
	Name, Region, Datacenter, DataDir string
	Pool                              string // node pool; may be empty
	Servers                           []string
	HTTP                              string // host:port; empty: the default
	RawExec                           bool
}

// DeviceFile writes the configuration of a joined device.
func DeviceFile(d Device) ([]byte, error) {
	f := hclwrite.NewEmptyFile()
	b := f.Body()
	text := func(key, value string) { b.SetAttributeValue(key, cty.StringVal(value)) }
	text("name", d.Name)
	text("region", d.Region)
	text("datacenter", d.Datacenter)
	text("data_dir", d.DataDir)
	if d.HTTP != "" {
		host, port, err := net.SplitHostPort(d.HTTP)
		if err != nil {
			return nil, fmt.Errorf("-http %q: want HOST:PORT", d.HTTP)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("-http %q: the port is not a number", d.HTTP)
		}
		text("bind_addr", host)
		b.AppendNewBlock("ports", nil).Body().SetAttributeValue("http", cty.NumberIntVal(int64(n)))
	}
	b.AppendNewline()
	client := b.AppendNewBlock("client", nil).Body()
	client.SetAttributeValue("enabled", cty.True)
	var servers []cty.Value
	for _, s := range d.Servers {
		servers = append(servers, cty.StringVal(s))
	}
	client.SetAttributeValue("servers", cty.ListVal(servers))
	if d.Pool != "" {
		client.SetAttributeValue("node_pool", cty.StringVal(d.Pool))
	}
	if d.RawExec {
		b.AppendNewline()
		plugin := b.AppendNewBlock("plugin", []string{"raw_exec"}).Body()
		plugin.AppendNewBlock("config", nil).Body().SetAttributeValue("enabled", cty.True)
	}
	return hclwrite.Format(f.Bytes()), nil
}

// WithoutName takes the device's name out of a configuration and leaves the rest
// as it is, comments included. Without a name a device goes by its host name.
func WithoutName(text []byte) ([]byte, error) {
	f, diags := hclwrite.ParseConfig(text, AgentFile, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	f.Body().RemoveAttribute("name")
	return f.Bytes(), nil
}
