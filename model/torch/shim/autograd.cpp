// Gradients, gradient mode, random generators, and data in and out.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <map>
#include <mutex>

#include "shim.h"

namespace {

struct Generators {
  std::mutex mutex;
  std::map<uint64_t, at::Generator> alive;
  uint64_t next = 1;
};

Generators& generators() {
  static Generators* g = new Generators;
  return *g;
}

}  // namespace

at::Generator fnf::generator(uint64_t handle) {
  std::lock_guard<std::mutex> lock(generators().mutex);
  auto it = generators().alive.find(handle);
  if (it == generators().alive.end()) throw std::runtime_error("the generator was closed");
  return it->second;
}

extern "C" {

char* fnf_info(uint64_t t, int64_t info[5 + FNF_MAX_DIMS]) {
  return fnf::guard([&] {
    at::Tensor x = fnf::get(t);
    if (x.dim() > FNF_MAX_DIMS) throw std::runtime_error("more than 16 dimensions");
    bool channels_last = x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
    info[0] = int64_t(x.scalar_type());
    info[1] = int64_t(fnf::is_gpu(x.device()) ? c10::DeviceType::CUDA : x.device().type());
    info[2] = x.device().index();
    info[3] = (x.requires_grad() ? 1 : 0) | (x.is_contiguous() ? 2 : 0) | (x.grad_fn() ? 4 : 0) |
              (channels_last ? 8 : 0);
    info[4] = x.dim();
    for (int64_t i = 0; i < x.dim(); i++) info[5 + i] = x.size(i);
  });
}

char* fnf_from_data(const void* data, const int64_t* sizes, int64_t dims, int64_t dtype,
                    uint64_t* t) {
  return fnf::guard([&] {
    fnf::require_scope();
    at::Tensor x = at::empty(at::IntArrayRef(sizes, dims), at::ScalarType(dtype));
    if (x.nbytes()) memcpy(x.data_ptr(), data, x.nbytes());
    *t = fnf::put(std::move(x));
  });
}

char* fnf_copy_out(uint64_t t, void* data, int64_t bytes) {
  return fnf::guard([&] {
    at::Tensor x = fnf::get(t).detach().to(at::kCPU).contiguous();
    if (int64_t(x.nbytes()) != bytes)
      throw std::runtime_error("the tensor has " + std::to_string(x.nbytes()) + " bytes, want " +
                               std::to_string(bytes));
    if (bytes) memcpy(data, x.data_ptr(), size_t(bytes));
  });
}

char* fnf_item(uint64_t t, double* value) {
  return fnf::guard([&] { *value = fnf::get(t).item().toDouble(); });
}

char* fnf_set_requires_grad(uint64_t t, int32_t on) {
  return fnf::guard([&] { fnf::get(t).set_requires_grad(on != 0); });
}

int32_t fnf_grad_mode(int32_t on) {
  bool old = c10::GradMode::is_enabled();
  if (on >= 0) c10::GradMode::set_enabled(on != 0);
  return old;
}

char* fnf_grad(const uint64_t* outs, const uint64_t* grad_outs, int64_t n_outs, const uint64_t* ins,
               int64_t n_ins, int64_t flags, uint64_t* grads) {
  return fnf::guard([&] {
    fnf::require_scope();
    std::vector<at::Tensor> seeds;
    for (int64_t i = 0; i < n_outs; i++)
      seeds.push_back(grad_outs ? fnf::get_optional(grad_outs[i]) : at::Tensor());
    auto result = torch::autograd::grad(fnf::get_all(outs, n_outs), fnf::get_all(ins, n_ins), seeds,
                                        (flags & FNF_RETAIN_GRAPH) != 0,
                                        (flags & FNF_CREATE_GRAPH) != 0, /*allow_unused=*/true);
    for (int64_t i = 0; i < n_ins; i++) grads[i] = fnf::put(std::move(result[i]));
  });
}

char* fnf_generator(const char* device, uint64_t seed, uint64_t* gen) {
  return fnf::guard([&] {
    at::Generator g = at::globalContext().defaultGenerator(fnf::device(device)).clone();
    g.set_current_seed(seed);
    std::lock_guard<std::mutex> lock(generators().mutex);
    *gen = generators().next++;
    generators().alive.emplace(*gen, g);
  });
}

char* fnf_generator_state(uint64_t gen, uint64_t* t) {
  return fnf::guard([&] {
    fnf::require_scope();
    *t = fnf::put(fnf::generator(gen).get_state());
  });
}

char* fnf_generator_set_state(uint64_t gen, uint64_t t) {
  return fnf::guard([&] { fnf::generator(gen).set_state(fnf::get(t).to(at::kCPU)); });
}

void fnf_generator_free(uint64_t gen) {
  std::lock_guard<std::mutex> lock(generators().mutex);
  generators().alive.erase(gen);
}

}  // extern "C"
