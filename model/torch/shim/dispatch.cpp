// Calls any operator through the c10 dispatcher. A call frame is a flat list of tagged words; the
// operator's own schema says what each value becomes (an int may be a float, a bool, a scalar or a
// one-element list) and gives the defaults of what is not named.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/util/Optional.h>
#include <torch/version.h>

#include <deque>
#include <mutex>
#include <sstream>
#include <string_view>

#include "shim.h"

namespace {

using c10::IValue;
using c10::TypeKind;

double as_double(int64_t word) {
  double d;
  memcpy(&d, &word, sizeof d);
  return d;
}

int64_t as_word(double d) {
  int64_t word;
  memcpy(&word, &d, sizeof word);
  return word;
}

// Reads words of a frame, never past its end.
struct Reader {
  const int64_t* at;
  const int64_t* end;

  bool done() const { return at == end; }
  int64_t tag() const { return *at & 0xff; }
  int64_t word() {
    if (at == end) throw std::runtime_error("the call frame ends early");
    return *at++;
  }
  std::string_view text(int64_t bytes) {
    int64_t words = (bytes + 7) / 8;
    if (bytes < 0 || end - at < words) throw std::runtime_error("the call frame ends early");
    std::string_view s(reinterpret_cast<const char*>(at), size_t(bytes));
    at += words;
    return s;
  }
};

c10::TypePtr without_optional(c10::TypePtr type) {
  while (type->kind() == TypeKind::OptionalType)
    type = type->castRaw<c10::OptionalType>()->getElementType();
  return type;
}

// The kind of a list's elements, AnyType for what is no list.
TypeKind element_kind(const c10::TypePtr& type) {
  if (type->kind() != TypeKind::ListType) return TypeKind::AnyType;
  return type->castRaw<c10::ListType>()->getElementType()->kind();
}

IValue read_int(int64_t v, const c10::TypePtr& type) {
  switch (type->kind()) {
    case TypeKind::FloatType:
      return double(v);
    case TypeKind::BoolType:
      return bool(v);
    case TypeKind::ListType:
      return c10::List<int64_t>({v});
    default:
      return v;
  }
}

IValue read_ints(Reader& r, int64_t n, const c10::TypePtr& type) {
  if (element_kind(type) == TypeKind::FloatType) {
    c10::List<double> list;
    for (int64_t i = 0; i < n; i++) list.push_back(double(r.word()));
    return list;
  }
  if (element_kind(type) == TypeKind::BoolType) {
    c10::List<bool> list;
    for (int64_t i = 0; i < n; i++) list.push_back(r.word() != 0);
    return list;
  }
  c10::List<int64_t> list;
  list.reserve(n);
  for (int64_t i = 0; i < n; i++) list.push_back(r.word());
  return list;
}

IValue read_tensors(Reader& r, int64_t n, const c10::TypePtr& type) {
  if (element_kind(type) == TypeKind::OptionalType) {
    c10::List<c10::optional<at::Tensor>> list;
    for (int64_t i = 0; i < n; i++) {
      uint64_t handle = uint64_t(r.word());
      list.push_back(handle ? c10::optional<at::Tensor>(fnf::get(handle)) : c10::nullopt);
    }
    return list;
  }
  c10::List<at::Tensor> list;
  list.reserve(n);
  for (int64_t i = 0; i < n; i++) list.push_back(fnf::get(uint64_t(r.word())));
  return list;
}

IValue read(Reader& r, const c10::Argument& argument) {
  int64_t head = r.word(), n = head >> 8;
  c10::TypePtr type = without_optional(argument.type());
  switch (head & 0xff) {
    case FNF_NONE:
      return IValue();
    case FNF_TENSOR: {
      uint64_t handle = uint64_t(r.word());
      return handle ? IValue(fnf::get(handle)) : IValue();
    }
    case FNF_INT:
      return read_int(r.word(), type);
    case FNF_FLOAT:
      return as_double(r.word());
    case FNF_BOOL:
      return r.word() != 0;
    case FNF_STRING:
      return std::string(r.text(n));
    case FNF_INTS:
      return read_ints(r, n, type);
    case FNF_FLOATS: {
      c10::List<double> list;
      for (int64_t i = 0; i < n; i++) list.push_back(as_double(r.word()));
      return list;
    }
    case FNF_TENSORS:
      return read_tensors(r, n, type);
    case FNF_DEVICE:
      return c10::Device(std::string(r.text(n)));
    case FNF_GENERATOR:
      return fnf::generator(uint64_t(r.word()));
  }
  throw std::runtime_error("unknown tag in the call frame");
}

std::string name_of(const c10::FunctionSchema& schema, const c10::Argument& argument) {
  return "argument '" + argument.name() + "' of " + schema.name();
}

// Puts the frame's values on the stack: first those by position, then those by name.
void push_arguments(const c10::FunctionSchema& schema, Reader r, torch::jit::Stack& stack) {
  const auto& arguments = schema.arguments();
  stack.reserve(arguments.size());
  while (!r.done() && r.tag() != FNF_NAME) {
    if (stack.size() == arguments.size())
      throw std::runtime_error("too many arguments for " + c10::toString(schema));
    stack.push_back(read(r, arguments[stack.size()]));
  }
  size_t positional = stack.size();
  std::vector<bool> given(arguments.size(), false);
  for (size_t i = positional; i < arguments.size(); i++)
    stack.push_back(arguments[i].default_value() ? *arguments[i].default_value() : IValue());
  while (!r.done()) {
    int64_t head = r.word();
    if ((head & 0xff) != FNF_NAME)
      throw std::runtime_error("an argument by position behind one by name");
    std::string_view name = r.text(head >> 8);
    size_t i = positional;
    while (i < arguments.size() && std::string_view(arguments[i].name()) != name) i++;
    if (i == arguments.size())
      throw std::runtime_error("no argument '" + std::string(name) + "' left in " +
                               c10::toString(schema));
    stack[i] = read(r, arguments[i]);
    given[i] = true;
  }
  for (size_t i = positional; i < arguments.size(); i++)
    if (!given[i] && !arguments[i].default_value())
      throw std::runtime_error(name_of(schema, arguments[i]) + " is missing");
}

// Writes results as pairs of tag and word.
int64_t pop_results(torch::jit::Stack& stack, int64_t* out, int64_t cap) {
  int64_t used = 0;
  auto emit = [&](int64_t tag, int64_t word) {
    if (used + 2 > cap) throw std::runtime_error("more results than there is room for");
    out[used++] = tag;
    out[used++] = word;
  };
  for (IValue& v : stack) {
    if (v.isTensor()) {
      emit(FNF_TENSOR, int64_t(fnf::put(std::move(v).toTensor())));
    } else if (v.isTensorList()) {
      for (at::Tensor& t : v.toTensorVector()) emit(FNF_TENSOR, int64_t(fnf::put(std::move(t))));
    } else if (v.isInt()) {
      emit(FNF_INT, v.toInt());
    } else if (v.isDouble()) {
      emit(FNF_FLOAT, as_word(v.toDouble()));
    } else if (v.isBool()) {
      emit(FNF_BOOL, v.toBool());
    } else if (v.isNone()) {
      emit(FNF_NONE, 0);
    } else {
      throw std::runtime_error("a result of type " + v.tagKind() + " is not carried");
    }
  }
  return used;
}

const c10::OperatorHandle& operator_of(uint64_t op) {
  return *reinterpret_cast<const c10::OperatorHandle*>(op);
}

}  // namespace

extern "C" {

const char* fnf_torch_version(void) { return TORCH_VERSION; }

char* fnf_op(const char* name, const char* overload, uint64_t* op) {
  return fnf::guard([&] {
    static std::mutex mutex;
    static std::deque<c10::OperatorHandle> found;  // a deque never moves its elements
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle) throw std::runtime_error("this libtorch (" TORCH_VERSION ") has no such operator");
    std::lock_guard<std::mutex> lock(mutex);
    found.push_back(*handle);
    *op = reinterpret_cast<uint64_t>(&found.back());
  });
}

char* fnf_op_schema(uint64_t op, char** text) {
  return fnf::guard([&] {
    std::ostringstream s;
    s << operator_of(op).schema();
    *text = strdup(s.str().c_str());
  });
}

char* fnf_call(uint64_t op, const int64_t* frame, int64_t words, int64_t* out, int64_t cap,
               int64_t* used) {
  return fnf::guard([&] {
    fnf::require_scope();
    torch::jit::Stack stack;
    push_arguments(operator_of(op).schema(), Reader{frame, frame + words}, stack);
    operator_of(op).callBoxed(&stack);
    *used = pop_results(stack, out, cap);
  });
}

}  // extern "C"
