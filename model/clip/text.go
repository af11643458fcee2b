package clip

import (
	"fmt"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Text is a CLIP text encoder: token and position embeddings, causal transformer layers, a final
// norm, and for some (SDXL's second, whole CLIPs) a projection of the pooled state.
type Text struct {
	Config TextConfig

	tokenEmbedding, positionEmbedding *nn.Embedding
	encoder                           *Encoder
	finalLayerNorm                    *nn.LayerNorm
	textProjection                    *nn.Linear // nil without projection
}

// TextOutput is what diffusion models take from a text encoder.
type TextOutput struct {
	States []torch.Tensor // [B,N,D] each: the embeddings, then the output of every layer
	Last   torch.Tensor   // [B,N,D] the last state after the final norm
	Pooled torch.Tensor   // [B,D] Last at the end token; [B,ProjectionDim] where projected
}

// NewText builds a text encoder. Its keys may lie under "text_model.", as they always did, or bare,
// as transformers 5 writes a CLIPTextModel.
func NewText(cfg TextConfig, p nn.Params) *Text {
	body := p.Sub("text_model")
	if p.Has("embeddings.token_embedding.weight") {
		body = p
	}
	t := &Text{
		Config:            cfg,
		tokenEmbedding:    nn.NewEmbedding(cfg.VocabSize, cfg.HiddenSize, body.Sub("embeddings").Sub("token_embedding")),
		positionEmbedding: nn.NewEmbedding(cfg.MaxPositionEmbeddings, cfg.HiddenSize, body.Sub("embeddings").Sub("position_embedding")),
		encoder: NewEncoder(EncoderConfig{
			HiddenSize: cfg.HiddenSize, IntermediateSize: cfg.IntermediateSize, NumAttentionHeads: cfg.NumAttentionHeads,
			NumHiddenLayers: cfg.NumHiddenLayers, LayerNormEps: cfg.LayerNormEps, HiddenAct: cfg.HiddenAct, Causal: true,
		}, body.Sub("encoder")),
		finalLayerNorm: nn.NewLayerNorm(cfg.HiddenSize, cfg.LayerNormEps, body.Sub("final_layer_norm")),
	}
	if cfg.Projected() {
		t.textProjection = nn.NewLinearNoBias(cfg.HiddenSize, cfg.ProjectionDim, p.Sub("text_projection"))
	}
	return t
}

// Forward encodes B prompts of N token ids each; N is at most MaxPositionEmbeddings.
func (t *Text) Forward(ids [][]int64) TextOutput { return t.ForwardMasked(ids, nil) }

// ForwardMasked is Forward where no token sees the padding, if counts says how many tokens of each prompt
// are none. As every token sees only those before it, that changes the states at the padding alone.
func (t *Text) ForwardMasked(ids [][]int64, counts []int) TextOutput {
	flat, err := t.flatten(ids)
	if err != nil {
		panic(&torch.Error{Op: "text encoder", Message: err.Error()})
	}
	B, N := int64(len(ids)), int64(len(ids[0]))
	out := torch.Scopes(func() []torch.Tensor {
		numbers := torch.From(append(flat, t.ends(ids)...)).ToDevice(t.tokenEmbedding.Weight.Device(), torch.Int64)
		tokens := t.tokenEmbedding.Forward(numbers.Narrow(0, 0, B*N).Reshape(B, N)) // [B,N,D]
		positions := t.positionEmbedding.Weight.Narrow(0, 0, N)                     // [N,D]
		states := t.encoder.forwardMasked(tokens.Add(positions), t.padding(counts, B, N, tokens))
		last := t.FinalNorm(states[len(states)-1])
		pooled := last.Reshape(B*N, t.Config.HiddenSize).IndexSelect(0, numbers.Narrow(0, B*N, B)) // [B,D]
		if t.textProjection != nil {
			pooled = t.textProjection.Forward(pooled)
		}
		return append(states, last, pooled)
	})
	n := len(out)
	return TextOutput{States: out[:n-2], Last: out[n-2], Pooled: out[n-1]}
}

// padding is the mask that hides the padding, [B,1,1,N], or no tensor.
func (t *Text) padding(counts []int, B, N int64, like torch.Tensor) torch.Tensor {
	if counts == nil {
		return torch.Tensor{}
	}
	mask := make([]float32, B*N)
	for b, count := range counts {
		for n := int64(count); n < N; n++ {
			mask[int64(b)*N+n] = -1e4 // far below any score, and in the range of float16
		}
	}
	return torch.From(mask, B, 1, 1, N).ToDevice(like.Device(), like.DType())
}

// FinalNorm is the norm that follows the last layer; clip_skip applies it to an earlier state.
func (t *Text) FinalNorm(state torch.Tensor) torch.Tensor { return t.finalLayerNorm.Forward(state) }

func (t *Text) flatten(ids [][]int64) ([]int64, error) {
	if len(ids) == 0 || len(ids[0]) == 0 {
		return nil, fmt.Errorf("no tokens")
	}
	if n := int64(len(ids[0])); n > t.Config.MaxPositionEmbeddings {
		return nil, fmt.Errorf("%d tokens, want at most %d", n, t.Config.MaxPositionEmbeddings)
	}
	var flat []int64
	for i, row := range ids {
		if len(row) != len(ids[0]) {
			return nil, fmt.Errorf("prompt %d has %d tokens, want %d as the first", i, len(row), len(ids[0]))
		}
		for _, id := range row {
			if id < 0 || id >= t.Config.VocabSize {
				return nil, fmt.Errorf("token id %d, want 0 to %d: the tokenizer belongs to another model", id, t.Config.VocabSize-1)
			}
		}
		flat = append(flat, row...)
	}
	return flat, nil
}

// ends gives the place of every prompt's end token in the flattened ids. Configurations from before
// transformers 4.31 say eos_token_id 2, which no vocabulary means: there it is the greatest id.
func (t *Text) ends(ids [][]int64) []int64 {
	places := make([]int64, len(ids))
	for b, row := range ids {
		end := 0
		for n, id := range row {
			if t.Config.EOSTokenID == 2 && id > row[end] {
				end = n
			}
			if t.Config.EOSTokenID != 2 && id == t.Config.EOSTokenID {
				end = n
				break
			}
		}
		places[b] = int64(b*len(row) + end)
	}
	return places
}
