package reward

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// segFormer marks the faulty pixels of an image (Xie et al., arXiv 2105.15203), as transformers'
// SegformerForSemanticSegmentation does: a pyramid of transformer stages, joined at a quarter of the
// image's size. With one label its logits are those of a fault, with several one of the labels is it.
//
// The score is the logarithm of the probability that no pixel is faulty, averaged over the pixels.
type segFormer struct {
	config  segFormerConfig
	prepare preparation
	params  nn.Params
	at      place
	label   int64

	stages                    []*segStage
	projections               []*nn.Linear
	fuse                      torch.Tensor // [D,stages·D,1,1]
	gain, shift, mean, spread torch.Tensor // [D] of the batch norm behind
	classifier                *nn.Conv2d
}

// segFormerConfig is what we read of its config.json.
type segFormerConfig struct {
	ModelType   string            `json:"model_type"`
	Depths      []int             `json:"depths"`
	HiddenSizes []int64           `json:"hidden_sizes"`
	Heads       []int64           `json:"num_attention_heads"`
	Ratios      []int64           `json:"sr_ratios"` // by which keys and values are thinned out, on each side
	PatchSizes  []int64           `json:"patch_sizes"`
	Strides     []int64           `json:"strides"`
	MLPRatios   []float64         `json:"mlp_ratios"`
	DecoderSize int64             `json:"decoder_hidden_size"`
	HiddenAct   string            `json:"hidden_act"`
	Labels      map[string]string `json:"id2label"`
	ReshapeLast *bool             `json:"reshape_last_stage"`
}

const (
	segNormEps  = 1e-5 // PyTorch's default, which transformers leaves
	segSide     = 512  // pixels that the published detectors were trained on
	maxSegWidth = 1 << 14
)

