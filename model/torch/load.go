package torch

/*
#cgo CFLAGS: -O2 -I${SRCDIR}
#cgo LDFLAGS: -ldl
#cgo noescape c_call
#cgo nocallback c_call
#cgo noescape c_info
#cgo nocallback c_info
#cgo noescape c_scope_close
#cgo nocallback c_scope_close
#cgo noescape c_grad
#cgo nocallback c_grad
#cgo noescape c_item
#cgo nocallback c_item
#cgo noescape c_from_data
#cgo nocallback c_from_data
#cgo noescape c_copy_out
#cgo nocallback c_copy_out
#include "calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"
)

const shimName = "libfnf_torch.so"

// ErrNoShim says that no shim was found: libtorch was not set up on this machine.
var ErrNoShim = errors.New("no " + shimName + " found: run `make setup` in the repository, or set FNF_TORCH_SHIM to its path")

var library struct {
	once sync.Once
	path string
	err  error
}

// cudaEnvironment is set before libtorch and CUDA read it, where the user has not: memory in segments that grow, which
// leaves no gaps between tensors of changing sizes, and indices of GPUs that are those of nvidia-smi.
var cudaEnvironment = map[string]string{
	"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
	"CUDA_DEVICE_ORDER":       "PCI_BUS_ID",
}

// Load finds the shim and opens it, once for the process. It looks at FNF_TORCH_SHIM, beside the
// program, in ../lib of that folder, and in build/ of the current folder and those above it.
func Load() error {
	library.once.Do(func() {
		for name, value := range cudaEnvironment {
			if _, set := os.LookupEnv(name); !set {
				_ = os.Setenv(name, value)
			}
		}
		library.path, library.err = findShim()
		if library.err == nil {
			library.err = open(library.path)
		}
	})
	return library.err
}

// ShimPath names the shared library that Load opened or tried to open, "" if it found none.
func ShimPath() string { return library.path }

func findShim() (string, error) {
	if path := os.Getenv("FNF_TORCH_SHIM"); path != "" {
		return path, nil
	}
	var candidates []string
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe)
		candidates = append(candidates, filepath.Join(dir, shimName), filepath.Join(dir, "..", "lib", shimName))
	}
	if dir, err := os.Getwd(); err == nil {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			candidates = append(candidates, filepath.Join(dir, "build", shimName))
		}
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", ErrNoShim
}

// abi is FNF_ABI of shim/fnf_torch.h. It stands here a second time because Go's build cache does not see
// that headers in other folders change: with the number, this file does.
const abi = 3

func open(path string) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if reason := C.c_open(name); reason != nil {
		defer C.free(unsafe.Pointer(reason))
		return fmt.Errorf("open shim: %s (compile it again with `make setup`)", C.GoString(reason))
	}
	if found := C.c_abi(); found != abi {
		return fmt.Errorf("%s: shim ABI %d, want %d: compile it again with `make setup`", path, found, abi)
	}
	return nil
}

// Version is the libtorch version that the shim was compiled against, "1.13.1" say.
func Version() string { return C.GoString(C.c_torch_version()) }

// ABI is the number of the interface between this program and the shim.
func ABI() int { return abi }

// BuildInfo is libtorch's own description of its build: compiler, BLAS, oneDNN, OpenMP, CUDA.
func BuildInfo() (string, error) {
	var text *C.char
	if err := take(C.c_build_info(&text)); err != nil {
		return "", err
	}
	defer C.c_free(text)
	return C.GoString(text), nil
}

// take turns a message of the shim into an error and frees it.
func take(message *C.char) error {
	if message == nil {
		return nil
	}
	defer C.c_free(message)
	return errors.New(shorten(C.GoString(message)))
}

// must panics with *Error where the shim answered with a message.
func must(op string, message *C.char) {
	if err := take(message); err != nil {
		panic(&Error{Op: op, Message: err.Error()})
	}
}
