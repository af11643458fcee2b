package torch

/*
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"
)

// Script is a TorchScript module: a program and its weights, as torch.jit.save wrote them.
type Script struct {
	path   string
	handle uint64
}

// LoadScript reads a TorchScript file, its weights onto the device and without gradients. The file is
// a program that Run runs: load only files that you trust.
func LoadScript(path string, device Device) (*Script, error) {
	if err := Load(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a file, want one of torch.jit.save", path)
	}
	name, place := C.CString(path), C.CString(string(device))
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(place))
	var handle C.uint64_t
	if err := take(C.c_jit_load(name, place, &handle)); err != nil {
		return nil, fmt.Errorf("%s: not a TorchScript file that libtorch %s reads, want one of torch.jit.save: %w", path, Version(), err)
	}
	return &Script{path, uint64(handle)}, nil
}

// Has reports whether the script has a method of that name.
func (s *Script) Has(method string) bool {
	name := C.CString(method)
	defer C.free(unsafe.Pointer(name))
	var has C.int32_t
	must(s.path, C.c_jit_has(C.uint64_t(s.handle), name, &has))
	return has != 0
}

// Run calls a method that takes tensors and returns one. Gradients flow back to the arguments.
func (s *Script) Run(method string, ts ...Tensor) Tensor {
	name := C.CString(method)
	defer C.free(unsafe.Pointer(name))
	var result C.uint64_t
	must(s.path+": "+method, C.c_jit_run(C.uint64_t(s.handle), name, handles(ts), C.int64_t(len(ts)), &result))
	return Tensor{uint64(result)}
}

// Close frees the weights. The script must not be used any more.
func (s *Script) Close() { C.c_jit_close(C.uint64_t(s.handle)) }
