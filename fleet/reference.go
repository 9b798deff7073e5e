package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// What a reference such as ${attr.cpu.arch} may refer to.
const (
	RefNode = "node" // a field of the device
	RefAttr = "attr" // an attribute that the device found out
	RefMeta = "meta" // what the device's operator says of it
	RefEnv  = "env"  // a variable of the task
)

// Reference is what stands between ${ and }.
type Reference struct {
	Kind string // one of Ref…; empty: it refers to nothing
	Key  string
	Bare bool // a variable that is written without env
}

// ParseReference reads node.KEY, attr.KEY, meta.KEY, env.KEY, env["KEY"] and the bare
// name of a variable.
func ParseReference(text string) Reference {
	if key, ok := strings.CutPrefix(text, `env["`); ok {
		if key, ok = strings.CutSuffix(key, `"]`); ok && key != "" {
			return Reference{Kind: RefEnv, Key: key}
		}
		return Reference{}
	}
	kind, key, dotted := strings.Cut(text, ".")
	switch kind {
	case RefNode, RefAttr, RefMeta, RefEnv:
		if dotted && key != "" {
			return Reference{Kind: kind, Key: key}
		}
	default:
		if text != "" && !strings.ContainsAny(text, ".[ \"{") {
			return Reference{Kind: RefEnv, Key: text, Bare: true}
		}
	}
	return Reference{}
}

// ReferenceForms says in words what there is to refer to.
const ReferenceForms = `references are ${NOMAD_…}, ${DUNLIN_…}, ${node.…}, ${attr.…}, ${meta.…} and ${env["…"]}; $${ stands for ${ itself, and a job file takes one more $: $$${`

// NodeFields are the fields of a device that ${node.…} refers to, by what follows the dot.
func NodeFields(n *Node, region string) map[string]string {
	return map[string]string{
		"unique.id": string(n.ID), "unique.name": n.Name, "datacenter": n.Datacenter, "class": n.NodeClass, "pool": n.NodePool, "region": region,
	}
}

// Lookup is the value of a reference, given the text between ${ and }. Its error says
// what is wrong with it.
type Lookup func(text string) (string, error)

// Interpolate replaces each ${…} of s; $${ stands for ${ itself. What is put in is not
// looked at again. Leaving an unknown reference as it is, as the field does, was rejected:
// the task would start with a text that nobody meant.
func Interpolate(s string, lookup Lookup) (string, error) {
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
			return "", fmt.Errorf("%q has ${ without }; %s", clip(s[i:]), ReferenceForms)
		}
		v, err := lookup(strings.TrimSpace(s[i+2 : i+end]))
		if err != nil {
			return "", err
		}
		out.WriteString(s[:i] + v)
		s = s[i+end+1:]
	}
}

// clip shortens a text for an error.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// InterpolateJSON does the same in every string value of a JSON document; its error
// begins with the place, such as args[1].
func InterpolateJSON(raw json.RawMessage, lookup Lookup) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte("${")) {
		return raw, nil
	}
	v, err := eachText(raw, func(place, s string) (string, error) {
		s, err := Interpolate(s, lookup)
		if err != nil {
			return "", fmt.Errorf("%s: %w", place, err)
		}
		return s, nil
	})
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

// eachText replaces every string value of a document by what f makes of it, in the
// order of their places, until f fails.
func eachText(raw json.RawMessage, f func(place, s string) (string, error)) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	return replaceTexts(v, "", f)
}

func replaceTexts(v any, place string, f func(place, s string) (string, error)) (any, error) {
	var err error
	switch v := v.(type) {
	case string:
		return f(place, v)
	case []any:
		for i := range v {
			if v[i], err = replaceTexts(v[i], fmt.Sprintf("%s[%d]", place, i), f); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			if v[k], err = replaceTexts(v[k], strings.TrimPrefix(place+"."+k, "."), f); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
