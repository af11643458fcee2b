// TorchScript: a program and its weights in one file, run by libtorch's interpreter.
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include "shim.h"

namespace {

torch::jit::Module& module_of(uint64_t module) {
  return *reinterpret_cast<torch::jit::Module*>(module);
}

}  // namespace

extern "C" {

char* fnf_jit_load(const char* path, const char* device, uint64_t* module) {
  return fnf::guard([&] {
    auto m = std::make_unique<torch::jit::Module>(torch::jit::load(path, fnf::device(device)));
    m->eval();
    for (at::Tensor p : m->parameters()) p.set_requires_grad(false);
    *module = reinterpret_cast<uint64_t>(m.release());
  });
}

char* fnf_jit_has(uint64_t module, const char* method, int32_t* has) {
  return fnf::guard([&] { *has = module_of(module).find_method(method) ? 1 : 0; });
}

char* fnf_jit_run(uint64_t module, const char* method, const uint64_t* ts, int64_t n,
                  uint64_t* result) {
  return fnf::guard([&] {
    fnf::require_scope();
    std::vector<c10::IValue> arguments;
    for (at::Tensor& t : fnf::get_all(ts, n)) arguments.emplace_back(std::move(t));
    c10::IValue value = module_of(module).get_method(method)(std::move(arguments));
    if (!value.isTensor())
      throw std::runtime_error("the result is of type " + value.tagKind() + ", want a tensor");
    *result = fnf::put(std::move(value).toTensor());
  });
}

void fnf_jit_close(uint64_t module) { delete reinterpret_cast<torch::jit::Module*>(module); }

}  // extern "C"
