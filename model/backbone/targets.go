package backbone

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
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

// TextTarget is the group of the attention layers of the text encoders; all other groups are of the network.
const TextTarget = "text"

// textLayers is how the names of a CLIP text encoder's attention layers end.
var textLayers = map[string][]string{TextTarget: {".q_proj", ".k_proj", ".v_proj", ".out_proj"}}

// TextTrainer is a model whose text encoders can be trained with its network. Its Conditioning is a TextConditioning,
// which Condition records where gradients are.
type TextTrainer interface {
	// TextParts lists the parts that are text encoders, in the order of the states.
	TextParts() []string
}

// TextConditioning tells what of it the text encoders made.
type TextConditioning interface {
	Conditioning
	// Encoded lists those of Tensors that follow from the text encoders' weights.
	Encoded() []torch.Tensor
}

// NewAdapter attaches fresh low-rank updates to the layers of a model that belong to the groups: those of its
// network first, then with TextTarget those of its text encoders, whose names begin with the part.
func NewAdapter(m Model, rank int64, alpha float64, seed uint64, groups []string) (a *nn.Adapter, err error) {
	a = &nn.Adapter{}
	network := slices.DeleteFunc(slices.Clone(groups), func(group string) bool { return group == TextTarget })
	if len(network) > 0 {
		want, err := m.LoRATargets(network)
		if err != nil {
			return nil, err
		}
		if a, err = nn.NewAdapter(m.Params(m.About().Network), rank, alpha, seed, want); err != nil {
			return nil, err
		}
	}
	if len(network) < len(groups) {
		if err := attachText(a, m, rank, alpha, seed); err != nil {
			a.Remove()
			return nil, err
		}
	}
	return a, nil
}

func attachText(a *nn.Adapter, m Model, rank int64, alpha float64, seed uint64) error {
	trainer, ok := m.(TextTrainer)
	if !ok {
		return fmt.Errorf("lora targets: %q is for Stable Diffusion 1.x, 2.x and SDXL, whose text encoders stay in memory", TextTarget)
	}
	want, err := Targets(textLayers, []string{TextTarget})
	if err != nil {
		return err
	}
	for i, part := range trainer.TextParts() {
		own, err := nn.NewAdapter(m.Params(part), rank, alpha, seed+uint64(i)+1, want)
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		for _, u := range own.LoRAs {
			u.Name = part + "." + u.Name
		}
		a.LoRAs = append(a.LoRAs, own.LoRAs...)
	}
	return nil
}

// splitPart takes the part off the name of a text encoder's update; others are of the network.
func splitPart(name, network string) (part, layer string) {
	if first, rest, ok := strings.Cut(name, "."); ok && strings.HasPrefix(first, "text_encoder") {
		return first, rest
	}
	return network, name
}

// TextUpdates counts the updates of an adapter that belong to text encoders; they are its last.
func TextUpdates(a *nn.Adapter) (n int) {
	for _, u := range a.LoRAs {
		if part, _ := splitPart(u.Name, ""); part != "" {
			n++
		}
	}
	return n
}
