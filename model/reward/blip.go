package reward

import (
	"regexp"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// blipLayer is a layer of BERT that also attends to an image (Li et al., arXiv 2201.12086): every part is
// added to what came in, and normed after.
type blipLayer struct {
	attention, crossAttention *blipAttention
	intermediate, output      *nn.Linear
	norm                      *nn.LayerNorm
}

func newBLIPLayer(c imageRewardConfig, p nn.Params) *blipLayer {
	return &blipLayer{
		attention:      newBLIPAttention(c, c.HiddenSize, p.Sub("attention")),
		crossAttention: newBLIPAttention(c, c.visionWidth, p.Sub("crossattention")),
		intermediate:   nn.NewLinear(c.HiddenSize, c.IntermediateSize, p.Sub("intermediate").Sub("dense")),
		output:         nn.NewLinear(c.IntermediateSize, c.HiddenSize, p.Sub("output").Sub("dense")),
		norm:           nn.NewLayerNorm(c.HiddenSize, c.LayerNormEps, p.Sub("output").Sub("LayerNorm")),
	}
}

// forward keeps the shape of x [B,N,D]; hidden [B,1,1,N] is added to the scores of its tokens, and seen
// [B,M,V] are the image's.
func (l *blipLayer) forward(x, hidden, seen torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := l.crossAttention.forward(l.attention.forward(x, x, hidden), seen, torch.Tensor{})
		return l.norm.Forward(x.Add(l.output.Forward(l.intermediate.Forward(x).GELU())))
	})
}

type blipAttention struct {
	query, key, value, dense *nn.Linear
	norm                     *nn.LayerNorm
	heads                    int64
}

// newBLIPAttention makes attention to tokens of a width.
func newBLIPAttention(c imageRewardConfig, width int64, p nn.Params) *blipAttention {
	self, output := p.Sub("self"), p.Sub("output")
	return &blipAttention{
		query: nn.NewLinear(c.HiddenSize, c.HiddenSize, self.Sub("query")),
		key:   nn.NewLinear(width, c.HiddenSize, self.Sub("key")),
		value: nn.NewLinear(width, c.HiddenSize, self.Sub("value")),
		dense: nn.NewLinear(c.HiddenSize, c.HiddenSize, output.Sub("dense")),
		norm:  nn.NewLayerNorm(c.HiddenSize, c.LayerNormEps, output.Sub("LayerNorm")),
		heads: c.NumAttentionHeads,
	}
}

// forward lets x [B,N,D] attend to seen [B,M,width].
func (a *blipAttention) forward(x, seen, mask torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		split := func(projection *nn.Linear, x torch.Tensor) torch.Tensor { // [B,heads,N,D/heads]
			return projection.Forward(x).Reshape(x.Size(0), x.Size(1), a.heads, -1).Transpose(1, 2)
		}
		out := nn.Attention(split(a.query, x), split(a.key, seen), split(a.value, seen), mask, false)
		return a.norm.Forward(x.Add(a.dense.Forward(out.Transpose(1, 2).Reshape(x.Shape()...))))
	})
}

// splitQKV cuts the joined projections of the vision encoder in three, named as clip.Encoder has them.
func splitQKV(tensors []weights.Tensor) []weights.Tensor {
	var all []weights.Tensor
	for _, t := range tensors {
		before, after, joined := strings.Cut(t.Name, ".attn.qkv.")
		if !joined || len(t.Shape) == 0 || t.Shape[0]%3 != 0 {
			all = append(all, t)
			continue
		}
		rows := t.Shape[0] / 3
		for i, name := range []string{"q_proj", "k_proj", "v_proj"} {
			part := t.Rows(int64(i)*rows, rows)
			part.Name = before + ".self_attn." + name + "." + after
			all = append(all, part)
		}
	}
	return all
}

// blipNames brings the vision encoder's keys to those of clip.Encoder.
func blipNames(name string) string {
	if !strings.HasPrefix(name, "blip.visual_encoder.") {
		return name
	}
	return blipBlock.ReplaceAllString(blipParts.Replace(name), ".layers.")
}

var (
	blipBlock = regexp.MustCompile(`\.blocks\.`)
	blipParts = strings.NewReplacer(".attn.proj.", ".self_attn.out_proj.", ".norm1.", ".layer_norm1.", ".norm2.", ".layer_norm2.")
)
