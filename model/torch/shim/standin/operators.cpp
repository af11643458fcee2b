// Every operator on the stand-in goes through one boxed function, `run`: it checks that tensors lie
// on one device, opens their memory, runs the CPU's kernel on it, and closes the memory again.
#ifdef FNF_STAND_IN
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/NativeFunctions.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <map>
#include <set>

#include "standin.h"

namespace fnf::standin {
namespace {

using c10::IValue;
using Storages = std::map<void*, c10::Storage>;

// host_in is host, with one storage for all tensors that share one, so that operators see which
// arguments overlap. A tensor without memory gets one that can grow.
at::Tensor host_in(const at::Tensor& t, Storages& storages) {
  if (t.storage().nbytes() == 0)
    return at::empty_strided(t.sizes(), t.strides(), t.options().device(at::kCPU));
  void* base = t.storage().data_ptr().get();
  auto it = storages.find(base);
  if (it == storages.end()) {
    c10::DataPtr data(base, c10::Device(at::kCPU));
    c10::Storage storage(c10::Storage::use_byte_size_t(), t.storage().nbytes(), std::move(data),
                         nullptr, false);
    it = storages.emplace(base, std::move(storage)).first;
  }
  auto x = at::detail::make_tensor<at::TensorImpl>(
      c10::Storage(it->second), c10::DispatchKeySet(c10::DispatchKey::CPU), t.dtype());
  x.unsafeGetTensorImpl()->set_storage_offset(t.storage_offset());
  x.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides());
  return x;
}

at::Tensor view_of(const at::Tensor& t, at::IntArrayRef sizes, at::IntArrayRef strides,
                   int64_t offset) {
  auto x = at::detail::make_tensor<at::TensorImpl>(
      c10::Storage(t.storage()), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), t.dtype());
  x.unsafeGetTensorImpl()->set_storage_offset(offset);
  x.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return x;
}

// Operators that take tensors of the CPU beside those of the device on CUDA, too.
bool takes_both(const std::string& name) {
  static const std::set<std::string> names = {"aten::index.Tensor", "aten::index.Tensor_out",
                                              "aten::index_put_", "aten::_index_put_impl_"};
  return names.count(name) > 0;
}

// Call is one operator at work: its arguments on the device, and what stands for them on the CPU.
struct Call {
  const c10::OperatorHandle& op;
  torch::jit::Stack* stack;
  size_t first;  // of the arguments on the stack
  c10::Device device{kType, current()};
  std::vector<at::Tensor> given, cpu;  // pairs, in the order of the arguments
  std::vector<bool> written;           // whether the operator changes them
  at::Generator generator, drawn;      // of the device, and the CPU's that draws for it
  Storages storages;
  Open open;
  int64_t bytes = 0;

  Call(const c10::OperatorHandle& o, torch::jit::Stack* s)
      : op(o), stack(s), first(s->size() - o.schema().arguments().size()) {}

  std::string name() const { return c10::toString(op.operator_name()); }
  const c10::Argument& argument(size_t i) const { return op.schema().arguments()[i]; }

  // The first tensor of the device says which one works.
  void choose_device() {
    for (size_t i = first; i < stack->size(); i++) {
      bool found = false;
      IValue v = (*stack)[i];
      each(v, [&](const at::Tensor& t) {
        if (!found && ours(t)) device = t.device(), found = true;
        return t;
      });
      if (found) return;
    }
    for (size_t i = first; i < stack->size(); i++)
      if ((*stack)[i].isDevice() && (*stack)[i].toDevice().type() == kType)
        device = c10::Device(kType, std::max<c10::DeviceIndex>(0, (*stack)[i].toDevice().index()));
  }

  at::Tensor take(size_t i, const at::Tensor& t) {
    if (!t.defined()) return t;
    if (t.device() != device) {
      bool number = t.device().is_cpu() && t.dim() == 0 &&
                    (t.unsafeGetTensorImpl()->is_wrapped_number() || op.hasTag(at::Tag::pointwise));
      if (number || (t.device().is_cpu() && takes_both(name()))) return t;
      refuse(t, device, argument(i).name(), name());
    }
    const auto* alias = argument(i).alias_info();
    bool writes = alias && alias->isWrite();
    for (size_t k = 0; k < given.size(); k++)
      if (given[k].is_same(t)) {
        written[k] = written[k] || writes;
        return cpu[k];
      }
    open.add(t);
    bytes += int64_t(t.nbytes());
    given.push_back(t);
    cpu.push_back(settings().shapes
                      ? at::empty_strided(t.sizes(), t.strides(), t.options().device(at::kMeta))
                      : widened(host_in(t, storages)));
    written.push_back(writes);
    return cpu.back();
  }

