package workshop

import (
	"strings"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
)

// descent moves the parameters that lie in one vector: matrices of some size with Muon, all others
// (norms, biases, embeddings, the last layer) with AdamW.
type descent struct {
	*layout
	matrices, others        []int          // indices of parameters
	muon                    *nn.Muon       // of the matrices
	adam                    *nn.AdamW      // of the others
	matrixViews, otherViews []torch.Tensor // parts of the vector
}

// smallestSide is that of a matrix which Muon moves.
const smallestSide = 16

// isMatrix reports whether Muon is for a parameter: rows of an embedding are looked up, not multiplied.
func isMatrix(name string, shape []int64) bool {
	if len(shape) < 2 || strings.Contains(name, "token_embedding") || strings.Contains(name, "position_embedding") {
		return false
	}
	columns := int64(1)
	for _, n := range shape[1:] {
		columns *= n
	}
	return min(shape[0], columns) >= smallestSide
}

// newDescent makes the optimizer of the parameters in the vector.
func newDescent(f *layout, vector torch.Tensor, rate, decay float64, dtype torch.DType, workers int) *descent {
	d := &descent{layout: f}
	for i, name := range f.names {
		if isMatrix(name, f.shapes[i]) {
			d.matrices = append(d.matrices, i)
		} else {
			d.others = append(d.others, i)
		}
	}
	d.matrixViews, d.otherViews = d.views(vector, d.matrices), d.views(vector, d.others)
	d.muon, d.adam = nn.NewMuon(d.matrixViews, rate), nn.NewAdamW(d.otherViews, rate)
	d.muon.DType, d.muon.Workers = dtype, workers
	d.adam.Beta2, d.adam.WeightDecay, d.muon.WeightDecay = secondMoment, decay, decay
	return d
}

// views are the parts of a vector that belong to parameters, owned.
func (d *descent) views(vector torch.Tensor, parameters []int) []torch.Tensor {
	var views []torch.Tensor
	for _, i := range parameters {
		views = append(views, torch.Own(d.part(vector, i)))
	}
	return views
}

// step moves the vector against a gradient [size].
func (d *descent) step(gradient torch.Tensor, rate float64) error {
	d.muon.LearningRate, d.adam.LearningRate = rate, rate
	parts := func(parameters []int) []torch.Tensor {
		var list []torch.Tensor
		for _, i := range parameters {
			list = append(list, d.part(gradient, i))
		}
		return list
	}
	d.adam.Step(parts(d.others))
	return d.muon.Step(parts(d.matrices))
}

// moments are what a checkpoint holds: the means of all gradients and the mean squares of AdamW's, as
// vectors.
func (d *descent) moments() map[string]torch.Tensor {
	vector := func(parts []torch.Tensor) torch.Tensor {
		flat := make([]torch.Tensor, len(parts))
		for i, p := range parts {
			flat[i] = p.Reshape(-1)
		}
		return torch.Cat(flat, 0)
	}
	mean, square := d.adam.Moments()
	return map[string]torch.Tensor{"momentum": vector(d.muon.Moments()), "mean": vector(mean), "square": vector(square)}
}

// restore takes moments from a checkpoint; read gives a vector of it by name and length.
func (d *descent) restore(steps int, read func(name string, size int64) torch.Tensor) {
	parts := func(name string, like []torch.Tensor) []torch.Tensor {
		size := int64(0)
		for _, t := range like {
			size += t.Numel()
		}
		vector, at := read(name, size), int64(0)
		list := make([]torch.Tensor, len(like))
		for i, t := range like {
			list[i] = vector.Narrow(0, at, t.Numel()).Reshape(t.Shape()...)
			at += t.Numel()
		}
		return list
	}
	d.adam.Restore(steps, parts("mean", d.otherViews), parts("square", d.otherViews))
	torch.NoGrad(func() {
		for i, saved := range parts("momentum", d.matrixViews) {
			d.muon.Moments()[i].CopyFrom(saved)
		}
	})
}

func (d *descent) drop() {
	d.muon.Drop()
	d.adam.Drop()
	torch.Drop(d.matrixViews...)
	torch.Drop(d.otherViews...)
}
