package torch

/*
#include "calls.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// Run opens a scope, calls f in it and frees all that was born inside and not owned. It returns the
// *Error that an operator panicked with; other panics pass through.
func Run(f func()) (err error) {
	if err := Load(); err != nil {
		return err
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			err = r
		default:
			panic(r)
		}
	}()
	Scope(func() Tensor { f(); return Tensor{} })
	return nil
}

// Scope frees every tensor that f makes, but the one it returns, which goes to the scope outside.
func Scope(f func() Tensor) Tensor {
	open := openScope()
	defer open.close()
	open.one = f()
	open.keep = unsafe.Slice(&open.one, 1)
	return open.one
}

// Scopes is Scope for several results.
func Scopes(f func() []Tensor) []Tensor {
	open := openScope()
	defer open.close()
	open.keep = f()
	return open.keep
}

// scope is one that is open on this goroutine's thread; a panic leaves keep empty.
type scope struct {
	one  Tensor
	keep []Tensor
}

func openScope() *scope {
	if err := Load(); err != nil {
		panic(&Error{Op: "scope", Message: err.Error()})
	}
	runtime.LockOSThread()
	must("scope", C.c_scope_open())
	return new(scope)
}

func (s *scope) close() {
	must("scope", C.c_scope_close((*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(s.keep))), C.int64_t(len(s.keep))))
	runtime.UnlockOSThread()
}

// NoGrad calls f without recording operations for a backward pass.
func NoGrad(f func()) { withGradMode(0, f) }

// EnableGrad records operations again, inside NoGrad.
func EnableGrad(f func()) { withGradMode(1, f) }

func withGradMode(on C.int32_t, f func()) {
	if err := Load(); err != nil {
		panic(&Error{Op: "grad mode", Message: err.Error()})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old := C.c_grad_mode(on)
	defer C.c_grad_mode(old)
	f()
}

// GradEnabled reports whether operations of this thread are recorded.
func GradEnabled() bool { return C.c_grad_mode(-1) != 0 }

// Own takes t out of every scope open on this thread: it lives until Drop. Weights are owned.
func Own(t Tensor) Tensor {
	must("own", C.c_own(C.uint64_t(t.handle)))
	return t
}

// Drop frees tensors now. A stale or zero one is ignored.
func Drop(ts ...Tensor) {
	for _, t := range ts {
		C.c_drop(C.uint64_t(t.handle))
	}
}

// Live is the number of tensors alive in the process.
func Live() int64 {
	if Load() != nil {
		return 0
	}
	return int64(C.c_live())
}
