package backbone

import (
	"fmt"

	"focusnfix/model/nn"
	"focusnfix/model/torch"
	"focusnfix/model/weights"
)

// Updates of other methods than plain LoRA are linear in the strength once they are written as the full
// difference ΔW that they make at strength 1. Between 0 and 1 that is how ComfyUI and LyCORIS apply DoRA, too;
// PEFT scales inside its norm, and agrees at 0 and 1.

// update is one module of a LoRA file under way to the model.
type update struct {
	weights.LoRAModule
	read  nn.Params // the file's tensors of this module, by factor
	shape []int64   // of the model's weight: [out,in] or [out,in,h,w]
}

// factors are all tensors of a file, named for update.
func factors(lora *weights.LoRA) []weights.Tensor {
	var tensors []weights.Tensor
	for _, m := range lora.Modules {
		add := func(name string, t weights.Tensor) {
			if t.Shape != nil {
				t.Name = m.Name() + "." + name
				tensors = append(tensors, t)
			}
		}
		add("down", m.Down)
		add("up", m.Up)
		for f, t := range m.Factors {
			add(string(f), t)
		}
	}
	return tensors
}

// tensor is a factor as the file has it, in float32 on the CPU.
func (u update) tensor(name string, t weights.Tensor) torch.Tensor {
	return u.read.Param(name, nn.Zeros, t.Shape...)
}

func (u update) has(f weights.Factor) bool { _, ok := u.Factors[f]; return ok }

func (u update) factor(f weights.Factor) torch.Tensor { return u.tensor(string(f), u.Factors[f]) }

// down is the matrix [rank,in] or [rank,in,h,w], with a convolution in the middle worked into it.
func (u update) down() torch.Tensor {
	shape := append([]int64{u.Rank()}, u.shape[1:]...)
	down := u.tensor("down", u.Down)
	if u.has(weights.Mid) {
		return tucker(u.factor(weights.Mid), torch.Eye(u.Rank(), torch.Float32, torch.CPU), down.Flatten(1)).Reshape(shape...)
	}
	return down.Reshape(shape...) // a 1x1 convolution may come as a linear layer, and the other way round
}

func (u update) up() torch.Tensor {
	shape := []int64{u.shape[0], u.Rank()}
	if len(u.shape) == 4 {
		shape = append(shape, 1, 1)
	}
	return u.tensor("up", u.Up).Reshape(shape...)
}

// lowRank is the update as two matrices, where it is nothing more.
func (u update) lowRank(scale float64) (*nn.LoRA, bool) {
	if u.Method != weights.PlainLoRA || u.has(weights.Magnitude) {
		return nil, false
	}
	return &nn.LoRA{Name: u.Path, Alpha: u.Alpha, Scale: scale, Down: u.down(), Up: u.up()}, true
}

// shift is the update as a full one of weight and bias, as far as lowRank has not got it. base are the
// parameters of the part of the model.
func (u update) shift(scale float64, base nn.Params) (*nn.Shift, bool) {
	s := &nn.Shift{Name: u.Path, Scale: scale, Bias: u.bias(base)}
	if u.Method != weights.BiasOnly && (u.Method != weights.PlainLoRA || u.has(weights.Magnitude)) {
		s.Weight = torch.Scope(func() torch.Tensor { return u.difference(base) })
	}
	return s, s.Weight.Defined() || s.Bias.Defined()
}

// bias is what is added to the layer's bias [out].
func (u update) bias(base nn.Params) torch.Tensor {
	switch {
	case u.has(weights.Bias):
		return u.factor(weights.Bias).Flatten(0)
	case u.has(weights.LoRABias): // PEFT's lora_bias goes through the scale
		return u.factor(weights.LoRABias).Flatten(0).MulScalar(u.Alpha / float64(u.Rank()))
	case u.has(weights.IA3Scale) && !u.OnInput && base.Has(u.Path+".bias"):
		b := u.base(base, ".bias")
		return u.factor(weights.IA3Scale).Flatten(0).AddScalar(-1).Mul(b)
	}
	return torch.Tensor{}
}

// base is the model's own weight or bias.
func (u update) base(params nn.Params, name string) torch.Tensor {
	for key, t := range params.All() {
		if key == u.Path+name {
			return t.ToDevice(torch.CPU, torch.Float32)
		}
	}
	panic(&torch.Error{Op: "lora", Message: u.Name() + name + ": the model has none"})
}

