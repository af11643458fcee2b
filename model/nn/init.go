package nn

import (
	"math"

	"focusnfix/model/torch"
)

// Init makes the first value of a parameter, float32 on the CPU.
type Init func(g *torch.Generator, shape []int64) torch.Tensor

// Zeros starts a parameter at 0: the up matrix of a low-rank update, the shift of a norm.
func Zeros(_ *torch.Generator, shape []int64) torch.Tensor {
	return torch.Zeros(torch.Float32, torch.CPU, shape...)
}

// Ones starts a parameter at 1: the gain of a norm.
func Ones(_ *torch.Generator, shape []int64) torch.Tensor {
	return torch.Ones(torch.Float32, torch.CPU, shape...)
}

// Normal draws from the normal distribution of that standard deviation.
func Normal(std float64) Init {
	return func(g *torch.Generator, shape []int64) torch.Tensor {
		return g.Randn(torch.Float32, shape...).MulScalar(std)
	}
}

// uniform draws from [-bound, bound).
func uniform(bound float64) Init {
	return func(g *torch.Generator, shape []int64) torch.Tensor {
		return g.Rand(torch.Float32, shape...).MulScalar(2 * bound).AddScalar(-bound)
	}
}

// FanIn draws from ±1/sqrt(fanIn), the default of PyTorch's linear and convolution layers, for weights
// (kaiming_uniform_ with a = sqrt 5) and biases alike.
func FanIn(fanIn int64) Init { return uniform(1 / math.Sqrt(float64(fanIn))) }

// Random makes parameters up as a network asks for them, in the order of its asking.
func Random(seed uint64, dtype torch.DType, device torch.Device) (Params, error) {
	generator, err := torch.NewGenerator(torch.CPU, seed)
	if err != nil {
		return Params{}, err
	}
	return NewParams(&randomSource{generator, dtype, device}), nil
}

type randomSource struct {
	generator *torch.Generator
	dtype     torch.DType
	device    torch.Device
}

func (*randomSource) Has(string) bool { return false }

func (s *randomSource) Param(_ string, init Init, shape []int64) torch.Tensor {
	t := torch.Scope(func() torch.Tensor { return init(s.generator, shape).ToDevice(s.device, s.dtype) })
	return torch.Own(t)
}

func (s *randomSource) drop() { s.generator.Close() }
