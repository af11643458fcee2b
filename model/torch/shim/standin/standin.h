// A stand-in for CUDA devices, for machines without one. It is libtorch's PrivateUse1 device and
// answers to "cuda" once it is switched on, before the shim is loaded, by the environment:
//
//   FNF_STAND_IN=compute       The CPU's kernels compute, one operator at a time, on memory that no
//                              other code may touch. For `make test-device`.
//   FNF_STAND_IN=shapes        Nothing is computed and memory is never touched: models of any size
//                              run through the program's own graph, with the memory and the
//                              operators of a real run. For `focusnfix plan`.
//   FNF_STAND_IN_DEVICES=N     how many devices there are (default 1)
//   FNF_STAND_IN_GIB=N         capacity of each; beyond it "CUDA out of memory" (default: any)
//   FNF_STAND_IN_LOG=FILE      a line an operator: kind, name, bytes in and out, bytes in use
//
// As CUDA does, it refuses operators over tensors of several devices (0-dimensional tensors of the
// CPU go where CUDA takes them) and generators of another device. Beyond CUDA: a host that reads
// device memory, or memory that was freed, dies of SIGSEGV at once, and new memory is not a number,
// so that whoever reads before writing is found out. Half types are computed in float32 and rounded
// after each operator. It does not show: asynchrony, streams, CUDA's own kernels and the types that
// they lack, fragmentation, workspaces.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fnf::standin {

constexpr auto kType = c10::DeviceType::PrivateUse1;

struct Settings {
  bool on = false;
  bool shapes = false;  // only
  int devices = 1;      // at most 16
  size_t capacity = 0;  // bytes a device; 0 is any
  std::string log;      // "" is none
};
const Settings& settings();

c10::DeviceIndex current();  // device of this thread
void require(int64_t index);

// As fnf_cuda_memory.
void memory(int64_t index, int64_t facts[5]);
void reset_peak(int64_t index);

// Writes a line of the log.
void note(const char* kind, const std::string& what, int64_t bytes, int64_t index);

inline bool ours(const at::Tensor& t) { return t.defined() && t.device().type() == kType; }

// Open makes the memory of tensors readable and writable for the CPU as long as it lives.
class Open {
 public:
  ~Open();
  void add(const at::Tensor& t);

 private:
  std::vector<void*> bases_;
};

// host is the memory of a device's tensor, opened, as a tensor of the CPU.
at::Tensor host(const at::Tensor& t);

// adopt is a CPU kernel's answer, or its shape, as a tensor of a device.
at::Tensor adopt(const at::Tensor& answer, c10::Device device);

// widened is what a half type is computed in.
at::Tensor widened(const at::Tensor& t);
inline bool half(const at::Tensor& t) {
  return t.scalar_type() == at::kHalf || t.scalar_type() == at::kBFloat16;
}

// same_device throws as CUDA does where a tensor lies elsewhere.
[[noreturn]] void refuse(const at::Tensor& t, c10::Device device, const std::string& argument,
                         const std::string& op);

// Answers an operator with shapes alone, on tensors of the device meta, where libtorch's C++ has no
// meta kernel for it; the stack's arguments begin at `first`. False where it does not know how.
bool shapes_of(const c10::OperatorHandle& op, std::vector<c10::IValue>* stack, size_t first);

void register_operators();
void register_attention();

}  // namespace fnf::standin
