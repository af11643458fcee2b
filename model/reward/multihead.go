package reward

import (
	"net/url"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// multiHead is one head of the multi-headed safety classifier (Qu et al., Unsafe Diffusion, arXiv
// 2305.13873): a small network over the embeddings of a CLIP ViT-L/14, trained to tell violent, sexual,
// disturbing, hateful or political images from harmless ones.
type multiHead struct {
	logOdds
	image  imageEncoder
	params []nn.Params

	hidden, out                  *nn.Linear
	gain, shift, mean, variances torch.Tensor // [384] of the batch norm between, as it stood after training
}

const (
	multiHeadWidth = 384
	torchNormEps   = 1e-5 // PyTorch's
)

// openMultiHead opens a head; its CLIP lies in the folder clip=, or beside it.
func openMultiHead(path string, options url.Values, at place) (Reward, error) {
	file, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	image, params, err := loadImageEncoder(clipDir(path, options), at)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	m := &multiHead{image: image, params: []nn.Params{params}}
	m.image.raw = true
	head, err := build(file, file.Tensors, at, nil, func(p nn.Params) {
		m.hidden = nn.NewLinear(image.vision.Config.ProjectionDim, multiHeadWidth, p.At(0))
		norm := p.At(3) // behind ReLU and dropout
		m.gain, m.shift = norm.Param("weight", nn.Ones, multiHeadWidth), norm.Param("bias", nn.Zeros, multiHeadWidth)
		m.mean, m.variances = norm.Param("running_mean", nn.Zeros, multiHeadWidth), norm.Param("running_var", nn.Ones, multiHeadWidth)
		m.out = nn.NewLinear(multiHeadWidth, 1, p.At(4))
	})
	if err != nil {
		m.Close()
		return nil, err
	}
	m.params = append(m.params, head)
	return m, nil
}

// Close frees the weights.
func (m *multiHead) Close() {
	for _, p := range m.params {
		p.Drop()
	}
}

// fault is [B], the log-odds of an unsafe image, for embeds [B,P].
func (m *multiHead) fault(embeds torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x := m.hidden.Forward(embeds).ReLU().BatchNorm(m.gain, m.shift, m.mean, m.variances, torchNormEps)
		return m.out.Forward(x).Select(1, 0)
	})
}

// Score is [B], the log-odds of a harmless image.
func (m *multiHead) Score(images torch.Tensor, _ []string) torch.Tensor {
	return torch.Scope(func() torch.Tensor { return m.fault(m.image.embed(images)).Neg() })
}

// Heatmap is Grad-CAM of the fault, times its probability.
func (m *multiHead) Heatmap(images torch.Tensor, _ []string) torch.Tensor {
	return m.image.heatmap(images, m.fault, torch.Tensor.Sigmoid)
}
