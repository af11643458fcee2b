// What our operators on images share: group_norm.cpp and upsample.cpp register them in the
// namespace fnf of the dispatcher. They are for channels-last memory on the CPU, in float32 and
// bfloat16, where libtorch's own kernels are slow (docs/decisions/0005-picture-operators.md);
// everything else goes to libtorch.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "parallel.h"
#include "vector.h"

namespace fnf {

// ours reports whether the kernels here take a tensor.
inline bool ours(const at::Tensor& x) {
  return x.device().is_cpu() && x.dim() == 4 && x.numel() > 0 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

}  // namespace fnf
