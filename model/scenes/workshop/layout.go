package workshop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// layout lays all parameters of a network in one vector, so that the optimizer, the running average and
// a checkpoint each deal with one tensor, and a copy in another element type is one operator.
type layout struct {
	names  []string
	shapes [][]int64
	starts map[string]int64 // of a parameter in the vector
	size   int64
}

// newLayout builds the network once to learn what it is made of. start is its made-up beginning,
// [size] float32 on the CPU and owned; parameters that zero names begin at 0.
func newLayout(seed uint64, build func(nn.Params), zero func(name string) bool) (f *layout, start torch.Tensor, err error) {
	params, err := nn.Random(seed, torch.Float32, torch.CPU)
	if err != nil {
		return nil, torch.Tensor{}, err
	}
	defer params.Drop()
	f = &layout{starts: map[string]int64{}}
	err = torch.Run(func() {
		build(params)
		var parts []torch.Tensor
		for name, t := range params.All() {
			f.names, f.shapes = append(f.names, name), append(f.shapes, t.Shape())
			f.starts[name] = f.size
			f.size += t.Numel()
			if zero != nil && zero(name) {
				t = t.ZerosLike()
			}
			parts = append(parts, t.Reshape(-1))
		}
		start = torch.Own(torch.Cat(parts, 0))
	})
	return f, start, err
}

// params serves the parts of a vector that has this layout; they share its memory. trainable ones
// record gradients.
func (f *layout) params(vector torch.Tensor, trainable bool) nn.Params {
	return nn.NewParams(&vectorSource{f, vector, trainable})
}

// part is the part of a vector that belongs to the i-th parameter; it shares the vector's memory.
func (f *layout) part(vector torch.Tensor, i int) torch.Tensor {
	n := int64(1)
	for _, s := range f.shapes[i] {
		n *= s
	}
	return torch.Scope(func() torch.Tensor {
		return vector.Narrow(0, f.starts[f.names[i]], n).Reshape(f.shapes[i]...).Detach()
	})
}

// vectorSource serves parameters out of a vector.
type vectorSource struct {
	*layout
	vector    torch.Tensor
	trainable bool
}

// Has is false: names are asked for, never looked up.
func (*vectorSource) Has(string) bool { return false }

// Param is the part of the vector that belongs to the name.
func (s *vectorSource) Param(name string, _ nn.Init, shape []int64) torch.Tensor {
	from, ok := s.starts[name]
	if !ok {
		panic(&torch.Error{Op: "parameters", Message: name + ": the network did not ask for it the first time"})
	}
	n := int64(1)
	for _, s := range shape {
		n *= s
	}
	view := torch.Scope(func() torch.Tensor { return s.vector.Narrow(0, from, n).Reshape(shape...).Detach() })
	if s.trainable {
		view.SetRequiresGrad(true)
	}
	return torch.Own(view)
}

// gradient is the gradient of a loss in every parameter as one vector, float32; parameters that the
// loss does not depend on have 0.
func (f *layout) gradient(loss torch.Tensor, params []torch.Tensor) torch.Tensor {
	return torch.Scope(func() torch.Tensor {
		grads := torch.Grad([]torch.Tensor{loss}, params, nil)
		for i, g := range grads {
			if !g.Defined() {
				g = params[i].Detach().ZerosLike()
			}
			grads[i] = g.Reshape(-1)
		}
		return torch.Cat(grads, 0).To(torch.Float32)
	})
}

// tensors lists the parameters of a network in the vector's order.
func (f *layout) tensors(params nn.Params) []torch.Tensor {
	list := make([]torch.Tensor, 0, len(f.names))
	for _, t := range params.All() {
		list = append(list, t)
	}
	return list
}

// write stores the part of the vector whose names begin with prefix as float16 under their names
// without it. A number that float16 cannot hold is an error.
func (f *layout) write(path, prefix string, vector torch.Tensor, metadata map[string]string) error {
	var entries []weights.Entry
	var kept []torch.Tensor
	defer func() { torch.Drop(kept...) }()
	err := torch.Run(func() {
		if !vector.Abs().Max().LtScalar(65504).All().ToDevice(torch.CPU, torch.Bool).Equal(torch.Scalar(true)) {
			panic(&torch.Error{Op: "export", Message: path + ": a weight is not finite or too large for float16"})
		}
		for i, name := range f.names {
			short, ok := strings.CutPrefix(name, prefix)
			if !ok {
				continue
			}
			half := torch.Own(f.part(vector, i).ToDevice(torch.CPU, torch.Float16))
			kept = append(kept, half)
			entries = append(entries, nn.Entry(short, half))
		}
	})
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return fmt.Errorf("%s: no parameter begins with %q", path, prefix)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return weights.Write(path, metadata, entries)
}
