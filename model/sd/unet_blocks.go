package sd

import (
	"slices"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// unetBlock is one level of the UNet: diffusers' DownBlock2D, UpBlock2D, the CrossAttn kinds of both,
// and UNetMidBlock2DCrossAttn.
type unetBlock struct {
	resnets     []*resnet
	attentions  []*transformer // one a resnet (the middle: one between two), none in plain blocks
	downsampler *nn.Conv2d     // nil at the last level down
	upsampler   *upsampler     // nil at the last level up
}

// level is what all layers of one level have in common.
type level struct {
	cfg      UNetConfig
	index    int // from the widest image to the narrowest
	channels int64
	time     int64 // width of the time embedding
	attends  bool
	p        nn.Params
}

func (l level) resnet(i int, in int64) *resnet {
	return newResnet(in, l.channels, l.time, l.cfg.NormNumGroups, l.cfg.NormEps, l.p.Sub("resnets").At(i))
}

// transformer makes that of layer i, depth transformer blocks.
func (l level) transformer(i int, depth int64) *transformer {
	return newTransformer(l.channels, l.cfg.AttentionHeadDim.At(l.index), depth,
		l.cfg.CrossAttentionDim, l.cfg.NormNumGroups, l.cfg.LinearProjection, l.p.Sub("attentions").At(i))
}

// newDownBlock makes a level on the way down; in is the channels of the level before.
func newDownBlock(l level, in int64, last bool) *unetBlock {
	b := new(unetBlock)
	for i := range int(l.cfg.LayersPerBlock.At(l.index)) {
		b.resnets = append(b.resnets, l.resnet(i, in))
		in = l.channels
		if l.attends {
			b.attentions = append(b.attentions, l.transformer(i, l.cfg.TransformerLayers.At(l.index, i)))
		}
	}
	if !last {
		b.downsampler = newDownsampler(l.channels, l.channels, l.p.Sub("downsamplers").At(0))
	}
	return b
}

// newMidBlock makes the middle, a transformer between two resnets, or one resnet, or nothing.
func newMidBlock(l level) *unetBlock {
	b := new(unetBlock)
	if l.cfg.MidBlockType == "" {
		return b
	}
	b.resnets = append(b.resnets, l.resnet(0, l.channels))
	if l.cfg.MidBlockType == plainMid {
		return b
	}
	b.attentions = append(b.attentions, l.transformer(0, l.cfg.TransformerLayers.At(l.index, 0)))
	b.resnets = append(b.resnets, l.resnet(1, l.channels))
	return b
}

// newUpBlock makes a level on the way up, with one layer more than on the way down. in is the channels
// that come from below, skip those of the level above on the way down, which its last layer meets.
func newUpBlock(l level, in, skip int64, last bool) *unetBlock {
	b := new(unetBlock)
	layers := int(l.cfg.LayersPerBlock.At(l.index)) + 1
	for i := range layers {
		beside := l.channels
		if i == layers-1 {
			beside = skip
		}
		b.resnets = append(b.resnets, l.resnet(i, in+beside))
		in = l.channels
		if l.attends {
			b.attentions = append(b.attentions, l.transformer(i, l.cfg.upTransformers(l.index, i)))
		}
	}
	if !last {
		b.upsampler = newUpsampler(l.channels, l.channels, l.p.Sub("upsamplers").At(0))
	}
	return b
}

// The state between stages of a UNet is x, the time embedding after its SiLU, and what the layers on the
// way down gave, which is met again on the way up: the last of it first.
const (
	stateX = iota
	stateTime
	stateSkips
)

// layer is resnet i and, where there is one, the transformer behind it.
func (b *unetBlock) layer(i int, x, timeAct torch.Tensor, context text) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		h := b.resnets[i].forward(x, timeAct)
		if b.attentions != nil {
			h = b.attentions[i].forward(h, context)
		}
		return h
	})
}

// down is a stage for every layer; what each gives goes on, and is met again on the way up.
func (b *unetBlock) down(context text) (stages []torch.Stage) {
	goOn := func(f func(x, timeAct torch.Tensor) torch.Tensor) {
		stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
			x := f(xs[stateX], xs[stateTime])
			return slices.Concat([]torch.Tensor{x}, xs[stateTime:], []torch.Tensor{x})
		})
	}
	for i := range b.resnets {
		goOn(func(x, timeAct torch.Tensor) torch.Tensor { return b.layer(i, x, timeAct, context) })
	}
	if b.downsampler != nil {
		goOn(func(x, _ torch.Tensor) torch.Tensor { return b.downsampler.Forward(x) })
	}
	return stages
}

func (b *unetBlock) middle(context text) []torch.Stage {
	if len(b.resnets) == 0 {
		return nil
	}
	return []torch.Stage{func(xs []torch.Tensor) []torch.Tensor {
		x := torch.Scope(func() torch.Tensor {
			h := xs[stateX]
			for i, r := range b.resnets {
				if h = r.forward(h, xs[stateTime]); i < len(b.attentions) {
					h = b.attentions[i].forward(h, context)
				}
			}
			return h
		})
		return slices.Concat([]torch.Tensor{x}, xs[stateTime:])
	}}
}

// up is a stage for every layer, which takes what is last of the way down. Upsampling makes the result as
// large as the next of it, which matters where a level had an odd side.
func (b *unetBlock) up(context text) (stages []torch.Stage) {
	for i := range b.resnets {
		stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
			last := len(xs) - 1
			x := torch.Scope(func() torch.Tensor {
				return b.layer(i, torch.Cat([]torch.Tensor{xs[stateX], xs[last]}, 1), xs[stateTime], context)
			})
			return slices.Concat([]torch.Tensor{x}, xs[stateTime:last])
		})
	}
	if b.upsampler != nil {
		stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
			next := xs[len(xs)-1]
			x := b.upsampler.forward(xs[stateX], next.Size(2), next.Size(3))
			return slices.Concat([]torch.Tensor{x}, xs[stateTime:])
		})
	}
	return stages
}
