package reward

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// eva is an EVA-02 image classifier (Fang et al., arXiv 2303.11331), as timm builds it for fine-tuned
// weights: a vision transformer whose patches know their row and column by rotation, with gated
// feed-forward layers. Labels from the one that is the fault on count together: the detectors' labels
// are degrees.
type eva struct {
	logOdds
	config  evaConfig
	prepare preparation
	params  nn.Params
	at      place
	label   int64

	classToken, positions torch.Tensor // [1,1,D], [1,1+N,D]
	patches               *nn.Conv2d
	blocks                []*evaBlock
	norm                  *nn.LayerNorm
	head                  *nn.Linear
	cos, sin              torch.Tensor // [N,D/heads/2], owned
}

// evaConfig is what we read of its config.json: timm's name of the architecture, and the labels.
type evaConfig struct {
	Architecture string         `json:"architecture"`
	NumClasses   int64          `json:"num_classes"`
	LabelNames   []string       `json:"label_names"`
	ModelArgs    evaSizes       `json:"model_args"`
	Pretrained   evaPreparation `json:"pretrained_cfg"`
}

// evaSizes are what timm's architectures of this kind differ in; a file may change them.
type evaSizes struct {
	ImageSize  int64 `json:"img_size"`
	PatchSize  int64 `json:"patch_size"`
	EmbedDim   int64 `json:"embed_dim"`
	Depth      int   `json:"depth"`
	NumHeads   int64 `json:"num_heads"`
	Registered bool  `json:"-"` // the architecture is known
}

type evaPreparation struct {
	Mean       []float32 `json:"mean"`
	Std        []float32 `json:"std"`
	LabelNames []string  `json:"label_names"`
}

const (
	evaNormEps   = 1e-6
	evaReference = 16 // patches on a side in pretraining, which places are scaled to
	evaMLPRatio  = 4.0 * 2 / 3
)

// evaArchitectures are timm's, all of patches of 14 pixels.
var evaArchitectures = map[string]evaSizes{
	"eva02_tiny_patch14_336":  {336, 14, 192, 12, 3, true},
	"eva02_small_patch14_336": {336, 14, 384, 12, 6, true},
	"eva02_base_patch14_448":  {448, 14, 768, 12, 12, true},
	"eva02_large_patch14_448": {448, 14, 1024, 24, 16, true},
}

func loadEVAConfig(path string) (evaConfig, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return evaConfig{}, err
	}
	var name struct {
		Architecture string `json:"architecture"`
	}
	if err := json.Unmarshal(text, &name); err != nil {
		return evaConfig{}, fmt.Errorf("%s: %w", path, err)
	}
	c := evaConfig{ModelArgs: evaArchitectures[name.Architecture], Pretrained: evaPreparation{Mean: clipMean, Std: clipStd}}
	if err := json.Unmarshal(text, &c); err != nil {
		return evaConfig{}, fmt.Errorf("%s: %w", path, err)
	}
	if c.LabelNames == nil {
		c.LabelNames = c.Pretrained.LabelNames
	}
	switch s := c.ModelArgs; {
	case !s.Registered:
		return c, fmt.Errorf("%s: architecture %q, want eva02_tiny, _small, _base or _large with patch14", path, c.Architecture)
	case !s.possible():
		return c, fmt.Errorf("%s: sizes that no EVA-02 can have: %+v", path, s)
	case c.NumClasses < 2 || len(c.LabelNames) != 0 && int64(len(c.LabelNames)) != c.NumClasses:
		return c, fmt.Errorf("%s: num_classes %d with %d label_names, want 2 or more, and as many names", path, c.NumClasses, len(c.LabelNames))
	case len(c.Pretrained.Mean) != 3 || len(c.Pretrained.Std) != 3:
		return c, fmt.Errorf("%s: mean and std have %d and %d numbers, want 3 each", path, len(c.Pretrained.Mean), len(c.Pretrained.Std))
	}
	return c, nil
}

