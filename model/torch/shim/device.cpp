// Settings of the library, devices and their memory, and malloc tuning.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <malloc.h>
#include <torch/version.h>

#define FNF_TORCH (TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR)
#if FNF_TORCH >= 209
#include <ATen/DeviceAccelerator.h>
#endif

#include "shim.h"
#ifdef FNF_STAND_IN
#include "standin/standin.h"
#endif

namespace {

// glibc returns the memory of every step to the kernel and faults it in again at the next one:
// keeping it made small training steps 2.8 times faster (docs/decisions/0002).
__attribute__((constructor)) void tune_malloc() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
  mallopt(M_ARENA_MAX, 1);
}

// Looks a function of the CUDA driver up at run time, so that no CUDA header is needed to compile.
template <class Function>
Function* driver(const char* name) {
  static void* library = dlopen("libcuda.so.1", RTLD_NOW);
  void* f = library ? dlsym(library, name) : nullptr;
  if (!f) throw std::runtime_error(std::string("the CUDA driver has no ") + name);
  return reinterpret_cast<Function*>(f);
}

void check(int status, const char* what) {
  if (status != 0)
    throw std::runtime_error(std::string(what) + ": CUDA driver error " + std::to_string(status));
}

void require_gpu(int64_t index) {
  if (index < 0 || index >= fnf_cuda_count())
    throw std::runtime_error("there is no CUDA device " + std::to_string(index));
}

// "compute", "shapes", "off", or "absent" where it was not compiled in.
std::string stand_in_mode() {
#ifdef FNF_STAND_IN
  const auto& s = fnf::standin::settings();
  return !s.on ? "off" : s.shapes ? "shapes" : "compute";
#else
  return "absent";
#endif
}

// Reports whether the stand-in answers to "cuda".
bool stand_in() {
#ifdef FNF_STAND_IN
  return fnf::standin::settings().on;
#else
  return false;
#endif
}

// {free, total} in bytes. The driver answers for the context that is current on this thread, so the
// device is made current for it.
void driver_memory(c10::Device device, int64_t memory[2]) {
  at::DeviceGuard guard(device);
  at::empty({1}, at::TensorOptions(device));  // makes the device's context
  size_t free = 0, total = 0;
  check(driver<int(size_t*, size_t*)>("cuMemGetInfo_v2")(&free, &total), "cuMemGetInfo");
  memory[0] = int64_t(free);
  memory[1] = int64_t(total);
}

#if FNF_TORCH >= 209
// libtorch's own answer, where this one has it, is of the device that is asked for.
template <class Allocator>
auto free_and_total(Allocator* a, c10::Device device, int64_t memory[2], int)
    -> decltype(a->getMemoryInfo(device.index()), void()) {
  auto [free, total] = a->getMemoryInfo(device.index());
  memory[0] = int64_t(free);
  memory[1] = int64_t(total);
}
template <class Allocator>
void free_and_total(Allocator*, c10::Device device, int64_t memory[2], long) {
  driver_memory(device, memory);
}
#endif

}  // namespace

c10::Device fnf::device(const std::string& name) {
  c10::Device d(name);
#ifdef FNF_STAND_IN
  if (stand_in() && d.is_cuda()) {
    if (d.has_index()) standin::require(d.index());
    return c10::Device(standin::kType, d.has_index() ? d.index() : standin::current());
  }
#endif
  return d;
}

bool fnf::is_gpu(c10::Device d) {
  return d.is_cuda() || (stand_in() && d.type() == c10::DeviceType::PrivateUse1);
}

extern "C" {

char* fnf_build_info(char** text) {
  return fnf::guard([&] {
    std::string info = at::show_config() + "\n" + at::get_parallel_info();
    info += std::string("\nCUDA build: ") + (at::hasCUDA() ? "yes" : "no");
    info += "\nStand-in: " + stand_in_mode() + "\n";
    *text = strdup(info.c_str());
  });
}

char* fnf_set_option(const char* name, int64_t on) {
  return fnf::guard([&] {
    auto& context = at::globalContext();
    std::string option = name;
    if (option == "threads") {
      at::set_num_threads(int(on));
    } else if (option == "flush_denormal") {
      context.setFlushDenormal(on != 0);
    } else if (option == "tf32") {
      context.setAllowTF32CuBLAS(on != 0);
      context.setAllowTF32CuDNN(on != 0);
    } else if (option == "cudnn_benchmark") {
      context.setBenchmarkCuDNN(on != 0);
    } else if (option == "deterministic") {
      context.setDeterministicCuDNN(on != 0);
      context.setDeterministicAlgorithms(on != 0, /*warn_only=*/true);
    } else {
      throw std::runtime_error("unknown option " + option);
    }
  });
}

int64_t fnf_threads(void) { return at::get_num_threads(); }

int64_t fnf_cuda_count(void) {
#ifdef FNF_STAND_IN
  if (stand_in()) return fnf::standin::settings().devices;
#endif
  try {
    return at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
  } catch (...) {
    return 0;  // a CUDA build on a machine without a driver
  }
}

char* fnf_cuda_name(int64_t index, char** text) {
  return fnf::guard([&] {
    require_gpu(index);
    if (stand_in()) {
      *text = strdup("stand-in");
      return;
    }
    char name[256] = {};
    int device = 0;
    check(driver<int(int*, int)>("cuDeviceGet")(&device, int(index)), "cuDeviceGet");
    check(driver<int(char*, int, int)>("cuDeviceGetName")(name, sizeof name - 1, device),
          "cuDeviceGetName");
    *text = strdup(name);
  });
}

char* fnf_cuda_driver(char** text) {
  return fnf::guard([&] {
    int version = 0;
    if (!stand_in()) check(driver<int(int*)>("cuDriverGetVersion")(&version), "cuDriverGetVersion");
    std::string s = std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
    *text = strdup(s.c_str());
  });
}

char* fnf_cuda_memory(int64_t index, int64_t memory[5]) {
  return fnf::guard([&] {
    require_gpu(index);
#ifdef FNF_STAND_IN
    if (stand_in()) return fnf::standin::memory(index, memory);
#endif
    c10::Device device(at::kCUDA, c10::DeviceIndex(index));
    memory[2] = memory[3] = memory[4] = -1;
#if FNF_TORCH < 209
    driver_memory(device, memory);
#else
    free_and_total(at::getDeviceAllocator(at::kCUDA), device, memory, 0);
    auto stats = at::accelerator::getDeviceStats(c10::DeviceIndex(index));
    memory[2] = stats.allocated_bytes[0].current;
    memory[3] = stats.reserved_bytes[0].current;
    memory[4] = stats.allocated_bytes[0].peak;
#endif
  });
}

char* fnf_cuda_reset_peak(int64_t index) {
  return fnf::guard([&] {
    require_gpu(index);
#ifdef FNF_STAND_IN
    if (stand_in()) return fnf::standin::reset_peak(index);
#endif
#if FNF_TORCH >= 209
    at::accelerator::resetPeakStats(c10::DeviceIndex(index));
#endif
  });
}

char* fnf_synchronize(const char* device) {
  return fnf::guard([&] {
    c10::Device d{std::string(device)};
    if (!d.is_cuda()) return;
#ifdef FNF_STAND_IN
    if (stand_in())
      return fnf::standin::note("mark", "synchronize", 0, std::max(0, int(d.index())));
#endif
    at::detail::getCUDAHooks().deviceSynchronize(d.has_index() ? d.index() : 0);
  });
}

}  // extern "C"
