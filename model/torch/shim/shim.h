// What the files of the shim share.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "fnf_torch.h"

namespace fnf {

// Returns the tensor behind a handle, holding a reference of its own, so that a scope closed at the
// same moment by another thread cannot free it under the operator.
at::Tensor get(uint64_t handle);

// Like get, with handle 0 as an undefined tensor.
at::Tensor get_optional(uint64_t handle);
std::vector<at::Tensor> get_all(const uint64_t* handles, int64_t n);

// Gives a tensor a handle in the innermost scope of this thread; an undefined one gets 0.
uint64_t put(at::Tensor tensor);

// Throws where no scope is open on this thread.
void require_scope();

at::Generator generator(uint64_t handle);

// The device of that name; where the stand-in is on (standin/standin.h), it answers to "cuda".
c10::Device device(const std::string& name);

// Reports whether d is a GPU, or what stands in for one.
bool is_gpu(c10::Device d);

// Runs body and returns NULL, or what it threw as text.
template <class Body>
char* guard(Body&& body) {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& e) {
    return strdup(e.what_without_backtrace());
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

}  // namespace fnf
