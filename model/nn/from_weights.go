package nn

import (
	"fmt"
	"math"
	"os"

	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// FromWeights reads parameters from a checkpoint as a network asks for them, in the given element
// type, onto the device. On the CPU and in the checkpoint's own type nothing is copied: parameters are
// views of the mapped file. What is missing or has another shape becomes zeros, and src.Done, called
// when the network is built, says so for the whole checkpoint.
func FromWeights(src *weights.Source, dtype torch.DType, device torch.Device) Params {
	return NewParams(&weightsSource{src: src, dtype: dtype, device: device, files: map[string]torch.Tensor{}})
}

// Build makes a network of tensors, which errors call name. Every one must be used, but for those that match ignored.
// The parameters are the caller's to drop, with an error, too.
func Build(name string, tensors []weights.Tensor, dtype torch.DType, device torch.Device, ignored []string, network func(Params)) (Params, error) {
	source := weights.NewSource(name, tensors)
	params := FromWeights(source, dtype, device)
	err := torch.Run(func() { network(params) })
	if err == nil {
		err = source.Done(ignored...)
	}
	return params, err
}

// LoadFile reads a network of one safetensors file, of which every tensor must be used. The parameters
// are the caller's to drop.
func LoadFile[N any](path string, dtype torch.DType, device torch.Device, build func(Params) N) (net N, params Params, err error) {
	file, err := weights.Open(path)
	if err != nil {
		return net, Params{}, err
	}
	defer file.Close() //nolint:errcheck // read only
	params, err = Build(path, file.Tensors, dtype, device, nil, func(p Params) { net = build(p) })
	if err != nil {
		params.Drop()
	}
	return net, params, err
}

type weightsSource struct {
	src    *weights.Source
	dtype  torch.DType
	device torch.Device
	files  map[string]torch.Tensor // mapped files by path, uint8
}

func (s *weightsSource) Has(name string) bool { return s.src.Has(name) }

func (s *weightsSource) Param(name string, _ Init, shape []int64) torch.Tensor {
	t, err := s.src.Tensor(name, shape...)
	if err != nil {
		zero := torch.Scope(func() torch.Tensor {
			return torch.Zeros(s.dtype, s.device).Expand(shape...)
		})
		return torch.Own(zero)
	}
	return torch.Own(torch.Scope(func() torch.Tensor {
		p := s.read(t).ToDevice(s.device, s.dtype)
		requireFinite(t, p, s.dtype)
		return p
	}))
}

// requireFinite panics for a parameter with NaN or infinity in it, or one that the element type has turned
// into infinity: a network with such a weight draws black or noise without a word.
func requireFinite(t weights.Tensor, p torch.Tensor, dtype torch.DType) {
	if sum := p.Sum().Item(); !math.IsNaN(sum) && !math.IsInf(sum, 0) {
		return // the sum of finite numbers may overflow; that of others is never finite
	}
	if p.IsFinite().All().Item() == 1 {
		return
	}
	hint := "the file is damaged, or the training that made it failed"
	if t.DType != weights.F16 && dtype == torch.Float16 {
		hint += "; or its numbers do not fit into float16: try bfloat16 or float32"
	}
	panic(&torch.Error{Op: "load", Message: fmt.Sprintf("%s: %s: holds NaN or infinity; %s", t.Path, t.Key, hint)})
}

// read is the tensor as the file has it, on the CPU. Types of 8 bits become float32 here: libtorch 1.13
// cannot convert them, and a scale may belong to them.
func (s *weightsSource) read(t weights.Tensor) torch.Tensor {
	if t.DType == weights.F8E5M2 || t.DType == weights.F8E4M3 {
		values, err := t.Float32s()
		if err != nil {
			panic(&torch.Error{Op: "load", Message: err.Error()})
		}
		return torch.From(values, t.Shape...)
	}
	dtype, ok := dtypes[t.DType]
	if !ok {
		panic(&torch.Error{Op: "load", Message: fmt.Sprintf(
			"%s: %s: element type %s is not supported, want a float type; quantized weights are not read", t.Path, t.Key, t.DType)})
	}
	file := s.file(t.Path)
	if t.Transposed {
		return file.BytesAs(t.Offset, dtype, t.Shape[1], t.Shape[0]).Transpose(0, 1).Contiguous()
	}
	whole := file.BytesAs(t.Offset, dtype, t.Shape...)
	if t.Swapped {
		halves := whole.Chunk(2, 0)
		return torch.Cat([]torch.Tensor{halves[1], halves[0]}, 0)
	}
	return whole
}

func (s *weightsSource) file(path string) torch.Tensor {
	if file, ok := s.files[path]; ok {
		return file
	}
	info, err := os.Stat(path)
	if err != nil {
		panic(&torch.Error{Op: "load", Message: err.Error()})
	}
	file := torch.Own(torch.MapFile(path, info.Size()))
	s.files[path] = file
	return file
}

func (s *weightsSource) drop() {
	for _, file := range s.files {
		torch.Drop(file)
	}
}

// dtypes are the element types of parameters that libtorch reads as they are.
var dtypes = map[weights.DType]torch.DType{
	weights.F16: torch.Float16, weights.BF16: torch.BFloat16, weights.F32: torch.Float32, weights.F64: torch.Float64,
}
