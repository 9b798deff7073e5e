package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dunlin-edge/dunlin/fleet"
)

// lookup finds what a reference such as node.datacenter stands for.
type lookup func(ref string) (string, bool)

// references knows ${node.…}, ${attr.…}, ${meta.…}, ${env["…"]}, ${env.…} and the variables of env by their own names.
func references(node *fleet.Node, region string, env map[string]string) lookup {
	fixed := map[string]string{
		"node.unique.id": string(node.ID), "node.unique.name": node.Name, "node.datacenter": node.Datacenter,
		"node.class": node.NodeClass, "node.pool": node.NodePool, "node.region": region,
	}
	return func(ref string) (string, bool) {
		if v, ok := fixed[ref]; ok {
			return v, true
		}
		from, key := env, ref
		if k, ok := strings.CutPrefix(ref, "attr."); ok {
			from, key = node.Attributes, k
		} else if k, ok := strings.CutPrefix(ref, "meta."); ok {
			from, key = node.Meta, k
		} else if k, ok := strings.CutPrefix(ref, "env."); ok {
			key = k
		} else if k, ok := strings.CutPrefix(ref, `env["`); ok {
			key = strings.TrimSuffix(k, `"]`)
		}
		v, ok := from[key]
		return v, ok
	}
}

// interpolate replaces ${…} in s; $${ stands for ${ itself.
func interpolate(s string, known lookup) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			out.WriteString(s)
			return out.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			out.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", fmt.Errorf("%q has ${ without }; write $${ for the characters themselves", s[i:])
		}
		ref := strings.TrimSpace(s[i+2 : i+end])
		v, ok := known(ref)
		if !ok {
			return "", fmt.Errorf("${%s} is not known on this device; references are ${NOMAD_…}, ${node.…}, ${attr.…}, ${meta.…} and ${env[\"…\"]}, and $${ stands for ${ itself", ref)
		}
		out.WriteString(s[:i] + v)
		s = s[i+end+1:]
	}
}

// interpolateJSON does the same in every string value of a JSON document.
func interpolateJSON(raw json.RawMessage, known lookup) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte("${")) {
		return raw, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	v, err := interpolateValue(v, known)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode it again: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

func interpolateValue(v any, known lookup) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return interpolate(v, known)
	case []any:
		for i := range v {
			if v[i], err = interpolateValue(v[i], known); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			if v[k], err = interpolateValue(v[k], known); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