// difference is ΔW, of the weight's shape.
func (u update) difference(base nn.Params) torch.Tensor {
	scale := u.Alpha / float64(u.Rank())
	var delta torch.Tensor
	switch u.Method {
	case weights.LoHa:
		delta = u.pair(weights.HadaW1A, weights.HadaW1B, weights.HadaT1).Mul(u.pair(weights.HadaW2A, weights.HadaW2B, weights.HadaT2)).MulScalar(scale)
	case weights.LoKr:
		delta = u.kron().MulScalar(scale)
	case weights.Full:
		delta = u.factor(weights.Diff)
	case weights.IA3:
		return u.rescaled(u.base(base, ".weight"))
	default:
		delta = u.up().Flatten(1).MatMul(u.down().Flatten(1)).MulScalar(scale)
	}
	delta = delta.Reshape(u.shape...)
	if u.has(weights.Magnitude) {
		return u.decomposed(u.base(base, ".weight"), delta)
	}
	return delta
}

// pair is the product [rows,columns] of two factors, or what they make of a Tucker core.
func (u update) pair(a, b, core weights.Factor) torch.Tensor {
	if u.has(core) {
		return tucker(u.factor(core), u.factor(a), u.factor(b)).Flatten(1)
	}
	return u.factor(a).Flatten(1).MatMul(u.factor(b).Flatten(1))
}

// tucker is Σ_ij core[i,j,h,w] · a[i,o] · b[j,c], [o,c,h,w].
func tucker(core, a, b torch.Tensor) torch.Tensor {
	i, j := core.Size(0), core.Size(1)
	spatial := core.Shape()[2:]
	flat := core.Reshape(i, j, -1).Permute(2, 0, 1)  // [hw,i,j]
	full := a.Transpose(0, 1).MatMul(flat.MatMul(b)) // [hw,o,c]
	shape := append([]int64{a.Size(1), b.Size(1)}, spatial...)
	return full.Permute(1, 2, 0).Contiguous().Reshape(shape...)
}

// kron is w1 ⊗ w2, where the columns of w2 may go on through a kernel.
func (u update) kron() torch.Tensor {
	one := func(whole, a, b, core weights.Factor) torch.Tensor {
		if u.has(whole) {
			return u.factor(whole)
		}
		return u.pair(a, b, core)
	}
	w1 := one(weights.LokrW1, weights.LokrW1A, weights.LokrW1B, "").Flatten(1) // [a,b]
	w2 := one(weights.LokrW2, weights.LokrW2A, weights.LokrW2B, weights.LokrT2)
	kernel := int64(1)
	if len(u.shape) == 4 {
		kernel = u.shape[2] * u.shape[3]
	}
	a, b, c := w1.Size(0), w1.Size(1), w2.Size(0)
	w2 = w2.Reshape(c, -1, kernel) // [c,d,k]
	d := w2.Size(1)
	return w1.Reshape(a, 1, b, 1, 1).Mul(w2.Reshape(1, c, 1, d, kernel)).Reshape(a*c, b*d*kernel)
}

// rescaled is ΔW of IA3, for the weight w.
func (u update) rescaled(w torch.Tensor) torch.Tensor {
	f, less, output := weights.IA3Scale, -1.0, !u.OnInput
	if u.has(weights.IA3Shift) {
		f, less = weights.IA3Shift, 0
	}
	v := u.factor(f).Flatten(0).AddScalar(less)
	n := v.Size(0)
	if want := map[bool]int64{true: u.shape[0], false: u.shape[1]}[output]; n != want {
		panic(&torch.Error{Op: "lora", Message: fmt.Sprintf("%s: IA3 of %d numbers, want %d", u.Name(), n, want)})
	}
	shape := make([]int64, len(u.shape))
	for i := range shape {
		shape[i] = 1
	}
	shape[map[bool]int{true: 0, false: 1}[output]] = n
	return w.Mul(v.Reshape(shape...))
}

// decomposed is ΔW of DoRA: rows (one length for each output) or columns (each input) of w + delta get the
// file's lengths. Which of the two, the shape of the lengths tells: PEFT has [out], or [1,out,1,1] for a
// convolution, LyCORIS [out,1...] or [1,in...].
func (u update) decomposed(w, delta torch.Tensor) torch.Tensor {
	lengths := u.Factors[weights.Magnitude].Shape
	n := int64(1)
	for _, s := range lengths {
		n *= s
	}
	axis := int64(1)
	if u.OfPEFT() || lengths[0] != 1 {
		axis = 0
	}
	if n != u.shape[axis] {
		panic(&torch.Error{Op: "lora", Message: fmt.Sprintf("%s: %d lengths of DoRA, want %d", u.Name(), n, u.shape[axis])})
	}
	sum := w.Add(delta)
	shape, dims := make([]int64, len(u.shape)), []int64{}
	for i := range shape {
		shape[i] = 1
		if int64(i) != axis {
			dims = append(dims, int64(i))
		}
	}
	shape[axis] = n
	norm := sum.Square().Sum(dims...).Sqrt().Reshape(shape...)
	return sum.Mul(u.factor(weights.Magnitude).Reshape(shape...).Div(norm)).Sub(w)
}
