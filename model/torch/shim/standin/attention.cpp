// Attention in one operator, as CUDA has it: no scores are kept.
#ifdef FNF_STAND_IN
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/native/DispatchStub.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/transformers/sdp_utils_cpp.h>
#include <torch/library.h>

#include "standin.h"

namespace fnf::standin {
namespace {

using at::Tensor;
using Bias = std::optional<Tensor>;

int64_t choose(const Tensor&, const Tensor&, const Tensor&, const Bias&, double, bool,
               std::optional<double>, bool) {
  return static_cast<int64_t>(sdp::SDPBackend::overrideable);
}

Tensor opened(Open& open, const Tensor& t) {
  open.add(t);
  return widened(host(t));
}

Bias opened_bias(Open& open, const Tensor& bias) {
  return bias.defined() ? Bias(opened(open, bias)) : std::nullopt;
}

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias) {
  for (const Tensor& t : {k, v, bias})
    if (t.defined() && t.device() != q.device())
      refuse(t, q.device(), "key, value or mask", "scaled_dot_product_attention");
  TORCH_CHECK(!bias.defined() || bias.scalar_type() == q.scalar_type(),
              "Expected attn_mask dtype to match query dtype");
}

using Attended =
    std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;

Attended attend(const Tensor& q, const Tensor& k, const Tensor& v, const Bias& given,
                double dropout, bool causal, bool, std::optional<double> scale) {
  Tensor bias = given.value_or(Tensor());
  check(q, k, v, bias);
  note("op", "attention", int64_t(2 * q.nbytes() + k.nbytes() + v.nbytes()), q.device().index());
  auto sizes = q.sizes().vec();
  sizes.back() = v.size(-1);
  Tensor out, sums;
  if (settings().shapes) {
    out = at::empty({sizes[0], sizes[2], sizes[1], sizes[3]}, q.options()).transpose(1, 2);
    sums = at::empty({sizes[0], sizes[1], sizes[2]}, q.options().dtype(at::kFloat));
  } else {
    Open open;
    at::AutoDispatchBelowADInplaceOrView below;
    auto [o, l] = at::_scaled_dot_product_flash_attention_for_cpu(opened(open, q), opened(open, k),
                                                                  opened(open, v), dropout, causal,
                                                                  opened_bias(open, bias), scale);
    out = adopt(o.to(q.scalar_type()), q.device());
    sums = adopt(l, q.device());
  }
  return {out,           sums,     Tensor(), Tensor(), q.sym_size(2),
          k.sym_size(2), Tensor(), Tensor(), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> attend_back(
    const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
    std::array<bool, 4>, const Tensor& out, const Tensor& sums, const Tensor&, const Tensor&,
    c10::SymInt, c10::SymInt, double dropout, bool causal, const Tensor&, const Tensor&,
    std::optional<double> scale) {
  note("op", "attention_backward", int64_t(4 * q.nbytes() + 2 * k.nbytes() + 2 * v.nbytes()),
       q.device().index());
  if (settings().shapes) return {at::empty_like(q), at::empty_like(k), at::empty_like(v), Tensor()};
  Open open;
  open.add(sums);
  at::AutoDispatchBelowADInplaceOrView below;
  auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      opened(open, grad), opened(open, q), opened(open, k), opened(open, v), opened(open, out),
      host(sums), dropout, causal, opened_bias(open, bias), scale);
  auto narrow = [&](const Tensor& t) { return adopt(t.to(q.scalar_type()), q.device()); };
  return {narrow(dq), narrow(dk), narrow(dv), Tensor()};
}

}  // namespace

void register_attention() {
  using torch::Library;
  static Library m(Library::IMPL, "aten", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  m.impl("_scaled_dot_product_fused_attention_overrideable", attend);
  m.impl("_scaled_dot_product_fused_attention_overrideable_backward", attend_back);
  at::native::_fused_sdp_choice_stub.set_privateuse1_dispatch_ptr(&choose);
}

}  // namespace fnf::standin

#endif
