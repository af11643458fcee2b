package backbone

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Targets makes the choice of layers that nn.NewAdapter wants out of names of groups; known has the groups of a
// network, by how their layers' names end.
func Targets(known map[string][]string, groups []string) (func(layer string) bool, error) {
	var ends []string
	for _, group := range groups {
		own, ok := known[group]
		if !ok {
			return nil, fmt.Errorf("lora targets: %q is unknown to this model, want %s", group, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		ends = append(ends, own...)
	}
	return func(layer string) bool {
		return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(layer, end) })
	}, nil
}
