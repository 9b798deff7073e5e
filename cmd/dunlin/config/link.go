package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

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
