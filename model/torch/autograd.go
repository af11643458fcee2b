package torch

/*
#include "calls.h"
*/
import "C"

import "unsafe"

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

// Chain is a sequence of steps x[i+1] = step(i, x[i]) whose activations were not kept. Only the x[i]
// are; Backward runs every step again, from the last to the first, so memory is that of one step.
type Chain struct {
	step func(i int, x Tensor) Tensor
	xs   []Tensor // x[0] .. x[n]
}

// Checkpoint runs n steps without recording them. Steps must be deterministic: noise is drawn before
// and parameters do not change until Backward is done.
func Checkpoint(n int, x Tensor, step func(i int, x Tensor) Tensor) *Chain {
	c := &Chain{step: step, xs: make([]Tensor, 0, n+1)}
	c.xs = append(c.xs, x)
	NoGrad(func() {
		for i := range n {
			c.xs = append(c.xs, Scope(func() Tensor { return step(i, c.xs[i]) }))
		}
	})
	return c
}

// Last is the result of the last step; it carries no gradient graph.
func (c *Chain) Last() Tensor { return c.xs[len(c.xs)-1] }

// Backward returns the gradients of params, given that of Last. They equal those of plain
// back-propagation through all steps, bit for bit.
func (c *Chain) Backward(gradLast Tensor, params []Tensor) []Tensor {
	return Scopes(func() []Tensor {
		sums := make([]Tensor, len(params))
		grad := gradLast
		for i := len(c.xs) - 2; i >= 0; i-- {
			kept := Scopes(func() []Tensor { return c.backwardStep(i, grad, params, sums) })
			grad, sums = kept[0], kept[1:]
		}
		return sums
	})
}

// backwardStep runs step i again and returns the gradient of its input, then sums with the
// parameters' gradients added.
func (c *Chain) backwardStep(i int, grad Tensor, params, sums []Tensor) []Tensor {
	var x, y Tensor
	EnableGrad(func() {
		x = c.xs[i].Leaf()
		y = c.step(i, x)
	})
	grads := Grad([]Tensor{y}, append([]Tensor{x}, params...), []Tensor{grad})
	NoGrad(func() {
		for k, g := range grads[1:] {
			switch {
			case g.Defined() && sums[k].Defined():
				grads[k+1] = sums[k].Add(g)
			case sums[k].Defined():
				grads[k+1] = sums[k]
			}
		}
	})
	return grads
}