func loadSegFormerConfig(path string) (segFormerConfig, error) {
	c := segFormerConfig{ // what transformers' SegformerConfig assumes
		Depths: []int{2, 2, 2, 2}, HiddenSizes: []int64{32, 64, 160, 256}, Heads: []int64{1, 2, 5, 8}, Ratios: []int64{8, 4, 2, 1},
		PatchSizes: []int64{7, 3, 3, 3}, Strides: []int64{4, 2, 2, 2}, MLPRatios: []float64{4, 4, 4, 4}, DecoderSize: 256, HiddenAct: "gelu",
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
	switch {
	case c.ModelType != "segformer":
		return c, fmt.Errorf("%s: model_type %q, want segformer", path, c.ModelType)
	case !c.aligned():
		return c, fmt.Errorf("%s: depths, hidden_sizes, num_attention_heads, sr_ratios, patch_sizes, strides and mlp_ratios must be lists of one length", path)
	case c.HiddenAct != "gelu":
		return c, fmt.Errorf("%s: hidden_act %q, want gelu", path, c.HiddenAct)
	case c.ReshapeLast != nil && !*c.ReshapeLast:
		return c, fmt.Errorf("%s: reshape_last_stage false is not supported", path)
	case c.DecoderSize < 1 || c.DecoderSize > maxSegWidth:
		return c, fmt.Errorf("%s: decoder_hidden_size %d, want 1 to %d", path, c.DecoderSize, maxSegWidth)
	}
	for i := range c.Depths {
		if !c.possible(i) {
			return c, fmt.Errorf("%s: sizes that no SegFormer can have, in stage %d", path, i)
		}
	}
	return c, nil
}

// aligned reports whether every list has a number for every stage.
func (c segFormerConfig) aligned() bool {
	n := len(c.Depths)
	for _, m := range []int{len(c.HiddenSizes), len(c.Heads), len(c.Ratios), len(c.PatchSizes), len(c.Strides), len(c.MLPRatios)} {
		if m != n {
			return false
		}
	}
	return n > 0
}

// possible reports whether a stage can have its sizes.
func (c segFormerConfig) possible(i int) bool {
	for _, n := range []int64{int64(c.Depths[i]), c.Heads[i], c.Ratios[i], c.PatchSizes[i], c.Strides[i], c.HiddenSizes[i]} {
		if n < 1 || n > maxSegWidth {
			return false
		}
	}
	return c.HiddenSizes[i]%c.Heads[i] == 0 && c.MLPRatios[i] > 0 && c.MLPRatios[i] < 64
}

// segFormerNames brings the keys of older versions of transformers to those of version 5.
func segFormerNames(name string) string {
	parts := strings.Split(name, ".")
	if len(parts) > 4 && parts[0] == "segformer" && parts[1] == "encoder" {
		stage := "segformer.stages." + parts[3]
		switch parts[2] {
		case "patch_embeddings":
			return stage + ".patch_embeddings." + strings.Join(parts[4:], ".")
		case "layer_norm":
			return stage + ".layer_norm." + strings.Join(parts[4:], ".")
		case "block":
			return stage + ".blocks." + segBlockNames.Replace(strings.Join(parts[4:], "."))
		}
	}
	return strings.Replace(name, "decode_head.linear_c.", "decode_head.linear_projections.", 1)
}

var segBlockNames = strings.NewReplacer(
	".layer_norm_1.", ".layernorm_before.", ".layer_norm_2.", ".layernorm_after.",
	".attention.self.query.", ".attention.q_proj.", ".attention.self.key.", ".attention.k_proj.", ".attention.self.value.", ".attention.v_proj.",
	".attention.self.sr.", ".attention.sequence_reduction.sequence_reduction.", ".attention.self.layer_norm.", ".attention.sequence_reduction.layer_norm.",
	".attention.output.dense.", ".attention.o_proj.", ".mlp.dense1.", ".mlp.fc1.", ".mlp.dense2.", ".mlp.fc2.",
)

// openSegFormer opens a folder in transformers' layout; label= names the fault where there are several.
func openSegFormer(dir string, options url.Values, at place) (Reward, error) {
	path := filepath.Join(dir, "config.json")
	config, err := loadSegFormerConfig(path)
	if err != nil {
		return nil, err
	}
	s := &segFormer{config: config, at: at}
	if len(config.Labels) > 1 {
		if s.label, err = findLabel(path, config.Labels, options.Get("label")); err != nil {
			return nil, err
		}
	}
	s.prepare, err = readPreparation(dir, preparation{
		height: segSide, width: segSide, fit: fitStretch, bilinear: true,
		mean: []float32{0.485, 0.456, 0.406}, std: []float32{0.229, 0.224, 0.225}, // ImageNet's
		anySize: true,
	})
	if err != nil {
		return nil, err
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return nil, err
	}
	if s.params, err = build(file, weights.Rename(file.Tensors, segFormerNames), at, nil, s.make); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *segFormer) make(p nn.Params) {
	c, head := s.config, p.Sub("decode_head")
	in := int64(3)
	for i := range c.Depths {
		s.stages, in = append(s.stages, newSegStage(c, i, in, p.Sub("segformer").Sub("stages").At(i))), c.HiddenSizes[i]
		s.projections = append(s.projections, nn.NewLinear(in, c.DecoderSize, head.Sub("linear_projections").At(i).Sub("proj")))
	}
	D := c.DecoderSize
	s.fuse = head.Sub("linear_fuse").Param("weight", nn.FanIn(D), D, D*int64(len(c.Depths)), 1, 1)
	norm := head.Sub("batch_norm")
	s.gain, s.shift = norm.Param("weight", nn.Ones, D), norm.Param("bias", nn.Zeros, D)
	s.mean, s.spread = norm.Param("running_mean", nn.Zeros, D), norm.Param("running_var", nn.Ones, D)
	s.classifier = nn.NewConv2d(D, int64(len(c.Labels)), 1, torch.Conv{}, head.Sub("classifier"))
}

// Close frees the weights.
func (s *segFormer) Close() { s.params.Drop() }

// logits are [B,1,h,w], the log-odds of a fault in every pixel of the prepared image's quarter.
func (s *segFormer) logits(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := s.prepare.apply(images, s.at.device, s.at.dtype)
		var joined []torch.Tensor
		var h, w int64
		for i, stage := range s.stages {
			x = stage.forward(x)
			if i == 0 {
				h, w = x.Size(2), x.Size(3)
			}
			projected := s.projections[i].Forward(x.Permute(0, 2, 3, 1)).Permute(0, 3, 1, 2)
			joined = append([]torch.Tensor{projected.ResizeBilinear(h, w, torch.Resize{})}, joined...)
		}
		fused := torch.Cat(joined, 1).Conv2d(s.fuse, torch.Tensor{}, torch.Conv{})
		all := s.classifier.Forward(fused.BatchNorm(s.gain, s.shift, s.mean, s.spread, torchNormEps).ReLU())
		return oneAgainstAll(all, s.label)
	})
}

// oneAgainstAll is the log-odds of one channel of logits [B,N,...] against the others, [B,1,...]; a channel alone
// is its own.
func oneAgainstAll(logits torch.Tensor, label int64) torch.Tensor {
	n := logits.Size(1)
	if n == 1 {
		return logits
	}
	return torch.Scope(func() torch.Tensor {
		others := torch.Cat([]torch.Tensor{logits.Narrow(1, 0, label), logits.Narrow(1, label+1, n-label-1)}, 1)
		return logits.Narrow(1, label, 1).Sub(others.LogSumExp(1).Unsqueeze(1))
	})
}

// Score is [B]: log(1 - P(fault)), averaged over the pixels.
func (s *segFormer) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return s.logits(images).Softplus().Mean(1, 2, 3).Neg() })
}

// Heatmap is the probability of a fault in every pixel.
func (s *segFormer) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			return s.prepare.undo(s.logits(images).Sigmoid(), images.Size(2), images.Size(3))
		})
	})
	return heat
}

// segStage is one level of the pyramid.
type segStage struct {
	proj            *nn.Conv2d
	patchNorm, norm *nn.LayerNorm
	blocks          []*segBlock
}

