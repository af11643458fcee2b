package reward

import (
	"net/url"
	"path/filepath"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// aestheticLevel is the middle of the scale from 1 to 10 that people rated on.
const aestheticLevel = 5

// aesthetic is LAION's improved aesthetic predictor (sac+logos+ava1): linear layers, without any
// non-linearity between them, on the image's embedding of length one. It predicts a rating.
type aesthetic struct {
	image  imageEncoder
	layers []*nn.Linear
	params []nn.Params
	level  float64
}

// aestheticLayers are the places of the linear layers in the original's list, the others being
// dropout, and how wide their results are.
var aestheticLayers = []struct {
	at    int
	width int64
}{{0, 1024}, {2, 128}, {4, 64}, {6, 16}, {7, 1}}

// openAesthetic opens the predictor's file; its CLIP ViT-L/14 lies in the folder clip=, or beside it.
func openAesthetic(path string, options url.Values, at place) (Reward, error) {
	level, err := levelOption(options, aestheticLevel)
	if err != nil {
		return nil, err
	}
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	a := &aesthetic{level: level}
	image, params, err := loadImageEncoder(clipDir(path, options), at)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	a.image, a.params = image, append(a.params, params)
	// OpenAI's own program prepared the images, with torchvision.
	a.image.prepare.halfEven = true
	head, err := build(file, file.Tensors, at, nil, func(p nn.Params) {
		width := a.image.vision.Config.ProjectionDim
		for _, l := range aestheticLayers {
			a.layers = append(a.layers, nn.NewLinear(width, l.width, p.Sub("layers").At(l.at)))
			width = l.width
		}
	})
	if err != nil {
		a.Close()
		return nil, err
	}
	a.params = append(a.params, head)
	return a, nil
}

// clipDir is the option clip, or the folder of the head's file.
func clipDir(path string, options url.Values) string {
	if options.Has("clip") {
		return options.Get("clip")
	}
	return filepath.Dir(path)
}

// Close frees the weights.
func (a *aesthetic) Close() {
	for _, p := range a.params {
		p.Drop()
	}
}

func (a *aesthetic) rating(embeds torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := embeds
		for _, l := range a.layers {
			x = l.Forward(x)
		}
		return x.Squeeze(1)
	})
}

// Score is [B], a rating that was trained on 1 to 10.
func (a *aesthetic) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return a.rating(a.image.embed(images)) })
}

// Heatmap is Grad-CAM of what lowers the rating, times σ(level - rating).
func (a *aesthetic) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return a.image.heatmap(images,
		func(embeds torch.Tensor) torch.Tensor { return a.rating(embeds).Neg() },
		func(fault torch.Tensor) torch.Tensor { return fault.AddScalar(a.level).Sigmoid() })
}