// possible reports whether a network can have these sizes.
func (s evaSizes) possible() bool {
	return 1 <= s.PatchSize && s.PatchSize <= s.ImageSize && s.ImageSize <= 1<<13 && 1 <= s.Depth && s.Depth <= 256 &&
		1 <= s.NumHeads && 1 <= s.EmbedDim && s.EmbedDim <= 1<<14 && s.EmbedDim%(4*s.NumHeads) == 0
}

// openEVA opens a classifier's folder in timm's layout on the hub; label= names the least fault.
func openEVA(dir string, options url.Values, at place) (Reward, error) {
	path := filepath.Join(dir, "config.json")
	config, err := loadEVAConfig(path)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for i := range config.NumClasses {
		labels[fmt.Sprint(i)] = fmt.Sprint(i)
		if config.LabelNames != nil {
			labels[fmt.Sprint(i)] = config.LabelNames[i]
		}
	}
	e := &eva{config: config, at: at}
	if e.label, err = findLabel(path, labels, options.Get("label")); err != nil {
		return nil, err
	}
	if e.label == 0 {
		return nil, fmt.Errorf("%s: label %q is the first, want one that a harmless image does not have", path, labels["0"])
	}
	size := config.ModelArgs.ImageSize
	e.prepare = preparation{height: size, width: size, fit: fitStretch, mean: config.Pretrained.Mean, std: config.Pretrained.Std}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return nil, err
	}
	if e.params, err = build(file, file.Tensors, at, nil, e.make); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *eva) make(p nn.Params) {
	s := e.config.ModelArgs
	grid := s.ImageSize / s.PatchSize
	e.classToken = p.Param("cls_token", nn.Normal(0.02), 1, 1, s.EmbedDim)
	e.positions = p.Param("pos_embed", nn.Normal(0.02), 1, 1+grid*grid, s.EmbedDim)
	e.patches = nn.NewConv2d(3, s.EmbedDim, s.PatchSize, torch.Conv{Stride: s.PatchSize}, p.Sub("patch_embed").Sub("proj"))
	for i := range s.Depth {
		e.blocks = append(e.blocks, newEVABlock(s, p.Sub("blocks").At(i)))
	}
	e.norm = nn.NewLayerNorm(s.EmbedDim, evaNormEps, p.Sub("fc_norm"))
	e.head = nn.NewLinear(s.EmbedDim, e.config.NumClasses, p.Sub("head"))
	cos, sin := evaPlaces(grid, s.EmbedDim/s.NumHeads)
	own := func(values []float32) torch.Tensor {
		return torch.Own(torch.Scope(func() torch.Tensor {
			return torch.From(values, grid*grid, int64(len(values))/(grid*grid)).ToDevice(e.at.device, e.at.dtype)
		}))
	}
	e.cos, e.sin = own(cos), own(sin)
}

// evaPlaces are cosines and sines of every patch's row and column, width/4 frequencies each, one patch
// behind the other. Places are scaled to those of pretraining, and products are rounded to float32, as timm
// does.
func evaPlaces(grid, width int64) (cos, sin []float32) {
	bands := width / 4
	for y := range grid {
		for x := range grid {
			for _, place := range []int64{y, x} {
				scaled := float32(place) / float32(grid) * evaReference
				for b := range bands {
					exponent := float32(b) / float32(bands)
					band := 1 / float32(math.Pow(10000, float64(exponent)))
					angle := float64(scaled * band)
					cos, sin = append(cos, float32(math.Cos(angle))), append(sin, float32(math.Sin(angle)))
				}
			}
		}
	}
	return cos, sin
}

// Close frees the weights.
func (e *eva) Close() {
	torch.Drop(e.cos, e.sin)
	e.params.Drop()
}

// tokens are [B,1+N,D] before the last block, for images [B,3,H,W] in [0,1].
func (e *eva) tokens(images torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := e.patches.Forward(e.prepare.apply(images, e.at.device, e.at.dtype)).Flatten(2).Transpose(1, 2)
		class := e.classToken.Expand(x.Size(0), 1, x.Size(2))
		x = torch.Cat([]torch.Tensor{class, x}, 1).Add(e.positions)
		for _, b := range e.blocks[:len(e.blocks)-1] {
			x = b.forward(x, e.cos, e.sin)
		}
		return x
	})
}

