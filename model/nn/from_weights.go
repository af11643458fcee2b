package nn

import (
	"fmt"
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

// LoadFile reads a network of one safetensors file, of which every tensor must be used. The parameters
// are the caller's to drop.
func LoadFile[N any](path string, dtype torch.DType, device torch.Device, build func(Params) N) (net N, params Params, err error) {
	file, err := weights.Open(path)
	if err != nil {
		return net, Params{}, err
	}
	defer file.Close() //nolint:errcheck // read only
	source := weights.NewSource(path, file.Tensors)
	params = FromWeights(source, dtype, device)
	if err = torch.Run(func() { net = build(params) }); err == nil {
		err = source.Done()
	}
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
	return torch.Own(torch.Scope(func() torch.Tensor { return s.read(t).ToDevice(s.device, s.dtype) }))
}

// read is the tensor as the file has it, on the CPU.
func (s *weightsSource) read(t weights.Tensor) torch.Tensor {
	dtype, ok := dtypes[t.DType]
	if !ok {
		panic(&torch.Error{Op: "load", Message: fmt.Sprintf("%s: %s: element type %s is not supported, want a float type", t.Path, t.Key, t.DType)})
	}
	file := s.file(t.Path)
	if t.Transposed {
		return file.BytesAs(t.Offset, dtype, t.Shape[1], t.Shape[0]).Transpose(0, 1).Contiguous()
	}
	return file.BytesAs(t.Offset, dtype, t.Shape...)
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

var dtypes = map[weights.DType]torch.DType{
	weights.F16: torch.Float16, weights.BF16: torch.BFloat16, weights.F32: torch.Float32, weights.F64: torch.Float64,
	weights.F8E5M2: torch.Float8E5M2, weights.F8E4M3: torch.Float8E4M3,
	weights.I64: torch.Int64, weights.I32: torch.Int32, weights.I16: torch.Int16, weights.I8: torch.Int8,
	weights.U8: torch.Uint8, weights.Bool: torch.Bool,
}
