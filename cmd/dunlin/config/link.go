package config

import (
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/dunlin-edge/dunlin/edge/fingerprint"
	"github.com/dunlin-edge/dunlin/wire/traffic"
)

// Classes of a device's link.
const (
	LinkMetered   = "metered"
	LinkUnmetered = "unmetered"
)

// Link is what a device's link costs its owner.
type Link struct {
	Class  string         // LinkMetered, LinkUnmetered; empty: not said
	Budget traffic.Budget // 0: none
}

// linkFile keeps the attributes as they stand in the file, so that a value that makes no sense is refused with its line.
type linkFile struct {
	Class  hcl.Expression `hcl:"class,optional"`
	Budget hcl.Expression `hcl:"budget,optional"`
}

func (f *linkFile) link(name string, out *Link) error {
	if f == nil {
		return nil
	}
	class, line, err := word(name, "client.link.class", f.Class)
	if err != nil {
		return err
	}
	if class != "" && class != LinkMetered && class != LinkUnmetered {
		return fmt.Errorf("%s:%d: client.link.class is %q; use %s or %s", name, line, class, LinkMetered, LinkUnmetered)
	}
	out.Class = class
	budget, line, err := word(name, "client.link.budget", f.Budget)
	if err != nil || budget == "" {
		return err
	}
	if class != LinkMetered {
		return fmt.Errorf("%s:%d: client.link.budget is for class = %q; class is %q", name, line, LinkMetered, class)
	}
	if out.Budget, err = traffic.ParseBudget(budget); err != nil {
		return fmt.Errorf("%s:%d: client.link.budget: %w", name, line, err)
	}
	return nil
}

// factMetered is what the class says as a fact, which constraints and people look for.
const factMetered = "link.metered"

// sayMetered makes a fact of the link's class: no system tells it reliably, and who pays for the link knows.
func (c *Client) sayMetered(name string) error {
	if c.Link.Class == "" {
		return nil
	}
	metered := strconv.FormatBool(c.Link.Class == LinkMetered)
	switch said, ok := c.Overrides[factMetered]; {
	case ok && said != metered:
		return fmt.Errorf("%s: client.link.class is %q, and client.fingerprint.override says %s = %q; leave one of them out", name, c.Link.Class, factMetered, said)
	case c.Overrides == nil:
		c.Overrides = fingerprint.Overrides{}
	}
	c.Overrides[factMetered] = metered
	return nil
}

// word is the text of an attribute and its line; "" where it is left out.
func word(name, key string, e hcl.Expression) (string, int, error) {
	v, diags := e.Value(nil)
	line := e.Range().Start.Line
	if diags.HasErrors() {
		return "", line, diagnostics(diags)
	}
	if v.IsNull() {
		return "", line, nil
	}
	if v.Type().FriendlyName() != "string" {
		return "", line, fmt.Errorf("%s:%d: %s is a %s; write text in quotes", name, line, key, v.Type().FriendlyName())
	}
	return v.AsString(), line, nil
}
