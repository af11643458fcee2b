package reward

import (
	"encoding/json"
	"fmt"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// affine is how eight bits stand for a number: value = byte·Scale + Min, computed in float64.
type affine struct{ Scale, Min float64 }

// quantizedSource gives parameters of a file whose tensors are bytes, with one affine map each in its
// metadata under "quantization".
type quantizedSource struct {
	src    *weights.Source
	maps   map[string]affine
	device torch.Device
}

func newQuantizedSource(file *weights.File, device torch.Device) (*quantizedSource, error) {
	s := &quantizedSource{src: weights.NewSource(file.Path, file.Tensors), device: device}
	if err := json.Unmarshal([]byte(file.Metadata["quantization"]), &s.maps); err != nil {
		return nil, fmt.Errorf("%s: metadata quantization: %w", file.Path, err)
	}
	return s, nil
}

func (s *quantizedSource) Has(name string) bool { return s.src.Has(name) }

func (s *quantizedSource) Param(name string, _ nn.Init, shape []int64) torch.Tensor {
	t, err := s.src.Tensor(name, shape...)
	m, known := s.maps[name]
	switch {
	case err != nil:
		panic(&torch.Error{Op: "load", Message: err.Error()})
	case t.DType != weights.U8 || !known:
		panic(&torch.Error{Op: "load", Message: fmt.Sprintf("%s: %s: want bytes with a scale and a minimum", t.Path, t.Key)})
	}
	return torch.Own(torch.Scope(func() torch.Tensor {
		bytes := torch.FromBytes(t.Bytes, torch.Uint8, shape...)
		return bytes.To(torch.Float64).MulScalar(m.Scale).AddScalar(m.Min).ToDevice(s.device, torch.Float32)
	}))
}