  // each replaces the tensors of a value by what f makes of them.
  template <class F>
  static void each(IValue& v, F&& f) {
    if (v.isTensor()) {
      v = f(v.toTensor());
    } else if (v.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& t : v.toTensorVector()) list.push_back(f(t));
      v = list;
    } else if (v.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const auto& t : v.toOptionalTensorVector())
        list.push_back(t ? std::optional<at::Tensor>(f(*t)) : t);
      v = list;
    }
  }

  void take_generator(IValue& v) {
    generator = v.toGenerator();
    TORCH_CHECK(generator.device().type() == kType,
                "Expected a 'cuda' device type for generator but found '", generator.device(),
                "' (", name(), ")");
    drawn = at::detail::createCPUGenerator();
    drawn.set_state(generator.get_state());
    v = drawn;
  }

  void arguments() {
    choose_device();
    for (size_t i = 0; i < op.schema().arguments().size(); i++) {
      IValue& v = (*stack)[first + i];
      each(v, [&](const at::Tensor& t) { return take(i, t); });
      if (v.isGenerator()) {
        take_generator(v);
      } else if (v.isDevice() && v.toDevice().type() == kType) {
        v = c10::Device(settings().shapes ? at::kMeta : at::kCPU);
      }
    }
  }

  // result is a kernel's answer as a tensor of the device.
  at::Tensor result(at::Tensor r, size_t i) {
    if (!r.defined()) return r;
    for (size_t k = 0; k < cpu.size(); k++) {
      if (cpu[k].is_same(r)) return given[k];
      if (!settings().shapes && r.has_storage() && cpu[k].storage().nbytes() &&
          cpu[k].storage().data_ptr().get() == r.storage().data_ptr().get())
        return view_of(given[k], r.sizes(), r.strides(), r.storage_offset());
    }
    // Statistics stay in float32, whatever the type of the image.
    bool statistics = i > 0 && op.schema().name() == "aten::native_layer_norm";
    bool computed_wide = !given.empty() && half(given[0]) && r.scalar_type() == at::kFloat;
    if (!settings().shapes && computed_wide && !statistics) r = r.to(given[0].scalar_type());
    bytes += int64_t(r.nbytes());
    return adopt(r, device);
  }

  // What was written elsewhere goes to the device: outputs that had no memory and have grown, and
  // those of a half type.
  void write_back() {
    if (drawn.defined()) generator.set_state(drawn.get_state());
    for (size_t k = 0; k < cpu.size(); k++) {
      bool grown = given[k].numel() == 0 && cpu[k].numel() > 0;
      if (grown) given[k].resize_(cpu[k].sizes());
      if (settings().shapes || !(grown || (written[k] && half(given[k])))) continue;
      Open o;
      o.add(given[k]);
      host_in(given[k], storages).copy_(cpu[k]);
    }
  }

  void results() {
    size_t n = op.schema().returns().size();
    for (size_t i = 0; i < n; i++)
      each((*stack)[stack->size() - n + i], [&](const at::Tensor& t) { return result(t, i); });
  }

  // Whether all answers are arguments that the kernel writes to: with shapes only there is nothing
  // to do for it.
  bool writes_only() const {
    const auto& returns = op.schema().returns();
    for (const auto& r : returns)
      if (!r.alias_info() || !r.alias_info()->isWrite()) return false;
    for (const at::Tensor& t : given)
      if (t.numel() == 0) return false;
    return !returns.empty();
  }

  void answer_written() {
    std::vector<IValue> answers;
    for (const auto& r : op.schema().returns())
      for (size_t i = 0; i < op.schema().arguments().size(); i++) {
        const auto* a = argument(i).alias_info();
        if (a && a->isWrite() && a->beforeSets() == r.alias_info()->beforeSets())
          answers.push_back((*stack)[first + i]);
      }
    stack->resize(first);
    for (auto& v : answers) stack->push_back(v);
  }
};

void run(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  at::AutoDispatchBelowADInplaceOrView below;
  Call call(op, stack);
  call.arguments();
  c10::DeviceGuard guard(call.device);
  if (settings().shapes && call.writes_only()) {
    call.answer_written();
  } else if (!settings().shapes || !shapes_of(op, stack, call.first)) {
    op.callBoxed(stack);
  }
  call.write_back();
  call.results();
  note("op", call.name(), call.bytes, call.device.index());
}

