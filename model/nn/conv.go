package nn

import "focusnfix/model/torch"

// Conv2d is a convolution over images.
type Conv2d struct {
	Weight torch.Tensor // [out,in,kernel,kernel]
	Bias   torch.Tensor // [out], or none
	walk   torch.Conv
	updates
}

// NewConv2d makes a square convolution with bias: keys weight and bias. walk has stride and padding;
// its groups must be left at one.
func NewConv2d(in, out, kernel int64, walk torch.Conv, p Params) *Conv2d {
	c := NewConv2dNoBias(in, out, kernel, walk, p)
	c.Bias = p.Param("bias", FanIn(in*kernel*kernel), out)
	return c
}

// NewConv2dNoBias makes a square convolution without bias: key weight.
func NewConv2dNoBias(in, out, kernel int64, walk torch.Conv, p Params) *Conv2d {
	c := &Conv2d{Weight: p.Param("weight", FanIn(in*kernel*kernel), out, in, kernel, kernel), walk: walk}
	p.register(c)
	return c
}

// Forward maps [B,in,H,W] to [B,out,H',W'].
func (c *Conv2d) Forward(x torch.Tensor) torch.Tensor {
	if c.idle() {
		return x.Conv2d(c.Weight, c.Bias, c.walk)
	}
	return torch.Scope(func() torch.Tensor {
		y := c.addTo(x.Conv2d(c.Weight, c.Bias, c.walk), x, func(x, down, up torch.Tensor) torch.Tensor {
			return x.Conv2d(down, torch.Tensor{}, c.walk).Conv2d(up, torch.Tensor{}, torch.Conv{})
		})
		full := func(x, weight, bias torch.Tensor) torch.Tensor { return x.Conv2d(weight, bias, c.walk) }
		return c.shift(y, x, full, func(bias torch.Tensor) torch.Tensor { return bias.Reshape(-1, 1, 1) })
	})
}

func (c *Conv2d) weight() *torch.Tensor { return &c.Weight }

func (c *Conv2d) updateShapes(rank int64) (down, up []int64) {
	s := c.Weight.Shape()
	return []int64{rank, s[1], s[2], s[3]}, []int64{s[0], rank, 1, 1}
}
