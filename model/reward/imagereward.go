package reward

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/tokenizer"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// imageReward tells how much people prefer an image for a prompt (Xu et al., arXiv 2304.05977): a BLIP
// reads the prompt while it looks at the image, and a small network makes a number of what it read.
type imageReward struct {
	config    imageRewardConfig
	prepare   preparation
	tokenizer *tokenizer.Tokenizer
	pad       int64
	level     float64
	params    nn.Params
	at        place

	classToken, positions torch.Tensor // [1,1,D], [1,1+N,D]
	patches               *nn.Conv2d
	vision                *clip.Encoder
	visionNorm            *nn.LayerNorm

	words, wordPositions *nn.Embedding
	wordNorm             *nn.LayerNorm
	layers               []*blipLayer
	mlp                  []*nn.Linear
}

// imageRewardConfig is what we read of a med_config.json, BLIP's text encoder; the sizes of the vision
// encoder are those of the weights.
type imageRewardConfig struct {
	HiddenSize        int64   `json:"hidden_size"`
	IntermediateSize  int64   `json:"intermediate_size"`
	NumHiddenLayers   int     `json:"num_hidden_layers"`
	NumAttentionHeads int64   `json:"num_attention_heads"`
	MaxPositions      int64   `json:"max_position_embeddings"`
	VocabSize         int64   `json:"vocab_size"`
	LayerNormEps      float64 `json:"layer_norm_eps"`
	HiddenAct         string  `json:"hidden_act"`
	AddCrossAttention bool    `json:"add_cross_attention"`

	visionWidth, visionHeads, imageSize, patchSize int64
	visionLayers                                   int
}

const (
	imageRewardMean  = 0.16717362830052426 // of the network's output, over the data it was trained on
	imageRewardStd   = 1.0333394966054072
	imageRewardLevel = 0.5  // below it an image is faulty; the mean is 0
	blipVisionEps    = 1e-6 // of the vision encoder's norms
	blipHeadWidth    = 64   // of the vision encoder
	blipTokens       = 35   // of a prompt, as ImageReward reads it
)

// defaultImageReward is the med_config.json of ImageReward-v1.0.
func defaultImageReward() imageRewardConfig {
	return imageRewardConfig{
		HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12, MaxPositions: 512, VocabSize: 30524,
		LayerNormEps: 1e-12, HiddenAct: "gelu", AddCrossAttention: true,
	}
}

// loadImageRewardConfig reads the med_config.json beside the weights, if there is one.
func loadImageRewardConfig(path string) (imageRewardConfig, error) {
	c := defaultImageReward()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	for _, n := range []int64{c.HiddenSize, c.IntermediateSize, int64(c.NumHiddenLayers), c.NumAttentionHeads, c.MaxPositions, c.VocabSize} {
		if n < 1 || n > 1<<20 {
			return c, fmt.Errorf("%s: sizes that no BLIP can have", path)
		}
	}
	if c.HiddenSize%c.NumAttentionHeads != 0 || c.HiddenAct != "gelu" || !c.AddCrossAttention {
		return c, fmt.Errorf("%s: hidden_size %d with %d heads, hidden_act %q, add_cross_attention %v, want a multiple, gelu and true",
			path, c.HiddenSize, c.NumAttentionHeads, c.HiddenAct, c.AddCrossAttention)
	}
	return c, nil
}

