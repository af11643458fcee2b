package zimage

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

const (
	timeWidth    = 256  // of a timestep's sinusoids, and at most of what is made of them
	timeMidWidth = 1024 // between
	multiple     = 32   // sequences are padded to a multiple of this, with tokens that were learned
	finalNormEps = 1e-6
)

// Transformer tells the velocity from image to noise in latents, with its sign turned: diffusers'
// pipeline negates what it returns.
type Transformer struct {
	Config Config

	xEmbedder       *nn.Linear
	tEmbedder       [2]*nn.Linear // mlp.0 and mlp.2
	capNorm         *nn.RMSNorm
	capLinear       *nn.Linear
	xPad, capPad    torch.Tensor // [1,D]
	noiseRefiner    []*block
	contextRefiner  []*block
	layers          []*block
	finalLinear     *nn.Linear
	finalModulation *nn.Linear

	mutex  sync.Mutex
	angles map[place]angles // of sequences that were seen
}

// place is a caption's length, padded, and an image's height and width, in tokens.
type place struct{ caption, h, w int64 }

// angles are the cosines and sines of an image's and a caption's tokens.
type angles struct{ image, text [2][]float32 }

// mostAngles is how many sequences' are kept: a thousand image tokens take half a megabyte.
const mostAngles = 8

// NewTransformer builds a network of a validated configuration.
func NewTransformer(cfg Config, p nn.Params) *Transformer {
	patch := cfg.patch()
	size := fmt.Sprintf("%d-1", patch)
	token := patch * patch * cfg.InChannels
	condition := min(cfg.Dim, timeWidth)
	mlp, caption, final := p.Sub("t_embedder").Sub("mlp"), p.Sub("cap_embedder"), p.Sub("all_final_layer").Sub(size)
	t := &Transformer{
		Config:          cfg,
		xEmbedder:       nn.NewLinear(token, cfg.Dim, p.Sub("all_x_embedder").Sub(size)),
		tEmbedder:       [2]*nn.Linear{nn.NewLinear(timeWidth, timeMidWidth, mlp.At(0)), nn.NewLinear(timeMidWidth, condition, mlp.At(2))},
		capNorm:         nn.NewRMSNorm(cfg.CaptionDim, cfg.NormEps, caption.At(0)),
		capLinear:       nn.NewLinear(cfg.CaptionDim, cfg.Dim, caption.At(1)),
		xPad:            p.Param("x_pad_token", nn.Zeros, 1, cfg.Dim),
		capPad:          p.Param("cap_pad_token", nn.Zeros, 1, cfg.Dim),
		finalLinear:     nn.NewLinear(cfg.Dim, token, final.Sub("linear")),
		finalModulation: nn.NewLinear(condition, cfg.Dim, final.Sub("adaLN_modulation").At(1)),
	}
	stack := func(name string, n int, modulated bool) []*block {
		var blocks []*block
		for i := range n {
			blocks = append(blocks, newBlock(cfg, modulated, p.Sub(name).At(i)))
		}
		return blocks
	}
	t.noiseRefiner = stack("noise_refiner", cfg.RefinerLayers, true)
	t.contextRefiner = stack("context_refiner", cfg.RefinerLayers, false)
	t.layers = stack("layers", cfg.Layers, true)
	return t
}

// Forward maps latents [B,C,H,W] to [B,C,H,W] at one timestep: 0 is noise, 1 the image. captions are the
// states of B prompts, [N,cap_feat_dim] each, of any N. H and W are multiples of the patch size. It computes
// and answers in the element type of its weights.
func (t *Transformer) Forward(latents torch.Tensor, timestep float64, captions []torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return torch.RunStages(t.Stages(timestep, latents.Size(2), latents.Size(3), captions), []torch.Tensor{latents})[0]
	})
}