func newSegStage(c segFormerConfig, i int, in int64, p nn.Params) *segStage {
	D, size := c.HiddenSizes[i], c.PatchSizes[i]
	patches := p.Sub("patch_embeddings")
	s := &segStage{
		proj:      nn.NewConv2d(in, D, size, torch.Conv{Stride: c.Strides[i], Padding: size / 2}, patches.Sub("proj")),
		patchNorm: nn.NewLayerNorm(D, segNormEps, patches.Sub("layer_norm")),
	}
	for k := range c.Depths[i] {
		s.blocks = append(s.blocks, newSegBlock(c, i, p.Sub("blocks").At(k)))
	}
	s.norm = nn.NewLayerNorm(D, segNormEps, p.Sub("layer_norm"))
	return s
}

// forward maps [B,C,H,W] to [B,D,h,w].
func (s *segStage) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := s.proj.Forward(x)
		B, D, h, w := x.Size(0), x.Size(1), x.Size(2), x.Size(3)
		tokens := s.patchNorm.Forward(x.Flatten(2).Transpose(1, 2))
		for _, b := range s.blocks {
			tokens = b.forward(tokens, h, w)
		}
		return s.norm.Forward(tokens).Transpose(1, 2).Reshape(B, D, h, w)
	})
}

// segBlock is attention to thinned-out tokens and a feed-forward layer with a convolution inside, which
// tells where a token stands.
type segBlock struct {
	before, after  *nn.LayerNorm
	q, k, v, o     *nn.Linear
	reduce         *nn.Conv2d // nil where keys and values are not thinned out
	reduceNorm     *nn.LayerNorm
	fc1, fc2       *nn.Linear
	depth, depthAt torch.Tensor // [F,1,3,3] and [F], of the convolution
	heads          int64
}

func newSegBlock(c segFormerConfig, i int, p nn.Params) *segBlock {
	D := c.HiddenSizes[i]
	F := int64(float64(D) * c.MLPRatios[i])
	attention, mlp := p.Sub("attention"), p.Sub("mlp")
	b := &segBlock{
		before: nn.NewLayerNorm(D, segNormEps, p.Sub("layernorm_before")), after: nn.NewLayerNorm(D, segNormEps, p.Sub("layernorm_after")),
		q: nn.NewLinear(D, D, attention.Sub("q_proj")), k: nn.NewLinear(D, D, attention.Sub("k_proj")),
		v: nn.NewLinear(D, D, attention.Sub("v_proj")), o: nn.NewLinear(D, D, attention.Sub("o_proj")),
		fc1: nn.NewLinear(D, F, mlp.Sub("fc1")), fc2: nn.NewLinear(F, D, mlp.Sub("fc2")),
		depth:   mlp.Sub("dwconv").Sub("dwconv").Param("weight", nn.FanIn(9), F, 1, 3, 3),
		depthAt: mlp.Sub("dwconv").Sub("dwconv").Param("bias", nn.FanIn(9), F),
		heads:   c.Heads[i],
	}
	if ratio := c.Ratios[i]; ratio > 1 {
		reduction := attention.Sub("sequence_reduction")
		b.reduce = nn.NewConv2d(D, D, ratio, torch.Conv{Stride: ratio}, reduction.Sub("sequence_reduction"))
		b.reduceNorm = nn.NewLayerNorm(D, segNormEps, reduction.Sub("layer_norm"))
	}
	return b
}

// forward keeps the shape of x [B,h·w,D].
func (b *segBlock) forward(x torch.Tensor, h, w int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := x.Add(b.attend(b.before.Forward(x), h, w))
		inner := asImage(b.fc1.Forward(b.after.Forward(x)), h, w)
		inner = inner.Conv2d(b.depth, b.depthAt, torch.Conv{Padding: 1, Groups: inner.Size(1)})
		return x.Add(b.fc2.Forward(inner.Flatten(2).Transpose(1, 2).GELU()))
	})
}

func (b *segBlock) attend(x torch.Tensor, h, w int64) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		seen := x
		if b.reduce != nil {
			seen = b.reduceNorm.Forward(b.reduce.Forward(asImage(x, h, w)).Flatten(2).Transpose(1, 2))
		}
		split := func(projection *nn.Linear, x torch.Tensor) torch.Tensor { // [B,heads,N,D/heads]
			return projection.Forward(x).Reshape(x.Size(0), x.Size(1), b.heads, -1).Transpose(1, 2)
		}
		out := nn.Attention(split(b.q, x), split(b.k, seen), split(b.v, seen), torch.Tensor{}, false)
		return b.o.Forward(out.Transpose(1, 2).Reshape(x.Size(0), h*w, -1))
	})
}

// asImage lays tokens [B,h·w,D] out as [B,D,h,w].
func asImage(x torch.Tensor, h, w int64) torch.Tensor {
	return x.Transpose(1, 2).Reshape(x.Size(0), x.Size(2), h, w)
}
