package scenes

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// trunk reads an image [B,3,H,W] in [-1,1] into features at a quarter and an eighth of its sides.
type trunk interface {
	read(image torch.Tensor) (quarter, eighth torch.Tensor)
	widths() (quarter, eighth int64)
}

// JudgeWidths are the channels of a judge's trunk at 64, 32, 16 and 8 pixels of a side.
type JudgeWidths [4]int64

const (
	// WordCells are the cells of a side in which a judge of words says what is where.
	WordCells  = 16
	normGroups = 8 // of every norm in a judge
)

// newTrunk makes one of the two kinds of trunk: a judge that is optimized against and the one that
// checks on it should not share their weaknesses.
func newTrunk(kind int, w JudgeWidths, p nn.Params) trunk {
	if kind == 0 {
		return newPyramid(w, p)
	}
	return newMixer(w, p)
}

// normedConv is convolution, group norm, and an activation.
type normedConv struct {
	conv *nn.Conv2d
	norm *nn.GroupNorm
	act  func(torch.Tensor) torch.Tensor
}

func newNormedConv(in, out, kernel, stride int64, act func(torch.Tensor) torch.Tensor, p nn.Params) *normedConv {
	walk := torch.Conv{Stride: stride, Padding: kernel / 2}
	return &normedConv{nn.NewConv2d(in, out, kernel, walk, p.Sub("conv")), nn.NewGroupNorm(normGroups, out, 1e-5, p.Sub("norm")), act}
}

func (c *normedConv) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return c.act(c.norm.Forward(c.conv.Forward(x))) })
}

// residual is two normed convolutions beside a shortcut.
type residual struct {
	norm1, norm2 *nn.GroupNorm
	conv1, conv2 *nn.Conv2d
	shortcut     *nn.Conv2d // nil where the channels stay
}

func newResidual(in, out int64, p nn.Params) *residual {
	same := torch.Conv{Padding: 1}
	r := &residual{
		norm1: nn.NewGroupNorm(normGroups, in, 1e-5, p.Sub("norm1")), conv1: nn.NewConv2d(in, out, 3, same, p.Sub("conv1")),
		norm2: nn.NewGroupNorm(normGroups, out, 1e-5, p.Sub("norm2")), conv2: nn.NewConv2d(out, out, 3, same, p.Sub("conv2")),
	}
	if in != out {
		r.shortcut = nn.NewConv2d(in, out, 1, torch.Conv{}, p.Sub("shortcut"))
	}
	return r
}

func (r *residual) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		h := r.conv1.Forward(r.norm1.ForwardSiLU(x))
		h = r.conv2.Forward(r.norm2.ForwardSiLU(h))
		if r.shortcut != nil {
			x = r.shortcut.Forward(x)
		}
		return x.Add(h)
	})
}

// pyramid is residual convolutions down to a sixteenth of the sides and up again, as in feature
// pyramid networks (Lin et al., arXiv 1612.03144).
type pyramid struct {
	w               JudgeWidths
	stem            *nn.Conv2d
	down            [3]*nn.Conv2d
	blocks          [4]*residual
	upEighth, upQtr *residual
}

func newPyramid(w JudgeWidths, p nn.Params) *pyramid {
	half := torch.Conv{Stride: 2, Padding: 1}
	t := &pyramid{w: w, stem: nn.NewConv2d(3, w[0], 5, torch.Conv{Stride: 2, Padding: 2}, p.Sub("stem"))}
	channels := []int64{w[0], w[1], w[2], w[3]}
	for i := range t.down {
		t.down[i] = nn.NewConv2d(channels[i], channels[i+1], 3, half, p.Sub("down").At(i))
		t.blocks[i] = newResidual(channels[i+1], channels[i+1], p.Sub("blocks").At(i))
	}
	t.blocks[3] = newResidual(w[3], w[3], p.Sub("blocks").At(3))
	t.upEighth = newResidual(w[3]+w[2], w[2], p.Sub("up_eighth"))
	t.upQtr = newResidual(w[2]+w[1], w[1], p.Sub("up_quarter"))
	return t
}

func (t *pyramid) widths() (quarter, eighth int64) { return t.w[1], t.w[2] }

// bottomUp gives the features of the way down at a quarter, an eighth and a sixteenth.
func (t *pyramid) bottomUp(image torch.Tensor) []torch.Tensor {
	return torch.Scopes(func() []torch.Tensor {
		x := t.stem.Forward(image).SiLU()
		var features []torch.Tensor
		for i, down := range t.down {
			x = t.blocks[i].forward(down.Forward(x))
			features = append(features, x)
		}
		return features
	})
}

