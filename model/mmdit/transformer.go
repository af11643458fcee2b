package mmdit

import (
	"fmt"
	"slices"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

const (
	normEps   = 1e-6
	timeWidth = 256 // sinusoids of a timestep
)

// Transformer tells the velocity from noise to image in latents.
type Transformer struct {
	Config Config

	posEmbed          *patchEmbed
	timeTextEmbed     *timeTextEmbed
	contextEmbedder   *nn.Linear
	transformerBlocks []*block
	normOut           *modulation
	projOut           *nn.Linear
}

// NewTransformer builds a network of a validated configuration.
func NewTransformer(cfg Config, p nn.Params) *Transformer {
	width := cfg.width()
	t := &Transformer{
		Config:          cfg,
		posEmbed:        newPatchEmbed(cfg, p.Sub("pos_embed")),
		timeTextEmbed:   newTimeTextEmbed(cfg, p.Sub("time_text_embed")),
		contextEmbedder: nn.NewLinear(cfg.JointAttentionDim, cfg.CaptionProjectionDim, p.Sub("context_embedder")),
	}
	for i := range cfg.NumLayers {
		kind := blockKind{dual: slices.Contains(cfg.DualAttentionLayers, i), last: i == cfg.NumLayers-1}
		t.transformerBlocks = append(t.transformerBlocks, newBlock(cfg, kind, p.Sub("transformer_blocks").At(i)))
	}
	t.normOut = newModulation(width, 2, p.Sub("norm_out"))
	t.projOut = nn.NewLinear(width, cfg.PatchSize*cfg.PatchSize*cfg.OutChannels, p.Sub("proj_out"))
	return t
}

// Forward predicts the velocity [B,C,H,W] of latents [B,C,H,W] at one timestep, 0 to 1000. context is
// the text's states [B,N,joint_attention_dim], pooled its summary [B,pooled_projection_dim]. H and W
// are multiples of patch_size, and at most pos_embed_max_size tokens. It computes and answers in the
// element type of its weights.
func (t *Transformer) Forward(latents torch.Tensor, timestep float64, context, pooled torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return torch.RunStages(t.Stages(timestep, context, pooled), []torch.Tensor{latents})[0]
	})
}

// Stages is Forward in stages, one for each block, for torch.BackwardStages: from latents to velocity. They live in
// the open scope.
func (t *Transformer) Stages(timestep float64, context, pooled torch.Tensor) []torch.Stage {
	dtype := t.projOut.Weight.DType()
	var height, width int64
	stages := []torch.Stage{func(xs []torch.Tensor) []torch.Tensor {
		height, width = xs[0].Size(2), xs[0].Size(3)
		image := t.posEmbed.forward(xs[0].To(dtype))                     // [B,H/p·W/p,D]
		condition := t.timeTextEmbed.forward(timestep, pooled.To(dtype)) // [B,D]
		text := t.contextEmbedder.Forward(context.To(dtype))             // [B,N,D]
		return []torch.Tensor{image, text, condition.SiLU()}             // every modulation begins with SiLU
	}}
	for _, b := range t.transformerBlocks {
		stages = append(stages, func(xs []torch.Tensor) []torch.Tensor {
			image, text := b.forward(xs[0], xs[1], xs[2])
			if b.kind.last {
				return []torch.Tensor{image, xs[2]}
			}
			return []torch.Tensor{image, text, xs[2]}
		})
	}
	return append(stages, func(xs []torch.Tensor) []torch.Tensor {
		m := t.normOut.forward(xs[1]) // scale, shift: in this order, unlike in the blocks
		out := t.projOut.Forward(modulate(xs[0], m[1], m[0]))
		return []torch.Tensor{t.unpatchify(out, height, width)}
	})
}

// unpatchify lays tokens [B,h·w,p·p·C] out as [B,C,H,W].
func (t *Transformer) unpatchify(x torch.Tensor, height, width int64) torch.Tensor {
	p, C := t.Config.PatchSize, t.Config.OutChannels
	h, w := height/p, width/p
	return x.Reshape(-1, h, w, p, p, C).Permute(0, 5, 1, 3, 2, 4).Reshape(-1, C, height, width)
}

// patchEmbed makes a token of every patch of the latents and adds its position, from the middle of a
// table, so that images of every size and shape share their center.
type patchEmbed struct {
	proj     *nn.Conv2d
	posEmbed torch.Tensor // [1,size²,D]
	cfg      Config
}

func newPatchEmbed(cfg Config, p nn.Params) *patchEmbed {
	size := cfg.PosEmbedMaxSize
	return &patchEmbed{
		proj:     nn.NewConv2d(cfg.InChannels, cfg.width(), cfg.PatchSize, torch.Conv{Stride: cfg.PatchSize}, p.Sub("proj")),
		posEmbed: p.Param("pos_embed", nn.Zeros, 1, size*size, cfg.width()),
		cfg:      cfg,
	}
}

// forward maps [B,C,H,W] to [B,H/p·W/p,D].
func (e *patchEmbed) forward(latents torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		p, size := e.cfg.PatchSize, e.cfg.PosEmbedMaxSize
		h, w := latents.Size(2)/p, latents.Size(3)/p
		if latents.Size(2)%p != 0 || latents.Size(3)%p != 0 || h > size || w > size {
			panic(&torch.Error{Op: "transformer", Message: fmt.Sprintf("latents of %dx%d, want multiples of %d up to %d", latents.Size(3), latents.Size(2), p, p*size)})
		}
		tokens := e.proj.Forward(latents).Flatten(2).Transpose(1, 2) // [B,h·w,D]
		table := e.posEmbed.Reshape(size, size, -1).Narrow(0, (size-h)/2, h).Narrow(1, (size-w)/2, w)
		return tokens.Add(table.Reshape(1, h*w, -1))
	})
}

// timeTextEmbed is one vector of the timestep and the pooled text, which steers every block.
type timeTextEmbed struct{ timestepEmbedder, textEmbedder *nn.TimeEmbedding }

func newTimeTextEmbed(cfg Config, p nn.Params) *timeTextEmbed {
	return &timeTextEmbed{
		timestepEmbedder: nn.NewTimeEmbedding(timeWidth, cfg.width(), p.Sub("timestep_embedder")),
		textEmbedder:     nn.NewTimeEmbedding(cfg.PooledProjectionDim, cfg.width(), p.Sub("text_embedder")),
	}
}

// forward is [B,D].
func (e *timeTextEmbed) forward(timestep float64, pooled torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		t := torch.Full(timestep, torch.Float32, pooled.Device(), 1)
		return e.timestepEmbedder.Forward(nn.Sinusoids(t, timeWidth, true, 0)).Add(e.textEmbedder.Forward(pooled))
	})
}
