// Package nntest is what tests of networks share: parameters that Go and Python can both make, and
// comparison with reference outputs that Python saved.
package nntest

import (
	"hash/fnv"
	"math"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// Hashed gives parameters that are a pure function of their name and shape, so that reference outputs
// need no weights in git. ref/hashed.py is the same in Python; both are bit-exact.
//
// Element i of a tensor is splitmix64(fnv1a64(name) + i·golden), its upper 24 bits scaled to [-1,1).
type Hashed struct {
	Prefix string      // put before every name
	DType  torch.DType // of the parameters
}

// NewHashed makes a network's parameters out of their names, float32, with prefix before the names.
func NewHashed(prefix string) nn.Params { return nn.NewParams(Hashed{prefix, torch.Float32}) }

// Has tells that no name is known beforehand.
func (Hashed) Has(string) bool { return false }

// Param is Weight of the full name.
func (h Hashed) Param(name string, _ nn.Init, shape []int64) torch.Tensor {
	return torch.Own(torch.Scope(func() torch.Tensor { return Weight(h.Prefix+name, shape...).To(h.DType) }))
}

// Uniform is a float32 tensor in [-1,1).
func Uniform(name string, shape ...int64) torch.Tensor {
	return torch.From(uniform(name, shape), shape...)
}

func uniform(name string, shape []int64) []float32 {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	n := int64(1)
	for _, size := range shape {
		n *= size
	}
	values, state := make([]float32, n), hash.Sum64()
	for i := range values {
		z := state + uint64(i)*0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		values[i] = float32(float64(z>>40)/(1<<23) - 1)
	}
	return values
}

// Weight is a parameter of sensible size: vectors are near 1 if they are called weight and near 0 if
// not, others uniform with variance 1/fan-in, so that activations neither die nor explode.
func Weight(name string, shape ...int64) torch.Tensor {
	values := uniform(name, shape)
	if len(shape) == 1 {
		offset := float32(0)
		if strings.HasSuffix(name, ".weight") {
			offset = 1
		}
		for i := range values {
			small := values[i] * 0.1 // rounded before the sum, as Python does
			values[i] = small + offset
		}
		return torch.From(values, shape...)
	}
	fanIn := int64(len(values)) / shape[0]
	scale := float32(math.Sqrt(3 / float64(fanIn)))
	for i := range values {
		values[i] *= scale
	}
	return torch.From(values, shape...)
}