func (t *pyramid) read(image torch.Tensor) (quarter, eighth torch.Tensor) {
	out := torch.Scopes(func() []torch.Tensor {
		f := t.bottomUp(image)
		x := t.blocks[3].forward(f[2])
		eighth := t.upEighth.forward(torch.Cat([]torch.Tensor{x.UpsampleDouble(), f[1]}, 1))
		return []torch.Tensor{t.upQtr.forward(torch.Cat([]torch.Tensor{eighth.UpsampleDouble(), f[0]}, 1)), eighth}
	})
	return out[0], out[1]
}

// mixer is a convolutional stem, then attention among the pixels of an eighth, as hybrid vision
// transformers do it (Dosovitskiy et al., arXiv 2010.11929, section 3.1).
type mixer struct {
	w      JudgeWidths
	stem   [3]*normedConv
	place  torch.Tensor // [1,w8,16,16], where a pixel is
	blocks [3]*mixerBlock
	norm   *nn.LayerNorm
	up     *nn.Conv2d // to four times the channels, which become pixels
	merge  *normedConv
}

func newMixer(w JudgeWidths, p nn.Params) *mixer {
	gelu := torch.Tensor.GELU
	t := &mixer{w: w, norm: nn.NewLayerNorm(w[3], 1e-5, p.Sub("norm"))}
	for i, in := range []int64{3, w[0], w[1]} {
		t.stem[i] = newNormedConv(in, []int64{w[0], w[1], w[3]}[i], []int64{5, 3, 3}[i], 2, gelu, p.Sub("stem").At(i))
	}
	t.place = p.Param("place", nn.Normal(0.02), 1, w[3], WordCells, WordCells)
	for i := range t.blocks {
		t.blocks[i] = newMixerBlock(w[3], p.Sub("blocks").At(i))
	}
	t.up = nn.NewConv2d(w[3], 4*w[1], 1, torch.Conv{}, p.Sub("up"))
	t.merge = newNormedConv(2*w[1], w[1], 3, 1, gelu, p.Sub("merge"))
	return t
}

func (t *mixer) widths() (quarter, eighth int64) { return t.w[1], t.w[3] }

func (t *mixer) read(image torch.Tensor) (quarter, eighth torch.Tensor) {
	out := torch.Scopes(func() []torch.Tensor {
		early := t.stem[1].forward(t.stem[0].forward(image))
		x := t.stem[2].forward(early)
		B, C, H, W := x.Size(0), x.Size(1), x.Size(2), x.Size(3)
		place := t.place
		if H != WordCells || W != WordCells {
			place = place.To(torch.Float32).ResizeBilinear(H, W, torch.Resize{}).To(x.DType())
		}
		tokens := x.Add(place).Flatten(2).Transpose(1, 2) // [B,HW,C]
		for _, b := range t.blocks {
			tokens = b.forward(tokens)
		}
		eighth := t.norm.Forward(tokens).Transpose(1, 2).Reshape(B, C, H, W)
		fine := t.up.Forward(eighth).PixelShuffle(2)
		return []torch.Tensor{t.merge.forward(torch.Cat([]torch.Tensor{fine, early}, 1)), eighth}
	})
	return out[0], out[1]
}

// mixerBlock is attention and a feed-forward layer, each normed first and added.
type mixerBlock struct {
	norm1, norm2   *nn.LayerNorm
	qkv, out, a, b *nn.Linear
}

const mixerHeads = 4

func newMixerBlock(width int64, p nn.Params) *mixerBlock {
	return &mixerBlock{
		norm1: nn.NewLayerNorm(width, 1e-5, p.Sub("norm1")), norm2: nn.NewLayerNorm(width, 1e-5, p.Sub("norm2")),
		qkv: nn.NewLinear(width, 3*width, p.Sub("qkv")), out: nn.NewLinear(width, width, p.Sub("out")),
		a: nn.NewLinear(width, 2*width, p.Sub("fc1")), b: nn.NewLinear(2*width, width, p.Sub("fc2")),
	}
}

// forward keeps the shape [B,N,C].
func (m *mixerBlock) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, N, C := x.Size(0), x.Size(1), x.Size(2)
		parts := m.qkv.Forward(m.norm1.Forward(x)).Reshape(B, N, 3, mixerHeads, C/mixerHeads).Permute(2, 0, 3, 1, 4)
		seen := nn.Attention(parts.Select(0, 0), parts.Select(0, 1), parts.Select(0, 2), torch.Tensor{}, false)
		x := x.Add(m.out.Forward(seen.Transpose(1, 2).Reshape(B, N, C)))
		return x.Add(m.b.Forward(m.a.Forward(m.norm2.Forward(x)).GELU()))
	})
}
