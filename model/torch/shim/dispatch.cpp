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
  const int64_t* words(int64_t n) {
    if (n < 0 || end - at < n) throw std::runtime_error("the call frame ends early");
    at += n;
    return at - n;
  }
  std::string_view text(int64_t bytes) {
    return {reinterpret_cast<const char*>(words((bytes + 7) / 8)), size_t(bytes)};
  }
};

// What an argument takes, read once from the schema: walking types costs more than small kernels.
struct Parameter {
  TypeKind kind;
  TypeKind element = TypeKind::AnyType;  // of a list

  explicit Parameter(c10::TypePtr type) : kind(TypeKind::AnyType) {
    while (type->kind() == TypeKind::OptionalType)
      type = type->castRaw<c10::OptionalType>()->getElementType();
    kind = type->kind();
    if (kind == TypeKind::ListType)
      element = type->castRaw<c10::ListType>()->getElementType()->kind();
  }
};

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;

  explicit Operator(const c10::OperatorHandle& h) : handle(h) {
    for (const auto& argument : h.schema().arguments()) parameters.emplace_back(argument.type());
  }
};

IValue read_int(int64_t v, const Parameter& p) {
  switch (p.kind) {
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

// Strides, paddings and dilations are nearly always {a, a} with a small a: those are made once.
// Operators copy their lists, so one may serve all threads.
constexpr int64_t kPairs = 4;

const IValue* small_pair(const int64_t* words, int64_t n) {
  static const std::vector<IValue> pairs = [] {
    std::vector<IValue> made;
    for (int64_t a = 0; a < kPairs; a++) made.push_back(c10::List<int64_t>({a, a}));
    return made;
  }();
  bool small = n == 2 && words[0] == words[1] && words[0] >= 0 && words[0] < kPairs;
  return small ? &pairs[size_t(words[0])] : nullptr;
}

IValue read_ints(Reader& r, int64_t n, const Parameter& p) {
  if (p.element == TypeKind::FloatType) {
    c10::List<double> list;
    for (int64_t i = 0; i < n; i++) list.push_back(double(r.word()));
    return list;
  }
  if (p.element == TypeKind::BoolType) {
    c10::List<bool> list;
    for (int64_t i = 0; i < n; i++) list.push_back(r.word() != 0);
    return list;
  }
  const int64_t* words = r.words(n);
  if (const IValue* pair = small_pair(words, n)) return *pair;
  c10::List<int64_t> list;
  list.reserve(n);
  for (int64_t i = 0; i < n; i++) list.push_back(words[i]);
  return list;
}

IValue read_tensors(Reader& r, int64_t n, const Parameter& p) {
  if (p.element == TypeKind::OptionalType) {
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

IValue read(Reader& r, const Parameter& p) {
  int64_t head = r.word(), n = head >> 8;
  switch (head & 0xff) {
    case FNF_NONE:
      return IValue();
    case FNF_TENSOR: {
      uint64_t handle = uint64_t(r.word());
      return handle ? IValue(fnf::get(handle)) : IValue();
    }
    case FNF_INT:
      return read_int(r.word(), p);
    case FNF_FLOAT:
      return as_double(r.word());
    case FNF_BOOL:
      return r.word() != 0;
    case FNF_STRING:
      return std::string(r.text(n));
    case FNF_INTS:
      return read_ints(r, n, p);
    case FNF_FLOATS: {
      c10::List<double> list;
      for (int64_t i = 0; i < n; i++) list.push_back(as_double(r.word()));
      return list;
    }
    case FNF_TENSORS:
      return read_tensors(r, n, p);
    case FNF_DEVICE:
      return fnf::device(std::string(r.text(n)));
    case FNF_GENERATOR:
      return fnf::generator(uint64_t(r.word()));
  }
  throw std::runtime_error("unknown tag in the call frame");
}

std::string name_of(const c10::FunctionSchema& schema, const c10::Argument& argument) {
  return "argument '" + argument.name() + "' of " + schema.name();
}

// Puts the frame's values on the stack: first those by position, then those by name.
void push_arguments(const Operator& op, Reader r, torch::jit::Stack& stack) {
  const c10::FunctionSchema& schema = op.handle.schema();
  const auto& arguments = schema.arguments();
  while (!r.done() && r.tag() != FNF_NAME) {
    if (stack.size() == arguments.size())
      throw std::runtime_error("too many arguments for " + c10::toString(schema));
    stack.push_back(read(r, op.parameters[stack.size()]));
  }
  size_t positional = stack.size();
  if (r.done() && positional == arguments.size()) return;
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
    stack[i] = read(r, op.parameters[i]);
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

const Operator& operator_of(uint64_t op) { return *reinterpret_cast<const Operator*>(op); }

}  // namespace

extern "C" {

const char* fnf_torch_version(void) { return TORCH_VERSION; }

char* fnf_op(const char* name, const char* overload, uint64_t* op) {
  return fnf::guard([&] {
    static std::mutex mutex;
    static std::deque<Operator> found;  // a deque never moves its elements
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle) throw std::runtime_error("this libtorch (" TORCH_VERSION ") has no such operator");
    std::lock_guard<std::mutex> lock(mutex);
    found.emplace_back(*handle);
    *op = reinterpret_cast<uint64_t>(&found.back());
  });
}

char* fnf_op_schema(uint64_t op, char** text) {
  return fnf::guard([&] {
    std::ostringstream s;
    s << operator_of(op).handle.schema();
    *text = strdup(s.str().c_str());
  });
}

char* fnf_call(uint64_t op, const int64_t* frame, int64_t words, int64_t* out, int64_t cap,
               int64_t* used) {
  return fnf::guard([&] {
    fnf::require_scope();
    static thread_local torch::jit::Stack stack;  // keeps its capacity
    stack.clear();
    push_arguments(operator_of(op), Reader{frame, frame + words}, stack);
    operator_of(op).handle.callBoxed(&stack);
    *used = pop_results(stack, out, cap);
    stack.clear();
  });
}

}  // extern "C"
