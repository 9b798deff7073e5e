package runner

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dunlin-edge/dunlin/fleet"
)

// references is what a task's texts may refer to on this device, with env as its variables.
func references(node *fleet.Node, region string, env map[string]string) fleet.Lookup {
	kinds := map[string]map[string]string{
		fleet.RefNode: fleet.NodeFields(node, region), fleet.RefAttr: node.Attributes, fleet.RefMeta: node.Meta, fleet.RefEnv: env,
	}
	return func(text string) (string, error) {
		ref := fleet.ParseReference(text)
		v, ok := kinds[ref.Kind][ref.Key]
		if !ok {
			return "", fmt.Errorf("${%s} is not known on this device; %s", text, fleet.ReferenceForms)
		}
		return v, nil
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