// openImageReward opens ImageReward.safetensors; tokenizer= is the folder of bert-base-uncased's tokenizer.json.
func openImageReward(path string, options url.Values, at place) (Reward, error) {
	r := &imageReward{at: at}
	var err error
	if r.level, err = levelOption(options, imageRewardLevel); err != nil {
		return nil, err
	}
	if r.config, err = loadImageRewardConfig(filepath.Join(filepath.Dir(path), "med_config.json")); err != nil {
		return nil, err
	}
	dir := tokenizerDir(filepath.Dir(path), options)
	if r.tokenizer, err = tokenizer.Load(filepath.Join(dir, "tokenizer.json")); err != nil {
		return nil, fmt.Errorf("%w; ?tokenizer=DIR names the folder of bert-base-uncased", err)
	}
	var known bool
	if r.pad, known = r.tokenizer.ID("[PAD]"); !known {
		return nil, fmt.Errorf("%s: the tokenizer has no [PAD], want that of bert-base-uncased", dir)
	}
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	if err := r.config.readVision(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	side := r.config.imageSize
	r.prepare = clipPreparation(side)
	r.prepare.halfEven = true
	tensors := weights.Rename(splitQKV(file.Tensors), blipNames)
	if r.params, err = build(file, tensors, at, []string{"blip.vision_proj.*", "blip.text_proj.*"}, r.make); err != nil {
		return nil, err
	}
	return r, nil
}

// readVision finds the vision encoder's sizes in the shapes of its weights.
func (c *imageRewardConfig) readVision(file *weights.File) error {
	patch, ok1 := file.Tensor("blip.visual_encoder.patch_embed.proj.weight")
	positions, ok2 := file.Tensor("blip.visual_encoder.pos_embed")
	if !ok1 || !ok2 || len(patch.Shape) != 4 || len(positions.Shape) != 3 {
		return fmt.Errorf("%s: no blip.visual_encoder in it, want ImageReward.pt converted to safetensors", file.Path)
	}
	c.visionWidth, c.patchSize = patch.Shape[0], patch.Shape[2]
	grid := int64(math.Round(math.Sqrt(float64(positions.Shape[1] - 1))))
	c.imageSize = grid * c.patchSize
	c.visionHeads = max(1, c.visionWidth/blipHeadWidth)
	for {
		if _, ok := file.Tensor(fmt.Sprintf("blip.visual_encoder.blocks.%d.norm1.weight", c.visionLayers)); !ok {
			break
		}
		c.visionLayers++
	}
	if grid < 1 || c.visionLayers == 0 || c.visionWidth%c.visionHeads != 0 {
		return fmt.Errorf("%s: blip.visual_encoder of %d layers, %d wide, over %d patches a side", file.Path, c.visionLayers, c.visionWidth, grid)
	}
	return nil
}

func (r *imageReward) make(p nn.Params) {
	c, blip := r.config, p.Sub("blip")
	eyes, text := blip.Sub("visual_encoder"), blip.Sub("text_encoder")
	grid := c.imageSize / c.patchSize
	r.classToken = eyes.Param("cls_token", nn.Normal(0.02), 1, 1, c.visionWidth)
	r.positions = eyes.Param("pos_embed", nn.Normal(0.02), 1, 1+grid*grid, c.visionWidth)
	r.patches = nn.NewConv2d(3, c.visionWidth, c.patchSize, torch.Conv{Stride: c.patchSize}, eyes.Sub("patch_embed").Sub("proj"))
	r.vision = clip.NewEncoder(clip.EncoderConfig{
		HiddenSize: c.visionWidth, IntermediateSize: 4 * c.visionWidth, NumAttentionHeads: c.visionHeads,
		NumHiddenLayers: c.visionLayers, LayerNormEps: blipVisionEps, HiddenAct: "gelu",
	}, eyes)
	r.visionNorm = nn.NewLayerNorm(c.visionWidth, blipVisionEps, eyes.Sub("norm"))

	embeddings := text.Sub("embeddings")
	r.words = nn.NewEmbedding(c.VocabSize, c.HiddenSize, embeddings.Sub("word_embeddings"))
	r.wordPositions = nn.NewEmbedding(c.MaxPositions, c.HiddenSize, embeddings.Sub("position_embeddings"))
	r.wordNorm = nn.NewLayerNorm(c.HiddenSize, c.LayerNormEps, embeddings.Sub("LayerNorm"))
	for i := range c.NumHiddenLayers {
		r.layers = append(r.layers, newBLIPLayer(c, text.Sub("encoder").Sub("layer").At(i)))
	}
	sizes := []int64{c.HiddenSize, 1024, 128, 64, 16, 1}
	for i, at := range []int{0, 2, 4, 6, 7} { // dropout takes the numbers between
		r.mlp = append(r.mlp, nn.NewLinear(sizes[i], sizes[i+1], p.Sub("mlp").Sub("layers").At(at)))
	}
}

// Close frees the weights.
func (r *imageReward) Close() { r.params.Drop() }

// states are those of the vision encoder, [B,1+N,D] each, for images [B,3,H,W] in [0,1].
func (r *imageReward) states(images torch.Tensor) []torch.Tensor {
	return torch.Scopes(func() []torch.Tensor {
		x := r.patches.Forward(r.prepare.apply(images, r.at.device, r.at.dtype)).Flatten(2).Transpose(1, 2)
		class := r.classToken.Expand(x.Size(0), 1, r.config.visionWidth)
		return r.vision.Forward(torch.Cat([]torch.Tensor{class, x}, 1).Add(r.positions))
	})
}

// read is [B], the reward, for the vision encoder's last state.
func (r *imageReward) read(last torch.Tensor, prompts []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		seen := r.visionNorm.Forward(last)
		ids, hidden := r.tokens(prompts)
		N := ids.Size(1)
		x := r.wordNorm.Forward(r.words.Forward(ids).Add(r.wordPositions.Weight.Narrow(0, 0, N)))
		for _, l := range r.layers {
			x = l.forward(x, hidden, seen)
		}
		score := x.Select(1, 0)
		for _, l := range r.mlp {
			score = l.Forward(score)
		}
		return score.Select(1, 0).AddScalar(-imageRewardMean).DivScalar(imageRewardStd)
	})
}

