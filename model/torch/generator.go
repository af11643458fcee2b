package torch

/*
#include "calls.h"
*/
import "C"

import "unsafe"

// Generator draws random numbers on one device. With the same seed the CPU generator gives the
// numbers that Python's torch.Generator("cpu").manual_seed(seed) gives.
type Generator struct {
	handle uint64
	dev    Device
}

// NewGenerator makes a generator; close it with Close.
func NewGenerator(device Device, seed uint64) (*Generator, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	name := C.CString(string(device))
	defer C.free(unsafe.Pointer(name))
	var handle C.uint64_t
	if err := take(C.c_generator(name, C.uint64_t(seed), &handle)); err != nil {
		return nil, &Error{Op: "generator", Message: err.Error()}
	}
	return &Generator{uint64(handle), device}, nil
}

// State is the generator's state, with which SetState continues the same numbers.
func (g *Generator) State() []byte {
	var state []byte
	Scope(func() Tensor {
		var handle C.uint64_t
		must("generator state", C.c_generator_state(C.uint64_t(g.handle), &handle))
		state = Tensor{uint64(handle)}.Bytes()
		return Tensor{}
	})
	return state
}

// SetState continues where State was taken.
func (g *Generator) SetState(state []byte) {
	Scope(func() Tensor {
		must("generator state", C.c_generator_set_state(C.uint64_t(g.handle), C.uint64_t(From(state).handle)))
		return Tensor{}
	})
}

// Close frees the generator.
func (g *Generator) Close() { C.c_generator_free(C.uint64_t(g.handle)) }

// Randn draws from the normal distribution, on the generator's device.
func (g *Generator) Randn(dtype DType, shape ...int64) Tensor {
	return opRandn.one(new(frame).ints(shape...).name("generator").generator(g).name("dtype").dtype(dtype).name("device").device(g.dev))
}

// Rand draws from [0,1), on the generator's device.
func (g *Generator) Rand(dtype DType, shape ...int64) Tensor {
	return opRand.one(new(frame).ints(shape...).name("generator").generator(g).name("dtype").dtype(dtype).name("device").device(g.dev))
}

var (
	opRandn = def("randn", "generator")
	opRand  = def("rand", "generator")
)