// Stages is Forward for latents of height H and width W in stages, one for each block, for torch.BackwardStages: from
// latents to what is answered. They live in the open scope. Prompts of one padded length are drawn together; the others would only hide padding from
// each other. The state between is the condition, then image and text of every such group, joined from the main
// layers on.
func (t *Transformer) Stages(timestep float64, height, width int64, captions []torch.Tensor) []torch.Stage {
	t.check(height, width, captions)
	groups := byLength(captions)
	h, w := height/t.Config.patch(), width/t.Config.patch() // tokens
	var image, text, both []places                          // of each group
	for _, group := range groups {
		atImage, atText := t.places(padded(captions[group[0]].Size(0)), h, w)
		image, text, both = append(image, atImage), append(text, atText), append(both, atImage.then(atText))
	}
	stages := []torch.Stage{func(xs []torch.Tensor) []torch.Tensor {
		if n := xs[0].Size(0); n != int64(len(captions)) {
			refuse("%d captions for %d images", len(captions), n)
		}
		state := []torch.Tensor{t.embedTime(timestep)}
		for _, group := range groups {
			state = append(state, t.embedImages(xs[0], group), t.embedCaptions(captions, group))
		}
		return state
	}}
	// each maps every group's image, text or both, from place first of the state on
	each := func(b *block, first, step int, at []places, modulated bool) {
		stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
			next, condition := slices.Clone(xs), torch.Tensor{}
			if modulated {
				condition = xs[0]
			}
			for g := range groups {
				next[first+g*step] = b.forward(xs[first+g*step], at[g], condition)
			}
			return next
		})
	}
	for _, b := range t.noiseRefiner {
		each(b, 1, 2, image, true)
	}
	for _, b := range t.contextRefiner {
		each(b, 2, 2, text, false)
	}
	stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
		state := []torch.Tensor{xs[0]}
		for g := range groups {
			state = append(state, torch.Cat(xs[1+2*g:3+2*g], 1))
		}
		return state
	})
	for _, b := range t.layers {
		each(b, 1, 1, both, true)
	}
	return append(stages, func(xs []torch.Tensor) []torch.Tensor {
		images := make([]torch.Tensor, len(captions))
		for g, group := range groups {
			out := t.finish(xs[1+g], xs[0], h, w)
			for k, i := range group {
				images[i] = out.Narrow(0, int64(k), 1)
			}
		}
		return []torch.Tensor{torch.Cat(images, 0)}
	})
}

func refuse(format string, a ...any) {
	panic(&torch.Error{Op: "transformer", Message: fmt.Sprintf(format, a...)})
}

func (t *Transformer) check(H, W int64, captions []torch.Tensor) {
	patch, lens := t.Config.patch(), t.Config.AxesLens
	if H%patch != 0 || W%patch != 0 || H/patch > lens[1] || W/patch > lens[2] {
		refuse("latents of %dx%d, want multiples of %d up to %dx%d", W, H, patch, patch*lens[2], patch*lens[1])
	}
	for i, caption := range captions {
		if n := caption.Size(0); n < 1 || padded(n)+1 >= lens[0] {
			refuse("caption %d has %d tokens, want 1 to %d", i, n, lens[0]-1-multiple)
		}
	}
}

// byLength groups the places of captions of one padded length, in the order of the first of each.
func byLength(captions []torch.Tensor) [][]int {
	var groups [][]int
	at := map[int64]int{}
	for i, caption := range captions {
		n := padded(caption.Size(0))
		if _, ok := at[n]; !ok {
			at[n] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[n]] = append(groups[at[n]], i)
	}
	return groups
}

// padded is the next multiple.
func padded(n int64) int64 { return (n + multiple - 1) / multiple * multiple }

// embedTime is the condition of every modulated block, [1,min(D,256)].
func (t *Transformer) embedTime(timestep float64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		first := t.tEmbedder[0]
		at := torch.Full(timestep*t.Config.TimeScale, torch.Float32, first.Weight.Device(), 1)
		waves := nn.Sinusoids(at, timeWidth, true, 0).To(first.Weight.DType())
		return t.tEmbedder[1].Forward(first.Forward(waves).SiLU())
	})
}

// embedImages makes the tokens of a group's latents, padded.
func (t *Transformer) embedImages(latents torch.Tensor, group []int) torch.Tensor {
	var some []torch.Tensor
	for _, i := range group {
		some = append(some, latents.Narrow(0, int64(i), 1))
	}
	return withPadding(t.xEmbedder.Forward(t.patchify(torch.Cat(some, 0))), t.xPad)
}

// embedCaptions makes the tokens of a group's captions, padded.
func (t *Transformer) embedCaptions(captions []torch.Tensor, group []int) torch.Tensor {
	var texts []torch.Tensor
	for _, i := range group {
		embedded := t.capLinear.Forward(t.capNorm.Forward(captions[i].To(t.capPad.DType())).Unsqueeze(0))
		texts = append(texts, withPadding(embedded, t.capPad))
	}
	return torch.Cat(texts, 0)
}

