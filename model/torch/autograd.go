package torch

/*
#include "calls.h"
*/
import "C"

import (
	"slices"
	"unsafe"
)

// SetRequiresGrad turns recording of gradients for t on or off and returns t.
func (t Tensor) SetRequiresGrad(on bool) Tensor {
	word := C.int32_t(0)
	if on {
		word = 1
	}
	t.mustInfo("requires_grad")
	must("requires_grad", C.c_set_requires_grad(C.uint64_t(t.handle), word))
	return t
}

// Leaf is t cut off from what made it, with gradients recorded from here on.
func (t Tensor) Leaf() Tensor { return t.Detach().SetRequiresGrad(true) }

// GradOptions changes what Grad leaves behind.
type GradOptions struct {
	RetainGraph bool // the graph is used again
	CreateGraph bool // gradients of the gradients are wanted
}

// Grad returns the gradients of outs with respect to ins, each weighted with gradOuts (nil for a
// scalar output). An input that no output depends on gets the zero Tensor.
func Grad(outs, ins, gradOuts []Tensor, options ...GradOptions) []Tensor {
	flags := C.int64_t(0)
	for _, o := range options {
		if o.RetainGraph {
			flags |= C.FNF_RETAIN_GRAPH
		}
		if o.CreateGraph {
			flags |= C.FNF_CREATE_GRAPH
		}
	}
	if gradOuts != nil && len(gradOuts) != len(outs) {
		panic(&Error{Op: "grad", Message: "as many output gradients as outputs are wanted"})
	}
	if len(ins) == 0 {
		return nil
	}
	grads := make([]Tensor, len(ins))
	must("grad", C.c_grad(handles(outs), handles(gradOuts), C.int64_t(len(outs)), handles(ins), C.int64_t(len(ins)), flags, handles(grads)))
	return grads
}

func handles(ts []Tensor) *C.uint64_t {
	return (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(ts)))
}

// Stage is one part of a computation that is cut into stages: it maps a state, some tensors, to the next
// state. It must be deterministic, and it may hand tensors of its state on unchanged.
type Stage func(xs []Tensor) []Tensor

// RunStages runs stages one after another, in the open scope. Without gradients, what a later stage no
// longer needs is freed at once.
func RunStages(stages []Stage, xs []Tensor) []Tensor {
	given := xs
	for _, stage := range stages {
		before := xs
		xs = Scopes(func() []Tensor { return stage(before) })
		for _, x := range before {
			if !slices.Contains(xs, x) && !slices.Contains(given, x) {
				Drop(x)
			}
		}
	}
	return xs
}

// BackwardStages differentiates stages that nobody recorded. It runs all but the last of them without
// gradients and keeps their states; then, from the last stage to the first, it runs each again, recorded,
// and differentiates it. So memory is that of the states and of one stage's activations, for one forward
// pass more, or two where there are several stages. grads are those of the last state; a zero Tensor is
// none. It returns the gradients of xs and, summed over the stages, of params, the same bits as plain
// back-propagation.
func BackwardStages(stages []Stage, xs, grads, params []Tensor) (inputs, sums []Tensor) {
	kept := Scopes(func() []Tensor {
		states := [][]Tensor{xs}
		NoGrad(func() {
			for i := range len(stages) - 1 {
				states = append(states, Scopes(func() []Tensor { return stages[i](states[i]) }))
			}
		})
		sums := make([]Tensor, len(params))
		for i := len(stages) - 1; i >= 0; i-- {
			n := len(states[i])
			both := Scopes(func() []Tensor { return backwardStage(stages[i], states[i], grads, params, sums) })
			grads, sums = both[:n], both[n:]
			if i > 0 {
				dropState(states[i], states[i-1])
			}
		}
		return append(grads[:len(xs):len(xs)], sums...)
	})
	return kept[:len(xs)], kept[len(xs):]
}

// dropState frees the tensors of a state that the one before does not have.
func dropState(state, before []Tensor) {
	for _, x := range state {
		if !slices.Contains(before, x) {
			Drop(x)
		}
	}
}

// backwardStage runs one stage again and returns the gradients of its state, then sums with the
// parameters' gradients added.
func backwardStage(stage Stage, xs, grads, params, sums []Tensor) []Tensor {
	leaves := make([]Tensor, len(xs))
	var ys, gradYs []Tensor
	passed := make([]Tensor, len(xs)) // gradients of what the stage handed on
	EnableGrad(func() {
		for i, x := range xs {
			leaves[i] = x.Leaf()
		}
		for k, y := range stage(slices.Clone(leaves)) {
			switch i := slices.Index(leaves, y); {
			case !grads[k].Defined():
			case i >= 0:
				passed[i] = addGrads(passed[i], grads[k])
			case y.mustInfo("stage").flags&flagRequiresGrad != 0:
				ys, gradYs = append(ys, y), append(gradYs, grads[k])
			}
		}
	})
	out := make([]Tensor, len(xs)+len(params))
	if len(ys) > 0 {
		out = Grad(ys, slices.Concat(leaves, params), gradYs)
	}
	for i := range xs {
		out[i] = addGrads(passed[i], out[i])
	}
	for i := range params {
		out[len(xs)+i] = addGrads(sums[i], out[len(xs)+i])
	}
	return out
}

// addGrads adds two gradients, of which either may be none.
func addGrads(a, b Tensor) (sum Tensor) {
	switch {
	case !a.Defined():
		return b
	case !b.Defined():
		return a
	}
	NoGrad(func() { sum = a.Add(b) })
	return sum
}
