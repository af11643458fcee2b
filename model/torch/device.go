package torch

/*
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"unsafe"
)

// Device names where a tensor lies: "cpu", "cuda" or "cuda:1".
type Device string

// CPU is the device that is always there.
const CPU Device = "cpu"

const deviceTypeCUDA = 1 // c10::DeviceType::CUDA

// CUDA is the CUDA device of that index.
func CUDA(index int) Device { return Device(fmt.Sprintf("cuda:%d", index)) }

// Device is where the tensor lies.
func (t Tensor) Device() Device {
	info := t.mustInfo("device")
	if info.deviceType == deviceTypeCUDA {
		return CUDA(int(info.deviceIdx))
	}
	return CPU
}

// DefaultDevice is the first CUDA device, or that of LOCAL_RANK, which torchrun and its like give each
// process of a machine; the CPU where there is none.
func DefaultDevice() Device {
	if n := CUDACount(); n > 0 {
		local, err := strconv.Atoi(os.Getenv("LOCAL_RANK"))
		if err != nil || local < 0 {
			local = 0
		}
		return CUDA(local % n)
	}
	return CPU
}

// CUDACount is the number of CUDA devices that this libtorch can use.
func CUDACount() int {
	if Load() != nil {
		return 0
	}
	return int(C.c_cuda_count())
}

// DeviceInfo describes one CUDA device.
type DeviceInfo struct {
	Device Device `json:"device"`
	Name   string `json:"name"`
	Driver string `json:"driver"` // the CUDA version of the driver, "13.0"
	Memory Memory `json:"memory"`
}

// Memory is a device's memory in bytes; what this libtorch cannot tell is -1.
type Memory struct {
	Free          int64 `json:"free"`
	Total         int64 `json:"total"`
	Allocated     int64 `json:"allocated"`      // by our tensors
	Reserved      int64 `json:"reserved"`       // by libtorch's cache
	PeakAllocated int64 `json:"peak_allocated"` // since the start or ResetPeakMemory
}

// CUDADevices describes every CUDA device.
func CUDADevices() ([]DeviceInfo, error) {
	var devices []DeviceInfo
	for i := range CUDACount() {
		var name, driver *C.char
		if err := take(C.c_cuda_name(C.int64_t(i), &name)); err != nil {
			return nil, fmt.Errorf("cuda:%d: %w", i, err)
		}
		info := DeviceInfo{Device: CUDA(i), Name: C.GoString(name)}
		C.c_free(name)
		if err := take(C.c_cuda_driver(&driver)); err != nil {
			return nil, fmt.Errorf("cuda:%d: %w", i, err)
		}
		info.Driver = C.GoString(driver)
		C.c_free(driver)
		memory, err := CUDAMemory(i)
		if err != nil {
			return nil, fmt.Errorf("cuda:%d: %w", i, err)
		}
		info.Memory = memory
		devices = append(devices, info)
	}
	return devices, nil
}

// CUDAMemory reads the memory statistics of one CUDA device.
func CUDAMemory(index int) (Memory, error) {
	if err := Load(); err != nil {
		return Memory{}, err
	}
	var words [5]int64
	if err := take(C.c_cuda_memory(C.int64_t(index), (*C.int64_t)(unsafe.Pointer(&words[0])))); err != nil {
		return Memory{}, err
	}
	return Memory{words[0], words[1], words[2], words[3], words[4]}, nil
}

// ResetPeakMemory starts the peak of CUDAMemory anew.
func ResetPeakMemory(index int) error {
	if err := Load(); err != nil {
		return err
	}
	return take(C.c_cuda_reset_peak(C.int64_t(index)))
}

// Synchronize waits until all work given to the device is done.
func Synchronize(device Device) {
	name := C.CString(string(device))
	defer C.free(unsafe.Pointer(name))
	must("synchronize", C.c_synchronize(name))
}

// Threads is the number of threads that one operator uses on the CPU.
func Threads() int {
	if Load() != nil {
		return 0
	}
	return int(C.c_threads())
}

// SetThreads sets the number of threads that one operator uses on the CPU.
func SetThreads(n int) { setOption("threads", int64(n)) }

// Option is a switch of the library.
type Option string

// Options. Deterministic warns where an operator has no deterministic kernel.
const (
	FlushDenormal  Option = "flush_denormal"
	TF32           Option = "tf32"
	CuDNNBenchmark Option = "cudnn_benchmark"
	Deterministic  Option = "deterministic"
)

// Set turns an option on or off, for the whole process.
func Set(option Option, on bool) {
	word := int64(0)
	if on {
		word = 1
	}
	setOption(string(option), word)
}

func setOption(option string, value int64) {
	if err := Load(); err != nil {
		panic(&Error{Op: option, Message: err.Error()})
	}
	name := C.CString(option)
	defer C.free(unsafe.Pointer(name))
	must(option, C.c_set_option(name, C.int64_t(value)))
}
