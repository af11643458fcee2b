package sd

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

const vaeEps = 1e-6 // of every norm in the VAE

// vaeEncoder halves the image once per level but the last.
type vaeEncoder struct {
	convIn      *nn.Conv2d
	downBlocks  []*vaeLevel
	midBlock    *vaeMiddle
	convNormOut *nn.GroupNorm
	convOut     *nn.Conv2d
}

// vaeDecoder mirrors it, with one resnet more per level.
type vaeDecoder struct {
	convIn      *nn.Conv2d
	midBlock    *vaeMiddle
	upBlocks    []*vaeLevel
	convNormOut *nn.GroupNorm
	convOut     *nn.Conv2d
}

// vaeLevel is resnets, then what halves or doubles the sides, or neither.
type vaeLevel struct {
	resnets     []*resnet
	downsampler *nn.Conv2d
	upsampler   *upsampler
}

// vaeMiddle is resnet, attention over all pixels, resnet.
type vaeMiddle struct {
	resnets   [2]*resnet
	attention *vaeAttention // nil where the configuration leaves it out
}

type vaeAttention struct {
	groupNorm            *nn.GroupNorm
	toQ, toK, toV, toOut *nn.Linear
}

func newVAEEncoder(cfg VAEConfig, p nn.Params) *vaeEncoder {
	widths := cfg.BlockOutChannels
	last := len(widths) - 1
	e := &vaeEncoder{convIn: nn.NewConv2d(cfg.InChannels, widths[0], 3, torch.Conv{Padding: 1}, p.Sub("conv_in"))}
	in := widths[0]
	for i, out := range widths {
		level := p.Sub("down_blocks").At(i)
		block := newVAELevel(in, out, cfg.LayersPerBlock, cfg.NormNumGroups, level)
		if i < last { // padded by hand, on two sides only
			block.downsampler = nn.NewConv2d(out, out, 3, torch.Conv{Stride: 2}, level.Sub("downsamplers").At(0).Sub("conv"))
		}
		e.downBlocks, in = append(e.downBlocks, block), out
	}
	e.midBlock = newVAEMiddle(cfg, p.Sub("mid_block"))
	e.convNormOut = nn.NewGroupNorm(cfg.NormNumGroups, in, vaeEps, p.Sub("conv_norm_out"))
	e.convOut = nn.NewConv2d(in, 2*cfg.LatentChannels, 3, torch.Conv{Padding: 1}, p.Sub("conv_out"))
	return e
}

func newVAEDecoder(cfg VAEConfig, p nn.Params) *vaeDecoder {
	widths := cfg.BlockOutChannels
	last := len(widths) - 1
	d := &vaeDecoder{
		convIn:   nn.NewConv2d(cfg.LatentChannels, widths[last], 3, torch.Conv{Padding: 1}, p.Sub("conv_in")),
		midBlock: newVAEMiddle(cfg, p.Sub("mid_block")),
	}
	in := widths[last]
	for i := range widths {
		level, out := p.Sub("up_blocks").At(i), widths[last-i]
		block := newVAELevel(in, out, cfg.LayersPerBlock+1, cfg.NormNumGroups, level)
		if i < last {
			block.upsampler = newUpsampler(out, out, level.Sub("upsamplers").At(0))
		}
		d.upBlocks, in = append(d.upBlocks, block), out
	}
	d.convNormOut = nn.NewGroupNorm(cfg.NormNumGroups, in, vaeEps, p.Sub("conv_norm_out"))
	d.convOut = nn.NewConv2d(in, cfg.OutChannels, 3, torch.Conv{Padding: 1}, p.Sub("conv_out"))
	return d
}

func newVAELevel(in, out int64, layers int, groups int64, p nn.Params) *vaeLevel {
	l := new(vaeLevel)
	for j := range layers {
		l.resnets = append(l.resnets, newResnet(in, out, 0, groups, vaeEps, p.Sub("resnets").At(j)))
		in = out
	}
	return l
}

func newVAEMiddle(cfg VAEConfig, p nn.Params) *vaeMiddle {
	width := cfg.BlockOutChannels[len(cfg.BlockOutChannels)-1]
	m := new(vaeMiddle)
	for i := range m.resnets {
		m.resnets[i] = newResnet(width, width, 0, cfg.NormNumGroups, vaeEps, p.Sub("resnets").At(i))
	}
	if cfg.MidBlockAddAttention {
		p := p.Sub("attentions").At(0)
		m.attention = &vaeAttention{
			groupNorm: nn.NewGroupNorm(cfg.NormNumGroups, width, vaeEps, p.Sub("group_norm")),
			toQ:       nn.NewLinear(width, width, p.Sub("to_q")),
			toK:       nn.NewLinear(width, width, p.Sub("to_k")),
			toV:       nn.NewLinear(width, width, p.Sub("to_v")),
			toOut:     nn.NewLinear(width, width, p.Sub("to_out").At(0)),
		}
	}
	return m
}

func (e *vaeEncoder) forward(pixels torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		h := e.convIn.Forward(pixels)
		for _, b := range e.downBlocks {
			h = b.forward(h)
		}
		return e.convOut.Forward(e.convNormOut.ForwardSiLU(e.midBlock.forward(h)))
	})
}

func (d *vaeDecoder) forward(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return torch.RunStages(d.stages(), []torch.Tensor{latents})[0] })
}

// stages is forward in parts: a resnet of the widest level alone takes half a gigabyte at 1024x1024.
func (d *vaeDecoder) stages() []torch.Stage {
	stages := []torch.Stage{one(func(x torch.Tensor) torch.Tensor { return d.midBlock.forward(d.convIn.Forward(x)) })}
	for _, b := range d.upBlocks {
		stages = append(stages, b.stages()...)
	}
	return append(stages, one(func(x torch.Tensor) torch.Tensor { return d.convOut.Forward(d.convNormOut.ForwardSiLU(x)) }))
}

func (l *vaeLevel) forward(h torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return torch.RunStages(l.stages(), []torch.Tensor{h})[0] })
}

func (l *vaeLevel) stages() []torch.Stage {
	var stages []torch.Stage
	for _, r := range l.resnets {
		stages = append(stages, one(func(h torch.Tensor) torch.Tensor { return r.forward(h, torch.Tensor{}) }))
	}
	switch {
	case l.downsampler != nil:
		return append(stages, one(func(h torch.Tensor) torch.Tensor {
			return l.downsampler.Forward(h.Pad(0, 0, 1, 0, 1)) // right and bottom
		}))
	case l.upsampler != nil:
		return append(stages, one(func(h torch.Tensor) torch.Tensor { return l.upsampler.forward(h, 2*h.Size(2), 2*h.Size(3)) }))
	}
	return stages
}

func (m *vaeMiddle) forward(h torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		h := m.resnets[0].forward(h, torch.Tensor{})
		if m.attention != nil {
			h = m.attention.forward(h)
		}
		return m.resnets[1].forward(h, torch.Tensor{})
	})
}

// forward attends from every pixel of x [B,C,H,W] to every other, with one head.
func (a *vaeAttention) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, C, H, W := x.Size(0), x.Size(1), x.Size(2), x.Size(3)
		h := a.groupNorm.Forward(x).Reshape(B, C, H*W).Transpose(1, 2) // [B,HW,C]
		head := func(l *nn.Linear) torch.Tensor { return l.Forward(h).Unsqueeze(1) }
		out := nn.Attention(head(a.toQ), head(a.toK), head(a.toV), torch.Tensor{}, false).Squeeze(1)
		return x.Add(a.toOut.Forward(out).Transpose(1, 2).Reshape(B, C, H, W))
	})
}
