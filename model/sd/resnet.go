package sd

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// laidOut is an image [B,C,H,W] in the memory order that a network's convolutions are fastest in; they
// keep it. On the CPU that is channels-last, for which our norms are made, too.
func laidOut(x torch.Tensor) torch.Tensor {
	if x.Device() == torch.CPU {
		return x.ChannelsLast()
	}
	return x
}

// resnet is diffusers' ResnetBlock2D: two normed convolutions beside a shortcut, between which the time
// embedding is added to every pixel. The VAE's have no time.
type resnet struct {
	norm1        *nn.GroupNorm
	conv1        *nn.Conv2d
	timeEmbProj  *nn.Linear // nil without time
	norm2        *nn.GroupNorm
	conv2        *nn.Conv2d
	convShortcut *nn.Conv2d // nil where the channels stay
}

// newResnet makes a block from in to out channels; timeChannels is 0 for one without time.
func newResnet(in, out, timeChannels, groups int64, eps float64, p nn.Params) *resnet {
	r := &resnet{
		norm1: nn.NewGroupNorm(groups, in, eps, p.Sub("norm1")),
		conv1: nn.NewConv2d(in, out, 3, torch.Conv{Padding: 1}, p.Sub("conv1")),
	}
	if timeChannels > 0 {
		r.timeEmbProj = nn.NewLinear(timeChannels, out, p.Sub("time_emb_proj"))
	}
	r.norm2 = nn.NewGroupNorm(groups, out, eps, p.Sub("norm2"))
	r.conv2 = nn.NewConv2d(out, out, 3, torch.Conv{Padding: 1}, p.Sub("conv2"))
	if in != out {
		r.convShortcut = nn.NewConv2d(in, out, 1, torch.Conv{}, p.Sub("conv_shortcut"))
	}
	return r
}

// forward maps x [B,in,H,W] to [B,out,H,W]. timeAct is the time embedding after its SiLU, [B,T], or no
// tensor.
func (r *resnet) forward(x, timeAct torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		h := torch.Scope(func() torch.Tensor { return r.conv1.Forward(r.norm1.ForwardSiLU(x)) })
		h = torch.Scope(func() torch.Tensor {
			if r.timeEmbProj != nil {
				h = h.Add(r.timeEmbProj.Forward(timeAct).Unsqueeze(-1).Unsqueeze(-1)) // [B,out,1,1]
			}
			return r.conv2.Forward(r.norm2.ForwardSiLU(h))
		})
		if r.convShortcut != nil {
			x = r.convShortcut.Forward(x)
		}
		return x.Add(h)
	})
}

// newDownsampler halves [B,in,H,W]: key conv.
func newDownsampler(in, out int64, p nn.Params) *nn.Conv2d {
	return nn.NewConv2d(in, out, 3, torch.Conv{Stride: 2, Padding: 1}, p.Sub("conv"))
}

// upsampler is a convolution over an image whose pixels are repeated: key conv.
type upsampler struct{ conv *nn.Conv2d }

func newUpsampler(in, out int64, p nn.Params) *upsampler {
	return &upsampler{nn.NewConv2d(in, out, 3, torch.Conv{Padding: 1}, p.Sub("conv"))}
}

// forward maps [B,in,H,W] to [B,out,height,width].
func (u *upsampler) forward(x torch.Tensor, height, width int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		switch {
		case height == 2*x.Size(2) && width == 2*x.Size(3):
			return u.conv.Forward(x.UpsampleDouble())
		case x.DType() == torch.BFloat16: // libtorch 1.13 has no kernel for it on the CPU
			return u.conv.Forward(x.To(torch.Float32).UpsampleNearest(height, width).To(torch.BFloat16))
		}
		return u.conv.Forward(x.UpsampleNearest(height, width))
	})
}