// finish makes latents of the image's tokens, which stand before the caption's.
func (t *Transformer) finish(x, condition torch.Tensor, h, w int64) torch.Tensor {
	scale := t.finalModulation.Forward(condition.SiLU()).Unsqueeze(1).AddScalar(1)
	return t.unpatchify(t.finalLinear.Forward(nn.Normalize(x.Narrow(1, 0, h*w), finalNormEps).Mul(scale)), h, w)
}

// withPadding lengthens x [B,N,D] to a multiple with a learned token [1,D].
func withPadding(x, token torch.Tensor) torch.Tensor {
	n := padded(x.Size(1)) - x.Size(1)
	if n == 0 {
		return x
	}
	return torch.Cat([]torch.Tensor{x, token.Unsqueeze(0).Expand(x.Size(0), n, -1)}, 1)
}

// patchify makes a token of every patch, [B,h·w,p·p·C].
func (t *Transformer) patchify(latents torch.Tensor) torch.Tensor {
	p, C := t.Config.patch(), t.Config.InChannels
	h, w := latents.Size(2)/p, latents.Size(3)/p
	x := latents.To(t.xEmbedder.Weight.DType()).Reshape(-1, C, h, p, w, p)
	return x.Permute(0, 2, 4, 3, 5, 1).Reshape(-1, h*w, p*p*C)
}

// unpatchify is the inverse of patchify.
func (t *Transformer) unpatchify(x torch.Tensor, h, w int64) torch.Tensor {
	p, C := t.Config.patch(), t.Config.InChannels
	return x.Reshape(-1, h, w, p, p, C).Permute(0, 5, 1, 3, 2, 4).Reshape(-1, C, h*p, w*p)
}

// places are cosines and sines [N,D/2] of where N tokens stand on three axes (RoPE; arXiv 2104.09864),
// float32: along the caption from 1 on, padding included; an image stands behind its caption, and its tokens
// at their row and column. Padding of an image stands at 0.
type places struct{ cos, sin torch.Tensor }

func (t *Transformer) places(caption, h, w int64) (image, text places) {
	known := t.anglesOf(place{caption, h, w})
	return t.turns(known.image), t.turns(known.text)
}

// anglesOf computes the angles of a sequence once: every step of every image asks for them.
func (t *Transformer) anglesOf(at place) angles {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if known, ok := t.angles[at]; ok {
		return known
	}
	if t.angles == nil || len(t.angles) == mostAngles {
		t.angles = map[place]angles{}
	}
	image, text := tokensAt(at.caption, at.h, at.w)
	t.angles[at] = angles{t.Config.turns(image), t.Config.turns(text)}
	return t.angles[at]
}

// tokensAt are the places of an image's and a caption's tokens.
func tokensAt(caption, h, w int64) (imageAt, textAt [][3]int64) {
	for y := range h {
		for x := range w {
			imageAt = append(imageAt, [3]int64{caption + 1, y, x})
		}
	}
	imageAt = append(imageAt, make([][3]int64, padded(h*w)-h*w)...)
	for i := range caption {
		textAt = append(textAt, [3]int64{i + 1, 0, 0})
	}
	return imageAt, textAt
}

// turns writes places as cosines and sines of angles. Their products are rounded to float32 before, as in diffusers.
func (c Config) turns(at [][3]int64) [2][]float32 {
	var cos, sin []float32
	for _, place := range at {
		for axis, dim := range c.AxesDims {
			for i := int64(0); i < dim; i += 2 {
				frequency := 1 / math.Pow(c.RopeTheta, float64(i)/float64(dim))
				angle := float64(float32(float64(place[axis]) * frequency))
				cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
			}
		}
	}
	return [2][]float32{cos, sin}
}

// turns puts a table on the device.
func (t *Transformer) turns(table [2][]float32) places {
	width := (t.Config.AxesDims[0] + t.Config.AxesDims[1] + t.Config.AxesDims[2]) / 2
	tensor := func(values []float32) torch.Tensor {
		return torch.From(values, int64(len(values))/width, width).ToDevice(t.xEmbedder.Weight.Device(), torch.Float32)
	}
	return places{tensor(table[0]), tensor(table[1])}
}

// then is the places of two sequences behind one another.
func (p places) then(q places) places {
	return places{torch.Cat([]torch.Tensor{p.cos, q.cos}, 0), torch.Cat([]torch.Tensor{p.sin, q.sin}, 0)}
}
