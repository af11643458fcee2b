// Shapes of what operators answer, where libtorch's C++ has no meta kernel.
#ifdef FNF_STAND_IN
#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <functional>
#include <map>

#include "standin.h"

namespace fnf::standin {
namespace {

using c10::IValue;

at::Tensor meta(at::IntArrayRef sizes, at::ScalarType type) {
  return at::empty(sizes, at::TensorOptions(at::kMeta).dtype(type));
}

at::Tensor like(const at::Tensor& t) {
  return t.defined() ? at::empty_like(t, t.options(), at::MemoryFormat::Preserve) : at::Tensor();
}

// Arguments of a call.
struct Arguments {
  const std::vector<IValue>& stack;
  size_t first;

  const IValue& operator[](size_t i) const { return stack[first + i]; }
  at::Tensor tensor(size_t i) const {
    return (*this)[i].isTensor() ? (*this)[i].toTensor() : at::Tensor();
  }
  // wanted gives a gradient like each of the arguments that the mask at `mask` asks for.
  std::vector<IValue> wanted(size_t mask, std::initializer_list<size_t> like_arguments) const {
    std::vector<IValue> out;
    auto asked = (*this)[mask].toBoolList();
    for (size_t i : like_arguments)
      out.push_back(asked[out.size()] ? like(tensor(i)) : at::Tensor());
    return out;
  }
};

using Answer = std::vector<IValue>;

Answer convolution(const Arguments& a) {
  at::Tensor x = a.tensor(0), w = a.tensor(1);
  TORCH_CHECK(x.scalar_type() == w.scalar_type(), "Input type (", x.dtype(), ") and weight type (",
              w.dtype(), ") should be the same");
  auto stride = a[3].toIntVector(), pad = a[4].toIntVector(), dilation = a[5].toIntVector();
  std::vector<int64_t> s{x.size(0), w.size(0)};
  for (size_t i = 0; i < size_t(x.dim() - 2); i++) {
    int64_t side = int64_t(i) + 2;
    s.push_back((x.size(side) + 2 * pad[i] - dilation[i] * (w.size(side) - 1) - 1) / stride[i] + 1);
  }
  return {meta(s, x.scalar_type())};
}

Answer convolution_backward(const Arguments& a) {
  auto asked = a[10].toBoolList();
  at::Tensor w = a.tensor(2);
  return {asked[0] ? like(a.tensor(1)) : at::Tensor(), asked[1] ? like(w) : at::Tensor(),
          asked[2] ? meta({w.size(0)}, w.scalar_type()) : at::Tensor()};
}

Answer group_norm(const Arguments& a) {
  at::Tensor x = a.tensor(0);
  at::Tensor statistics = meta({x.size(0), a[6].toInt()}, x.scalar_type());
  return {like(x), statistics, like(statistics)};
}

Answer layer_norm(const Arguments& a) {
  at::Tensor x = a.tensor(0);
  auto s = x.sizes().vec();
  s.back() = 1;
  return {like(x), meta(s, at::kFloat), meta(s, at::kFloat)};
}

Answer index_select(const Arguments& a) {
  at::Tensor x = a.tensor(0);
  auto s = x.sizes().vec();
  s[size_t(at::maybe_wrap_dim(a[1].toInt(), x.dim()))] = a.tensor(2).numel();
  return {meta(s, x.scalar_type())};
}

Answer where(const Arguments& a) {
  auto sizes = at::infer_size(a.tensor(0).sizes(), a.tensor(1).sizes());
  return {meta(at::infer_size(sizes, a.tensor(2).sizes()), a.tensor(1).scalar_type())};
}

Answer pad2d(const Arguments& a) {
  auto s = a.tensor(0).sizes().vec();
  auto pad = a[1].toIntVector();
  s[s.size() - 1] += pad[0] + pad[1];
  s[s.size() - 2] += pad[2] + pad[3];
  return {meta(s, a.tensor(0).scalar_type())};
}

Answer batch_norm(const Arguments& a) {
  return {like(a.tensor(0)), meta({0}, at::kFloat), meta({0}, at::kFloat)};
}

Answer first_like(const Arguments& a) { return {like(a.tensor(0))}; }

const std::map<std::string, std::function<Answer(const Arguments&)>>& answers() {
  static const std::map<std::string, std::function<Answer(const Arguments&)>> all = {
      {"aten::convolution", convolution},
      {"aten::convolution_backward", convolution_backward},
      {"aten::native_group_norm", group_norm},
      {"aten::native_group_norm_backward",
       [](const Arguments& a) {
         return a.wanted(9, {1, 4, 4});
       }},
      {"aten::native_layer_norm", layer_norm},
      {"aten::native_layer_norm_backward",
       [](const Arguments& a) {
         return a.wanted(7, {1, 5, 6});
       }},
      {"aten::native_batch_norm", batch_norm},
      {"aten::native_batch_norm_backward",
       [](const Arguments& a) {
         return Answer{like(a.tensor(1)), at::Tensor(), at::Tensor()};
       }},
      {"aten::index_select", index_select},
      {"aten::where", where},
      {"aten::reflection_pad2d", pad2d},
      {"aten::replication_pad2d", pad2d},
      {"aten::hardtanh", first_like},
      {"aten::hardtanh_backward", first_like},
      {"aten::flip", first_like},
      {"aten::abs", first_like},
      {"aten::relu", first_like},
  };
  return all;
}

}  // namespace

bool shapes_of(const c10::OperatorHandle& op, std::vector<IValue>* stack, size_t first) {
  auto known = answers().find(op.schema().name());
  if (known == answers().end()) return false;
  Arguments arguments{*stack, first};
  Answer out;
  if (op.schema().overload_name() == "out")
    out = {arguments.tensor(1).resize_(arguments.tensor(0).sizes())};
  else
    out = known->second(arguments);
  stack->resize(first);
  for (auto& v : out) stack->push_back(v);
  return true;
}

}  // namespace fnf::standin

#endif
