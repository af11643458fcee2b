package reward

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// vit is an image classifier of the ViT kind (Dosovitskiy et al., arXiv 2010.11929), as transformers'
// ViTForImageClassification. One of its labels is the fault.
type vit struct {
	logOdds
	config  vitConfig
	prepare preparation
	params  nn.Params
	at      place
	label   int64

	classToken, positions torch.Tensor // [1,1,D], [1,1+N,D]
	patches               *nn.Conv2d
	encoder               *clip.Encoder
	norm                  *nn.LayerNorm
	classifier            *nn.Linear
}

// vitConfig is what we read of its config.json.
type vitConfig struct {
	ModelType         string            `json:"model_type"`
	HiddenSize        int64             `json:"hidden_size"`
	IntermediateSize  int64             `json:"intermediate_size"`
	NumHiddenLayers   int               `json:"num_hidden_layers"`
	NumAttentionHeads int64             `json:"num_attention_heads"`
	HiddenAct         string            `json:"hidden_act"`
	LayerNormEps      float64           `json:"layer_norm_eps"`
	ImageSize         int64             `json:"image_size"` // pixels
	PatchSize         int64             `json:"patch_size"` // pixels
	Labels            map[string]string `json:"id2label"`
}

func loadViTConfig(path string) (vitConfig, error) {
	c := vitConfig{ // what transformers' ViTConfig assumes
		HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12,
		HiddenAct: "gelu", LayerNormEps: 1e-12, ImageSize: 224, PatchSize: 16,
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if c.Labels == nil {
		c.Labels = unnamedLabels()
	}
	positive := c.HiddenSize > 0 && c.IntermediateSize > 0 && c.NumHiddenLayers > 0 && c.NumAttentionHeads > 0 && c.PatchSize > 0
	switch {
	case c.ModelType != "vit":
		return c, fmt.Errorf("%s: model_type %q, want vit", path, c.ModelType)
	case !positive || c.HiddenSize%c.NumAttentionHeads != 0 || c.ImageSize < c.PatchSize:
		return c, fmt.Errorf("%s: sizes that no ViT can have: hidden_size %d, intermediate_size %d, %d layers, %d heads, image_size %d, patch_size %d",
			path, c.HiddenSize, c.IntermediateSize, c.NumHiddenLayers, c.NumAttentionHeads, c.ImageSize, c.PatchSize)
	case len(c.Labels) < 2:
		return c, fmt.Errorf("%s: id2label has %d labels, want 2 or more", path, len(c.Labels))
	case c.HiddenAct != "gelu":
		return c, fmt.Errorf("%s: hidden_act %q, want gelu", path, c.HiddenAct)
	}
	return c, nil
}

// unnamedLabels are those of a file that has none.
func unnamedLabels() map[string]string { return map[string]string{"0": "LABEL_0", "1": "LABEL_1"} }

// findLabel is the index of a label, by name or number.
func findLabel(path string, labels map[string]string, label string) (int64, error) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if labels[key] == label || key == label {
			n, err := strconv.ParseInt(key, 10, 64)
			if err == nil && n >= 0 && n < int64(len(labels)) {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("%s: label %q, want ?label= with the one that is the fault, of %s", path, label,
		strings.Join(slices.Sorted(maps.Values(labels)), ", "))
}

// vitNames brings the keys of every version of transformers to those of clip.Encoder.
var vitNames = strings.NewReplacer(
	"vit.encoder.layer.", "vit.layers.",
	".attention.attention.query.", ".self_attn.q_proj.", ".attention.q_proj.", ".self_attn.q_proj.",
	".attention.attention.key.", ".self_attn.k_proj.", ".attention.k_proj.", ".self_attn.k_proj.",
	".attention.attention.value.", ".self_attn.v_proj.", ".attention.v_proj.", ".self_attn.v_proj.",
	".attention.output.dense.", ".self_attn.out_proj.", ".attention.o_proj.", ".self_attn.out_proj.",
	".intermediate.dense.", ".mlp.fc1.", ".output.dense.", ".mlp.fc2.",
	".layernorm_before.", ".layer_norm1.", ".layernorm_after.", ".layer_norm2.",
)

// openViT opens a classifier's folder in transformers' layout; label= names the fault.
func openViT(dir string, options url.Values, at place) (Reward, error) {
	path := filepath.Join(dir, "config.json")
	config, err := loadViTConfig(path)
	if err != nil {
		return nil, err
	}
	v := &vit{config: config, at: at}
	if v.label, err = findLabel(path, config.Labels, options.Get("label")); err != nil {
		return nil, err
	}
	half := []float32{0.5, 0.5, 0.5}
	v.prepare, err = readPreparation(dir, preparation{
		height: config.ImageSize, width: config.ImageSize, fit: fitStretch, bilinear: true, mean: half, std: half,
	})
	if err != nil {
		return nil, err
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return nil, err
	}
	v.params, err = build(file, weights.Rename(file.Tensors, vitNames.Replace), at, nil, v.make)
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (v *vit) make(p nn.Params) {
	c, body := v.config, p.Sub("vit")
	embeddings, grid := body.Sub("embeddings"), c.ImageSize/c.PatchSize
	v.classToken = embeddings.Param("cls_token", nn.Normal(0.02), 1, 1, c.HiddenSize)
	v.positions = embeddings.Param("position_embeddings", nn.Normal(0.02), 1, 1+grid*grid, c.HiddenSize)
	v.patches = nn.NewConv2d(3, c.HiddenSize, c.PatchSize, torch.Conv{Stride: c.PatchSize}, embeddings.Sub("patch_embeddings").Sub("projection"))
	v.encoder = clip.NewEncoder(clip.EncoderConfig{
		HiddenSize: c.HiddenSize, IntermediateSize: c.IntermediateSize, NumAttentionHeads: c.NumAttentionHeads,
		NumHiddenLayers: c.NumHiddenLayers, LayerNormEps: c.LayerNormEps, HiddenAct: c.HiddenAct,
	}, body)
	v.norm = nn.NewLayerNorm(c.HiddenSize, c.LayerNormEps, body.Sub("layernorm"))
	v.classifier = nn.NewLinear(c.HiddenSize, int64(len(c.Labels)), p.Sub("classifier"))
}

// Close frees the weights.
func (v *vit) Close() { v.params.Drop() }

// states are [B,1+N,D] each, for images [B,3,H,W] in [0,1]: before the first layer and after each.
func (v *vit) states(images torch.Tensor) []torch.Tensor {
	return torch.Scopes(func() []torch.Tensor {
		x := v.patches.Forward(v.prepare.apply(images, v.at.device, v.at.dtype)).Flatten(2).Transpose(1, 2)
		class := v.classToken.Expand(x.Size(0), 1, v.config.HiddenSize)
		return v.encoder.Forward(torch.Cat([]torch.Tensor{class, x}, 1).Add(v.positions))
	})
}

// logits are [B,labels] for the last state.
func (v *vit) logits(last torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return v.classifier.Forward(v.norm.Forward(last).Select(1, 0)) })
}

// fault is [B], the log-odds of the label against all others.
func (v *vit) fault(last torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return oneAgainstAll(v.logits(last), v.label).Select(1, 0)
	})
}

// Score is [B], the log-odds of all other labels against that of the fault.
func (v *vit) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		states := v.states(images)
		return v.fault(states[len(states)-1]).Neg()
	})
}

// Heatmap is Grad-CAM of the fault, times its probability.
func (v *vit) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			states := v.states(images)
			last := len(states) - 1
			small := patchMap(v.encoder, states[last-1], v.fault, v.fault(states[last]).Sigmoid())
			return v.prepare.undo(small, images.Size(2), images.Size(3))
		})
	})
	return heat
}
