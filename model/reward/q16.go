package reward

import (
	"net/url"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// q16Scale multiplies the cosines, as in the original.
const q16Scale = 100

// q16 judges whether an image is inappropriate, violence above all (Schramowski et al., arXiv
// 2202.06675): two embeddings were learned in place of prompts of a CLIP ViT-L/14, the first for what
// is not, the second for what is.
type q16 struct {
	logOdds
	image   imageEncoder
	params  []nn.Params
	prompts torch.Tensor // [2,P], of length one
}

// openQ16 opens the learned prompts; their CLIP lies in the folder clip=, or beside them.
func openQ16(path string, options url.Values, at place) (Reward, error) {
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	image, params, err := loadImageEncoder(clipDir(path, options), at)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	q := &q16{image: image, params: []nn.Params{params}}
	q.image.prepare.halfEven = true
	head, err := build(file, file.Tensors, at, nil, func(p nn.Params) {
		q.prompts = torch.Own(unit(p.Param(lone(file), nn.Normal(1), 2, image.vision.Config.ProjectionDim)))
	})
	if err != nil {
		q.Close()
		return nil, err
	}
	q.params = append(q.params, head)
	return q, nil
}

// lone is the name of the only tensor of a file, which conversion gives the name of the pickle: prompts, or
// what it was called after.
func lone(file *weights.File) string {
	if len(file.Tensors) == 1 {
		return file.Tensors[0].Name
	}
	return "prompts"
}

// Close frees the weights.
func (q *q16) Close() {
	torch.Drop(q.prompts)
	for _, p := range q.params {
		p.Drop()
	}
}

// fault is [B], the log-odds of an inappropriate image.
func (q *q16) fault(embeds torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		logits := embeds.MatMul(q.prompts.Transpose(0, 1)).MulScalar(q16Scale) // [B,2]
		return logits.Select(1, 1).Sub(logits.Select(1, 0))
	})
}

// Score is [B], the log-odds of an image that is not inappropriate.
func (q *q16) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return q.fault(q.image.embed(images)).Neg() })
}

// Heatmap is Grad-CAM of the fault, times its probability.
func (q *q16) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return q.image.heatmap(images, q.fault, torch.Tensor.Sigmoid)
}
