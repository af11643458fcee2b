package reward

import (
	"fmt"
	"math"
	"net/url"
	"path/filepath"
	"strconv"

	"focusnfix/model/clip"
	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// clipScore judges how well an image fits its prompt: the cosine of their embeddings in a CLIP
// (Hessel et al., arXiv 2104.08718, without its clipping at 0), times the CLIP's own logit scale, 100
// for all that were published. It is transformers' logits_per_image.
//
// Its heatmap shows what speaks against the prompt: Grad-CAM of the negative score. CLIP has no notion
// of an image being wrong, so level, a score, says when one is: its map reaches 1/2.
type clipScore struct {
	image  imageEncoder
	text   textEncoder
	params nn.Params

	scale float64 // of a cosine to a logit
	unit  float64 // of a cosine to a score
	level float64 // score of an image that is faulty with probability 1/2
}

// clipLevel is near what the images of Stable Diffusion reach on average with ViT-L/14. Each model
// and each CLIP has its own; the mean over the base model's images is the best choice.
const clipLevel = 25

// openCLIPScore opens a folder in transformers' layout.
func openCLIPScore(dir string, options url.Values, at place) (Reward, error) {
	return newCLIPScore(dir, options, at, clipLevel)
}

func newCLIPScore(dir string, options url.Values, at place, level float64) (*clipScore, error) {
	level, err := levelOption(options, level)
	if err != nil {
		return nil, err
	}
	config, err := clip.LoadConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	prepare, err := readPreparation(dir, clipPreparation(config.Vision.ImageSize))
	if err != nil {
		return nil, err
	}
	file, err := weights.OpenDir(dir, "")
	if err != nil {
		return nil, err
	}
	s := &clipScore{level: level}
	return s, s.load(file, file.Tensors, config, prepare, tokenizerDir(dir, options), at)
}

// load builds both encoders of tensors named as transformers' CLIPModel names them.
func (s *clipScore) load(file *weights.File, tensors []weights.Tensor, config clip.Config, prepare preparation, tokenizer string, at place) error {
	words, err := loadTokenizer(tokenizer, config.Text)
	if err != nil {
		_ = file.Close() // the first error says what to do
		return err
	}
	s.image = imageEncoder{prepare: prepare, at: at}
	s.text = textEncoder{tokenizer: words, known: map[string]torch.Tensor{}, at: at}
	s.params, err = build(file, tensors, at, nil, func(p nn.Params) {
		s.image.vision, s.text.text = clip.NewVision(config.Vision, p), clip.NewText(config.Text, p)
		s.scale = p.Param("logit_scale", nn.Ones).Exp().Item()
	})
	s.unit = s.scale
	return err
}

// tokenizerDir is the option tokenizer, or the folder of the weights.
func tokenizerDir(dir string, options url.Values) string {
	if options.Has("tokenizer") {
		return options.Get("tokenizer")
	}
	return dir
}

// levelOption is the option level, a number, or what holds without it.
func levelOption(options url.Values, level float64) (float64, error) {
	if !options.Has("level") {
		return level, nil
	}
	level, err := strconv.ParseFloat(options.Get("level"), 64)
	if err != nil || math.IsNaN(level) || math.IsInf(level, 0) {
		return 0, fmt.Errorf("level=%s, want a number: the score of an image that is half faulty", options.Get("level"))
	}
	return level, nil
}

// Close frees the weights.
func (s *clipScore) Close() {
	s.text.close()
	s.params.Drop()
}

// score is [B] for embeds [B,P] of length one.
func (s *clipScore) score(embeds, words torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return embeds.Mul(words).Sum(1).MulScalar(s.unit) })
}

// Score is [B]: the cosine of image and prompt times the logit scale.
func (s *clipScore) Score(images torch.Tensor, prompts []string) torch.Tensor {
	requirePrompts(images, prompts)
	return torch.Scope(func() torch.Tensor { return s.score(s.image.embed(images), s.text.embed(prompts)) })
}

// Heatmap is Grad-CAM of the negative score, times σ(level - score) in logits.
func (s *clipScore) Heatmap(images torch.Tensor, prompts []string) torch.Tensor {
	requirePrompts(images, prompts)
	return torch.Scope(func() torch.Tensor {
		words := s.text.embed(prompts)
		return s.image.heatmap(images,
			func(embeds torch.Tensor) torch.Tensor { return s.score(embeds, words).Neg() },
			func(fault torch.Tensor) torch.Tensor {
				return fault.AddScalar(s.level).MulScalar(s.scale / s.unit).Sigmoid()
			})
	})
}