// tokens are ids [B,N] of the prompts, padded to the longest, and a mask [B,1,1,N] that hides the padding.
func (r *imageReward) tokens(prompts []string) (ids, hidden torch.Tensor) {
	rows, longest := make([][]int64, len(prompts)), 0
	for i, prompt := range prompts {
		rows[i], _ = r.tokenizer.Encode(prompt, min(blipTokens, int(r.config.MaxPositions)))
		longest = max(longest, len(rows[i]))
	}
	var flat []int64
	var mask []float32
	for _, row := range rows {
		for n := range longest {
			id, hide := r.pad, float32(math.Inf(-1))
			if n < len(row) {
				id, hide = row[n], 0
			}
			flat, mask = append(flat, id), append(mask, hide)
		}
	}
	B, N := int64(len(prompts)), int64(longest)
	return torch.From(flat, B, N).ToDevice(r.at.device, torch.Int64), torch.From(mask, B, 1, 1, N).ToDevice(r.at.device, r.at.dtype)
}

// Score is [B], in standard deviations of the data that it was trained on.
func (r *imageReward) Score(images torch.Tensor, prompts []string) torch.Tensor {
	requirePrompts(images, prompts)
	return torch.Scope(func() torch.Tensor {
		states := r.states(images)
		return r.read(states[len(states)-1], prompts)
	})
}

// Heatmap is Grad-CAM of what lowers the reward; an image at the level is faulty as probably as not.
func (r *imageReward) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	requirePrompts(images, prompts)
	var heat torch.Tensor
	torch.NoGrad(func() {
		heat = torch.Scope(func() torch.Tensor {
			states := r.states(images)
			last := len(states) - 1
			fault := func(last torch.Tensor) torch.Tensor { return r.read(last, prompts).Neg() }
			probability := fault(states[last]).AddScalar(r.level).Sigmoid()
			return r.prepare.undo(patchMap(r.vision, states[last-1], fault, probability), images.Size(2), images.Size(3))
		})
	})
	return heat
}
