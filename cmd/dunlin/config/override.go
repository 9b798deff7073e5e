package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/dunlin-edge/dunlin/edge/fingerprint"
)

// overrides reads client { fingerprint { override = { … } } }. It is decoded by
// hand and not as a map, so that each mistake has its own line.
func (f *file) overrides() (fingerprint.Overrides, error) {
	if f.Client.Fingerprint == nil || f.Client.Fingerprint.Override == nil {
		return nil, nil
	}
	expr := f.Client.Fingerprint.Override
	if v, diags := expr.Value(nil); !diags.HasErrors() && v.IsNull() {
		return nil, nil // the setting was left out
	}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return nil, diagnostics(diags)
	}
	out := fingerprint.Overrides{}
	var wrong []error
	for _, p := range pairs {
		name, value, err := overridePair(p)
		if err == nil {
			if _, twice := out[name]; twice {
				err = fmt.Errorf("%s stands twice", name)
			}
		}
		if err == nil {
			out[name], err = fingerprint.CheckOverride(name, value)
		}
		if err == nil {
			err = f.contradicted(name)
		}
		if err != nil {
			at := p.Key.Range()
			wrong = append(wrong, fmt.Errorf("%s:%d: client.fingerprint.override: %w", at.Filename, at.Start.Line, err))
		}
	}
	return out, errors.Join(wrong...)
}

// overridePair reads a name and its value; numbers and booleans may stand without
// quotes.
func overridePair(p hcl.KeyValuePair) (name, value string, err error) {
	k, diags := p.Key.Value(nil)
	if diags.HasErrors() || k.Type() != cty.String || k.IsNull() {
		return "", "", errors.New("a name must be a quoted string, as in \"board.model\"")
	}
	name = k.AsString()
	v, diags := p.Value.Value(nil)
	if diags.HasErrors() {
		return name, "", fmt.Errorf("%s: %w", name, diags)
	}
	text, err := convert.Convert(v, cty.String)
	if err != nil || text.IsNull() {
		return name, "", fmt.Errorf("%s must be a string, a number or a boolean", name)
	}
	return name, text.AsString(), nil
}

// contradicted refuses a number that is also set by its older name: which of two
// is meant cannot be known.
func (f *file) contradicted(name string) error {
	switch {
	case name == "cpu.totalcompute" && f.Client.CPU != 0:
		return errors.New("cpu.totalcompute is also set as client.cpu_total_compute; leave one of them out")
	case name == "memory.totalbytes" && f.Client.Memory != 0:
		return errors.New("memory.totalbytes is also set as client.memory_total_mb; leave one of them out")
	}
	return nil
}
