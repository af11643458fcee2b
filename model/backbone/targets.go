package backbone

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"focusnfix/model/nn"
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

// NewAdapter attaches fresh low-rank updates to the layers of a model's network that belong to the groups.
func NewAdapter(m Model, rank int64, alpha float64, seed uint64, groups []string) (*nn.Adapter, error) {
	want, err := m.LoRATargets(groups)
	if err != nil {
		return nil, err
	}
	return nn.NewAdapter(m.Params(m.About().Network), rank, alpha, seed, want)
}