c10::Device place(std::optional<c10::Device> device) {
  if (!device || !device->has_index()) return {kType, current()};
  require(device->index());
  return *device;
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride,
                         std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<c10::Device> device, std::optional<bool>) {
  c10::DeviceGuard guard(place(device));
  return at::detail::empty_strided_generic(size, stride, c10::GetAllocator(kType),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>, std::optional<c10::Device> device,
                 std::optional<bool> pin, std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!pin.value_or(false), "Only dense CPU tensors can be pinned");
  c10::DeviceGuard guard(place(device));
  return at::detail::empty_generic(size, c10::GetAllocator(kType),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor as_strided(const at::Tensor& t, at::IntArrayRef size, at::IntArrayRef stride,
                      std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(t, size, stride, offset);
}

at::Tensor view(const at::Tensor& t, c10::SymIntArrayRef size) {
  return at::native::view(t, C10_AS_INTARRAYREF_SLOW(size));
}

at::Tensor reshape_alias(const at::Tensor& t, at::IntArrayRef size, at::IntArrayRef stride) {
  return at::native::_reshape_alias(t, size, stride);
}

at::Tensor unfold(const at::Tensor& t, int64_t dim, int64_t size, int64_t step) {
  return at::native::unfold(t, dim, size, step);
}

const at::Tensor& resize(const at::Tensor& t, c10::SymIntArrayRef size,
                         std::optional<at::MemoryFormat> format) {
  auto sizes = C10_AS_INTARRAYREF_SLOW(size);
  if (t.sizes() == sizes) return t;
  auto layout = format.value_or(at::MemoryFormat::Contiguous);
  at::Tensor fresh = at::empty(sizes, t.options().memory_format(layout));
  if (fresh.storage().nbytes() > t.storage().nbytes()) {
    auto& storage = *t.storage().unsafeGetStorageImpl();
    auto& other = *fresh.storage().unsafeGetStorageImpl();
    storage.set_data_ptr(other.set_data_ptr(c10::DataPtr(nullptr, t.device())));
    storage.set_nbytes(fresh.storage().nbytes());
  }
  t.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
  return t;
}

at::Tensor& set(at::Tensor& t, at::Storage source, int64_t offset, at::IntArrayRef size,
                at::IntArrayRef stride) {
  t.unsafeGetTensorImpl()->set_storage_keep_dtype(std::move(source));
  t.unsafeGetTensorImpl()->set_storage_offset(offset);
  t.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride);
  return t;
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  Open open;
  if (ours(from)) open.add(from);
  if (ours(to)) open.add(to);
  if (!settings().shapes) {
    at::AutoDispatchBelowADInplaceOrView below;
    at::Tensor target = ours(to) ? host(to) : to;
    target.copy_(ours(from) ? host(from) : from);
  } else if (!ours(to)) {
    at::Tensor(to).zero_();
  }
  const char* kind = !ours(from) ? "to device" : ours(to) ? "op" : "to host";
  note(kind, "aten::_copy_from", int64_t(to.nbytes()),
       ours(to) ? to.device().index() : from.device().index());
  return to;
}

at::Scalar item(const at::Tensor& t) {
  note("item", "aten::_local_scalar_dense", t.element_size(), t.device().index());
  if (settings().shapes)  // any number that a loop over numbers survives
    return c10::isFloatingType(t.scalar_type()) ? at::Scalar(0.5) : at::Scalar(0);
  Open open;
  open.add(t);
  return at::_local_scalar_dense(host(t));
}

}  // namespace

at::Tensor host(const at::Tensor& t) {
  Storages storages;
  return host_in(t, storages);
}

at::Tensor adopt(const at::Tensor& answer, c10::Device device) {
  at::Tensor out =
      at::empty_strided(answer.sizes(), answer.strides(), answer.options().device(device));
  if (settings().shapes || !answer.numel()) return out;
  Open open;
  open.add(out);
  memcpy(out.mutable_data_ptr(), answer.const_data_ptr(), out.storage().nbytes());
  return out;
}

at::Tensor widened(const at::Tensor& t) { return half(t) ? t.to(at::kFloat) : t; }

void refuse(const at::Tensor& t, c10::Device device, const std::string& argument,
            const std::string& op) {
  auto shown = [](c10::Device d) {
    return d.type() == kType ? "cuda:" + std::to_string(d.index()) : d.str();
  };
  TORCH_CHECK(false,
              "Expected all tensors to be on the same device, but found at least two devices, ",
              shown(device), " and ", shown(t.device()), "! (when checking argument ", argument,
              " of ", op, ", shape ", t.sizes(), ")");
}

void register_operators() {
  using torch::CppFunction;
  using torch::Library;
  static Library all(Library::IMPL, "_", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  all.fallback(CppFunction::makeFromBoxedFunction<&run>());
  static Library m(Library::IMPL, "aten", c10::DispatchKey::PrivateUse1, __FILE__, __LINE__);
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("unfold", unfold);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage_storage_offset", set);
  m.impl("_copy_from", copy_from);
  m.impl("_local_scalar_dense", item);
  // These would be taken apart into other operators.
  for (const char* name :
       {"convolution", "convolution_backward", "native_group_norm", "native_layer_norm"})
    m.impl(name, CppFunction::makeFromBoxedFunction<&run>());
}

}  // namespace fnf::standin

#endif
