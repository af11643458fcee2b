package clip

import (
	"fmt"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Vision is a CLIP vision encoder: patches and a class token through transformer layers, then a norm
// and a projection into the space shared with the text.
type Vision struct {
	Config VisionConfig

	classEmbedding    torch.Tensor // [D]
	patchEmbedding    *nn.Conv2d
	positionEmbedding *nn.Embedding
	preLayrnorm       *nn.LayerNorm // the checkpoints' own spelling
	encoder           *Encoder
	postLayernorm     *nn.LayerNorm
	visualProjection  *nn.Linear
}

// VisionOutput is what rewards take from a vision encoder. N is the number of patches; token 0 of a
// state is the class token, patches follow row by row.
type VisionOutput struct {
	States []torch.Tensor // [B,1+N,D] each: after the first norm, then the output of every layer
	Pooled torch.Tensor   // [B,D] the class token of the last state after the last norm
	Embeds torch.Tensor   // [B,ProjectionDim] Pooled in the shared space, not normalized
}

// NewVision builds a vision encoder from keys under "vision_model." and "visual_projection".
func NewVision(cfg VisionConfig, p nn.Params) *Vision {
	body, grid := p.Sub("vision_model"), cfg.ImageSize/cfg.PatchSize
	embeddings := body.Sub("embeddings")
	return &Vision{
		Config:         cfg,
		classEmbedding: embeddings.Param("class_embedding", nn.Normal(0.02), cfg.HiddenSize),
		patchEmbedding: nn.NewConv2dNoBias(cfg.NumChannels, cfg.HiddenSize, cfg.PatchSize,
			torch.Conv{Stride: cfg.PatchSize}, embeddings.Sub("patch_embedding")),
		positionEmbedding: nn.NewEmbedding(grid*grid+1, cfg.HiddenSize, embeddings.Sub("position_embedding")),
		preLayrnorm:       nn.NewLayerNorm(cfg.HiddenSize, cfg.LayerNormEps, body.Sub("pre_layrnorm")),
		encoder: NewEncoder(EncoderConfig{
			HiddenSize: cfg.HiddenSize, IntermediateSize: cfg.IntermediateSize, NumAttentionHeads: cfg.NumAttentionHeads,
			NumHiddenLayers: cfg.NumHiddenLayers, LayerNormEps: cfg.LayerNormEps, HiddenAct: cfg.HiddenAct,
		}, body.Sub("encoder")),
		postLayernorm:    nn.NewLayerNorm(cfg.HiddenSize, cfg.LayerNormEps, body.Sub("post_layernorm")),
		visualProjection: nn.NewLinearNoBias(cfg.HiddenSize, cfg.ProjectionDim, p.Sub("visual_projection")),
	}
}

// Forward encodes pixels [B,3,ImageSize,ImageSize], normalized as the model's preprocessor_config.json says.
func (v *Vision) Forward(pixels torch.Tensor) VisionOutput {
	if s := v.Config.ImageSize; pixels.Size(-1) != s || pixels.Size(-2) != s {
		panic(&torch.Error{Op: "vision encoder", Message: fmt.Sprintf("pixels %v, want [B,3,%d,%d]", pixels, s, s)})
	}
	out := torch.Scopes(func() []torch.Tensor {
		patches := v.patchEmbedding.Forward(pixels).Flatten(2).Transpose(1, 2) // [B,N,D]
		class := v.classEmbedding.Expand(patches.Size(0), 1, v.Config.HiddenSize)
		tokens := torch.Cat([]torch.Tensor{class, patches}, 1).Add(v.positionEmbedding.Weight)
		states := v.encoder.Forward(v.preLayrnorm.Forward(tokens))
		pooled := v.postLayernorm.Forward(states[len(states)-1].Select(1, 0)) // [B,D]
		return append(states, pooled, v.visualProjection.Forward(pooled))
	})
	n := len(out)
	return VisionOutput{States: out[:n-2], Pooled: out[n-2], Embeds: out[n-1]}
}

// Project takes any tokens of the last state [...,D] to the shared space [...,ProjectionDim]; of
// patches it gives features that can be compared with a text.
func (v *Vision) Project(tokens torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return v.visualProjection.Forward(v.postLayernorm.Forward(tokens))
	})
}

// Encoder is the transformer behind the patches, for maps that need a look inside.
func (v *Vision) Encoder() *Encoder { return v.encoder }
