package reward

import (
	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// mobileNet is the body of a MobileNetV2 (Sandler et al., arXiv 1801.04381) as Keras and TensorFlow
// build it: with batch norm, or with batch norm folded into biases.
type mobileNet struct {
	stem   *mobileConv
	blocks []*mobileBlock
	head   *mobileConv
}

// mobileStage is one row of the paper's table 2: n blocks of a width, the first with that stride.
type mobileStage struct{ expand, out, repeat, stride int64 }

// mobileConfig tells a mobileNet's shape.
type mobileConfig struct {
	stem, head int64
	stages     []mobileStage
	batchNorm  bool // parameters of batch norms are there; else convolutions have biases
}

func newMobileNet(cfg mobileConfig, p nn.Params) *mobileNet {
	n := &mobileNet{stem: newMobileConv(mobileConv{in: 3, out: cfg.stem, kernel: 3, stride: 2, relu6: true}, cfg, p.Sub("stem"))}
	in, blocks := cfg.stem, p.Sub("blocks")
	for _, stage := range cfg.stages {
		for i := range stage.repeat {
			stride := int64(1)
			if i == 0 {
				stride = stage.stride
			}
			n.blocks = append(n.blocks, newMobileBlock(in, stage, stride, cfg, blocks.At(len(n.blocks))))
			in = stage.out
		}
	}
	n.head = newMobileConv(mobileConv{in: in, out: cfg.head, kernel: 1, stride: 1, relu6: true}, cfg, p.Sub("head"))
	return n
}

// forward maps [B,3,H,W] to features [B,head,H/32,W/32].
func (n *mobileNet) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		x = n.stem.forward(x)
		for _, b := range n.blocks {
			x = b.forward(x)
		}
		return n.head.forward(x)
	})
}

// mobileBlock is an inverted residual: widen, filter each channel, narrow.
type mobileBlock struct {
	expand, depthwise, project *mobileConv // expand is nil in the first block
	residual                   bool
}

func newMobileBlock(in int64, s mobileStage, stride int64, cfg mobileConfig, p nn.Params) *mobileBlock {
	b, inner := &mobileBlock{residual: stride == 1 && in == s.out}, in*s.expand
	if s.expand != 1 {
		b.expand = newMobileConv(mobileConv{in: in, out: inner, kernel: 1, stride: 1, relu6: true}, cfg, p.Sub("expand"))
	}
	b.depthwise = newMobileConv(mobileConv{in: inner, out: inner, kernel: 3, stride: stride, groups: inner, relu6: true}, cfg, p.Sub("depthwise"))
	b.project = newMobileConv(mobileConv{in: inner, out: s.out, kernel: 1, stride: 1}, cfg, p.Sub("project"))
	return b
}

func (b *mobileBlock) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		y := x
		if b.expand != nil {
			y = b.expand.forward(y)
		}
		y = b.project.forward(b.depthwise.forward(y))
		if b.residual {
			y = x.Add(y)
		}
		return y
	})
}

const batchNormEps = 1e-3 // Keras' default

// mobileConv is a convolution, its batch norm and ReLU6.
type mobileConv struct {
	in, out, kernel, stride, groups int64
	relu6                           bool

	weight, bias                  torch.Tensor // bias where batch norm is folded in
	scale, shift, mean, deviation torch.Tensor // [out], of the batch norm
}

func newMobileConv(c mobileConv, cfg mobileConfig, p nn.Params) *mobileConv {
	conv := p.Sub("conv")
	c.groups = max(c.groups, 1)
	c.weight = conv.Param("weight", nn.FanIn(c.in*c.kernel*c.kernel), c.out, c.in/c.groups, c.kernel, c.kernel)
	if !cfg.batchNorm {
		c.bias = conv.Param("bias", nn.Zeros, c.out)
		return &c
	}
	norm := p.Sub("bn")
	c.scale, c.shift = norm.Param("weight", nn.Ones, c.out), norm.Param("bias", nn.Zeros, c.out)
	c.mean, c.deviation = norm.Param("running_mean", nn.Zeros, c.out), norm.Param("running_var", nn.Ones, c.out)
	return &c
}

func (c *mobileConv) forward(x torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		walk := torch.Conv{Stride: c.stride, Groups: c.groups}
		switch {
		case c.kernel == 3 && c.stride == 2: // TensorFlow's SAME pads an even side at its end
			x = x.Pad(0, 0, 1, 0, 1)
		case c.kernel == 3:
			walk.Padding = 1
		}
		y := x.Conv2d(c.weight, c.bias, walk)
		if c.scale.Defined() {
			y = y.BatchNorm(c.scale, c.shift, c.mean, c.deviation, batchNormEps)
		}
		if c.relu6 {
			y = y.ReLU6()
		}
		return y
	})
}
