package torch

/*
#include "calls.h"
*/
import "C"

import (
	"math"
	"sync"
	"sync/atomic"
	"unsafe"
)

// frame is the flat list of tagged words that carries the arguments of one call. Most calls fit in
// the array, which stays on the stack.
type frame struct {
	array [40]int64
	n     int
	more  []int64 // all words, once they outgrow the array
}

func (f *frame) put(words ...int64) {
	if f.more == nil && f.n+len(words) <= len(f.array) {
		f.n += copy(f.array[f.n:], words)
		return
	}
	if f.more == nil {
		f.more = append(f.more, f.array[:f.n]...)
	}
	f.more = append(f.more, words...)
}

func (f *frame) words() []int64 {
	if f.more != nil {
		return f.more
	}
	return f.array[:f.n]
}

func (f *frame) tensor(t Tensor) *frame { f.put(C.FNF_TENSOR, int64(t.handle)); return f }
func (f *frame) int(v int64) *frame     { f.put(C.FNF_INT, v); return f }
func (f *frame) float(v float64) *frame { f.put(C.FNF_FLOAT, int64(math.Float64bits(v))); return f }
func (f *frame) none() *frame           { f.put(C.FNF_NONE); return f }

func (f *frame) bool(v bool) *frame {
	word := int64(0)
	if v {
		word = 1
	}
	f.put(C.FNF_BOOL, word)
	return f
}

func (f *frame) ints(v ...int64) *frame {
	f.put(C.FNF_INTS | int64(len(v))<<8)
	f.put(v...)
	return f
}

func (f *frame) tensors(v ...Tensor) *frame {
	f.put(C.FNF_TENSORS | int64(len(v))<<8)
	for _, t := range v {
		f.put(int64(t.handle))
	}
	return f
}

func (f *frame) text(tag int64, s string) *frame {
	f.put(tag | int64(len(s))<<8)
	for len(s) > 0 {
		var word [8]byte
		n := copy(word[:], s)
		f.put(*(*int64)(unsafe.Pointer(&word)))
		s = s[n:]
	}
	return f
}

func (f *frame) string(s string) *frame        { return f.text(C.FNF_STRING, s) }
func (f *frame) device(d Device) *frame        { return f.text(C.FNF_DEVICE, string(d)) }
func (f *frame) name(argument string) *frame   { return f.text(C.FNF_NAME, argument) }
func (f *frame) dtype(d DType) *frame          { return f.int(int64(d)) }
func (f *frame) generator(g *Generator) *frame { f.put(C.FNF_GENERATOR, int64(g.handle)); return f }

// operator is one overload of one operator of ATen, or of the shim, looked up at its first call.
type operator struct {
	name, overload string
	once           sync.Once
	address        atomic.Uint64
	err            error
}

// operators lists every operator that the package declares; a test resolves them all.
var operators []*operator

func def(name, overload string) *operator {
	return declare(&operator{name: "aten::" + name, overload: overload})
}

// own is an operator of the shim's.
func own(name string) *operator { return declare(&operator{name: "fnf::" + name}) }

func declare(op *operator) *operator {
	operators = append(operators, op)
	return op
}

func (op *operator) String() string {
	if op.overload == "" {
		return op.name
	}
	return op.name + "." + op.overload
}

func (op *operator) resolve() error {
	op.once.Do(func() {
		name, overload := C.CString(op.name), C.CString(op.overload)
		defer C.free(unsafe.Pointer(name))
		defer C.free(unsafe.Pointer(overload))
		var address C.uint64_t
		if op.err = Load(); op.err == nil {
			op.err = take(C.c_op(name, overload, &address))
		}
		op.address.Store(uint64(address))
	})
	return op.err
}

// schema is the operator's declaration in this libtorch.
func (op *operator) schema() (string, error) {
	if err := op.resolve(); err != nil {
		return "", err
	}
	var text *C.char
	if err := take(C.c_op_schema(C.uint64_t(op.address.Load()), &text)); err != nil {
		return "", err
	}
	defer C.c_free(text)
	return C.GoString(text), nil
}

// call runs the operator and returns how many words of out it filled: a tag and a value a result.
func (op *operator) call(f *frame, out []int64) int {
	address := op.address.Load()
	if address == 0 {
		if err := op.resolve(); err != nil {
			panic(&Error{Op: op.String(), Message: err.Error()})
		}
		address = op.address.Load()
	}
	words := f.words()
	var first *C.int64_t
	if len(words) > 0 {
		first = (*C.int64_t)(unsafe.Pointer(&words[0]))
	}
	var used C.int64_t
	message := C.c_call(C.uint64_t(address), first, C.int64_t(len(words)), (*C.int64_t)(unsafe.Pointer(&out[0])), C.int64_t(len(out)), &used)
	if message != nil {
		op.fail(message, words)
	}
	return int(used)
}

func (op *operator) fail(message *C.char, words []int64) {
	err := take(message)
	panic(&Error{Op: op.String(), Arguments: describe(words), Message: err.Error()})
}

// one calls an operator that has one tensor as result.
func (op *operator) one(f *frame) Tensor {
	var out [2]int64
	op.call(f, out[:])
	return Tensor{uint64(out[1])}
}

// two calls an operator that has two tensors as result.
func (op *operator) two(f *frame) (Tensor, Tensor) {
	var out [4]int64
	op.call(f, out[:])
	return Tensor{uint64(out[1])}, Tensor{uint64(out[3])}
}

// many calls an operator that has a list of at most n tensors as result.
func (op *operator) many(f *frame, n int64) []Tensor {
	out := make([]int64, 2*max(n, 1))
	tensors := make([]Tensor, op.call(f, out)/2)
	for i := range tensors {
		tensors[i] = Tensor{uint64(out[2*i+1])}
	}
	return tensors
}

// void calls an operator for its effect.
func (op *operator) void(f *frame) {
	var out [2]int64
	op.call(f, out[:])
}

// describe names the shapes of the tensors in a frame, for an error.
func describe(words []int64) []string {
	var shapes []string
	add := func(handle int64) {
		if info, err := (Tensor{uint64(handle)}).info(); err == nil && handle != 0 {
			shapes = append(shapes, info.String())
		}
	}
	for i := 0; i < len(words); {
		tag, length := words[i]&0xff, int(words[i]>>8)
		i++
		switch tag {
		case C.FNF_NONE:
		case C.FNF_TENSOR:
			add(words[i])
			i++
		case C.FNF_TENSORS:
			for _, handle := range words[i : i+length] {
				add(handle)
			}
			i += length
		case C.FNF_INTS, C.FNF_FLOATS:
			i += length
		case C.FNF_STRING, C.FNF_DEVICE, C.FNF_NAME:
			i += (length + 7) / 8
		default:
			i++
		}
	}
	return shapes
}