// fault is [B], the log-odds of the labels from label on, for the last block's output.
func (e *eva) fault(last torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		pooled := last.Narrow(1, 1, last.Size(1)-1).Mean(1) // of the patches
		logits := e.head.Forward(e.norm.Forward(pooled))
		return logits.Narrow(1, e.label, logits.Size(1)-e.label).LogSumExp(1).Sub(logits.Narrow(1, 0, e.label).LogSumExp(1))
	})
}

// Score is [B], the log-odds of a harmless image.
func (e *eva) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		return e.fault(e.blocks[len(e.blocks)-1].forward(e.tokens(images), e.cos, e.sin)).Neg()
	})
}

// Heatmap is Grad-CAM of the fault at the first norm of the last block, times its probability.
func (e *eva) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			last, state := e.blocks[len(e.blocks)-1], e.tokens(images)
			normed, grid := last.norm1.Forward(state), e.config.ModelArgs.ImageSize/e.config.ModelArgs.PatchSize
			finish := func(normed torch.Tensor) torch.Tensor { return e.fault(last.finish(state, normed, e.cos, e.sin)) }
			small := patchCAM(normed, grid, finish, finish(normed).Sigmoid())
			return e.prepare.undo(small, images.Size(2), images.Size(3))
		})
	})
	return heat
}

// evaBlock is attention and a gated feed-forward layer, each normed first and added; the second is normed
// inside, too.
type evaBlock struct {
	norm1, norm2, inner *nn.LayerNorm
	q, k, v, proj       *nn.Linear // keys have no bias
	gate, value, out    *nn.Linear
	heads               int64
}

func newEVABlock(s evaSizes, p nn.Params) *evaBlock {
	D := s.EmbedDim
	F := int64(float64(D) * evaMLPRatio)
	attention, mlp := p.Sub("attn"), p.Sub("mlp")
	return &evaBlock{
		norm1: nn.NewLayerNorm(D, evaNormEps, p.Sub("norm1")),
		q:     nn.NewLinear(D, D, attention.Sub("q_proj")), k: nn.NewLinearNoBias(D, D, attention.Sub("k_proj")),
		v: nn.NewLinear(D, D, attention.Sub("v_proj")), proj: nn.NewLinear(D, D, attention.Sub("proj")),
		norm2: nn.NewLayerNorm(D, evaNormEps, p.Sub("norm2")),
		gate:  nn.NewLinear(D, F, mlp.Sub("fc1_g")), value: nn.NewLinear(D, F, mlp.Sub("fc1_x")),
		inner: nn.NewLayerNorm(F, evaNormEps, mlp.Sub("norm")), out: nn.NewLinear(F, D, mlp.Sub("fc2")),
		heads: s.NumHeads,
	}
}

// forward keeps the shape of x [B,1+N,D].
func (b *evaBlock) forward(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return b.finish(x, b.norm1.Forward(x), cos, sin) })
}

// finish is forward but for the first norm.
func (b *evaBlock) finish(x, normed, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := x.Add(b.attend(normed, cos, sin))
		second := b.norm2.Forward(x)
		return x.Add(b.out.Forward(b.inner.Forward(b.gate.Forward(second).SiLU().Mul(b.value.Forward(second)))))
	})
}

func (b *evaBlock) attend(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		B, N := x.Size(0), x.Size(1)
		split := func(projection *nn.Linear) torch.Tensor { // [B,heads,1+N,D/heads]
			return projection.Forward(x).Reshape(B, N, b.heads, -1).Transpose(1, 2)
		}
		out := nn.Attention(turnPatches(split(b.q), cos, sin), turnPatches(split(b.k), cos, sin), split(b.v), torch.Tensor{}, false)
		return b.proj.Forward(out.Transpose(1, 2).Reshape(B, N, -1))
	})
}

// turnPatches turns neighboring pairs of numbers of every patch, the class token left out, by the angles
// of its place.
func turnPatches(x, cos, sin torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		patches := x.Narrow(2, 1, x.Size(2)-1)
		return torch.Cat([]torch.Tensor{x.Narrow(2, 0, 1), nn.RotatePairs(patches, cos, sin)}, 2)
	})
}
