package nn

import (
	"fmt"
	"iter"
	"strconv"

	"focusnfix/model/torch"
)

// Source gives parameters by their full name. A parameter is owned: it lives until Params.Drop.
type Source interface {
	// Has reports whether the source knows a parameter of this name.
	Has(name string) bool
	// Param is the parameter of that name and shape. init says how it starts where the source makes
	// parameters up.
	Param(name string, init Init, shape []int64) torch.Tensor
}

// Params hands a network the parameters below one prefix. Copies share one inventory.
type Params struct {
	prefix    string // "" or ends with a dot
	inventory *inventory
}

// inventory is all that one network was given, in the order in which it asked.
type inventory struct {
	source Source
	names  []string
	params map[string]torch.Tensor
	layers map[string]adaptable // those that low-rank updates fit, by name
	order  []string             // of layers
}

// NewParams starts the inventory of one network.
func NewParams(source Source) Params {
	return Params{inventory: &inventory{
		source: source, params: map[string]torch.Tensor{}, layers: map[string]adaptable{},
	}}
}

// Sub is the part of p below name: Sub("down_blocks").
func (p Params) Sub(name string) Params {
	p.prefix += name + "."
	return p
}

// At is the i-th part of a list: Sub("resnets").At(0).
func (p Params) At(i int) Params { return p.Sub(strconv.Itoa(i)) }

// Has reports whether the source knows a parameter of this name below p.
func (p Params) Has(name string) bool { return p.inventory.source.Has(p.prefix + name) }

// Param is the parameter of that name below p. Asking for one a second time gives the same tensor.
func (p Params) Param(name string, init Init, shape ...int64) torch.Tensor {
	full := p.prefix + name
	if known, ok := p.inventory.params[full]; ok {
		if got := known.Shape(); torch.ShapeString(got) != torch.ShapeString(shape) {
			panic(&torch.Error{Op: "params", Message: fmt.Sprintf("%s: asked for as %s and as %s", full, torch.ShapeString(got), torch.ShapeString(shape))})
		}
		return known
	}
	t := p.inventory.source.Param(full, init, shape)
	p.inventory.names = append(p.inventory.names, full)
	p.inventory.params[full] = t
	return t
}

// All lists the parameters below p with their names below p, in the order of the network's making.
// They are those that the network was made with: merging an Adapter does not show here.
func (p Params) All() iter.Seq2[string, torch.Tensor] {
	return func(yield func(string, torch.Tensor) bool) {
		for _, full := range p.inventory.names {
			name, below := p.below(full)
			if below && !yield(name, p.inventory.params[full]) {
				return
			}
		}
	}
}

// Layers lists the linear and convolution layers below p by their names below p, which are those that
// LoRA files use: "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q".
func (p Params) Layers() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, full := range p.inventory.order {
			name, below := p.below(full)
			if below && !yield(name) {
				return
			}
		}
	}
}

func (p Params) below(full string) (string, bool) {
	if len(full) < len(p.prefix) || full[:len(p.prefix)] != p.prefix {
		return "", false
	}
	return full[len(p.prefix):], true
}

// Drop frees the network's parameters. The network must not be used any more.
func (p Params) Drop() {
	for _, t := range p.inventory.params {
		torch.Drop(t)
	}
	if closer, ok := p.inventory.source.(interface{ drop() }); ok {
		closer.drop()
	}
}

// register notes the layer whose parameters lie directly below p.
func (p Params) register(layer adaptable) {
	if p.prefix == "" {
		return // a lone layer, without a name to address it by
	}
	name := p.prefix[:len(p.prefix)-1]
	if _, ok := p.inventory.layers[name]; !ok {
		p.inventory.order = append(p.inventory.order, name)
	}
	p.inventory.layers[name] = layer
}
