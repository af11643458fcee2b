package sd

import (
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
	index    int // from the widest picture to the narrowest
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

// down returns what every layer of the level gives; the last of them goes on, and all of them are met
// again on the way up.
func (b *unetBlock) down(x, timeAct, context torch.Tensor) []torch.Tensor {
	var outs []torch.Tensor
	for i, r := range b.resnets {
		x = torch.Scope(func() torch.Tensor {
			h := r.forward(x, timeAct)
			if b.attentions != nil {
				h = b.attentions[i].forward(h, context)
			}
			return h
		})
		outs = append(outs, x)
	}
	if b.downsampler != nil {
		outs = append(outs, b.downsampler.Forward(x))
	}
	return outs
}

func (b *unetBlock) middle(x, timeAct, context torch.Tensor) torch.Tensor {
	if len(b.resnets) == 0 {
		return x
	}
	return torch.Scope(func() torch.Tensor {
		for i, r := range b.resnets {
			if x = r.forward(x, timeAct); i < len(b.attentions) {
				x = b.attentions[i].forward(x, context)
			}
		}
		return x
	})
}

// up takes the outputs of the way down from the end of skips and returns those that are left. The
// result is as large as the next of them, which matters where a level had an odd side.
func (b *unetBlock) up(x, timeAct, context torch.Tensor, skips []torch.Tensor) (torch.Tensor, []torch.Tensor) {
	out := torch.Scope(func() torch.Tensor {
		for i, r := range b.resnets {
			x = torch.Scope(func() torch.Tensor {
				last := len(skips) - 1
				h := r.forward(torch.Cat([]torch.Tensor{x, skips[last]}, 1), timeAct)
				skips = skips[:last]
				if b.attentions != nil {
					h = b.attentions[i].forward(h, context)
				}
				return h
			})
		}
		if b.upsampler != nil {
			next := skips[len(skips)-1]
			x = b.upsampler.forward(x, next.Size(2), next.Size(3))
		}
		return x
	})
	return out, skips
}
