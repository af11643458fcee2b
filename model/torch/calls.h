// The functions of shim/fnf_torch.h as Go calls them: pointers filled by dlopen, behind one static
// function each, since cgo cannot call a pointer. The table is all there is to keep up to date.
#pragma once
#include <stdlib.h>
#include <string.h>

#include "shim/fnf_torch.h"

#define FNF_CALLS(X)                                                                              \
  X(int32_t, abi, (void), ())                                                                     \
  X(const char*, torch_version, (void), ())                                                       \
  X(void, free, (char* text), (text))                                                             \
  X(char*, build_info, (char** text), (text))                                                     \
  X(char*, set_option, (const char* name, int64_t on), (name, on))                                \
  X(int64_t, threads, (void), ())                                                                 \
  X(char*, op, (const char* name, const char* overload, uint64_t* op), (name, overload, op))      \
  X(char*, op_schema, (uint64_t op, char** text), (op, text))                                     \
  X(char*, call,                                                                                  \
    (uint64_t op, const int64_t* frame, int64_t words, int64_t* out, int64_t cap, int64_t* used), \
    (op, frame, words, out, cap, used))                                                           \
  X(char*, scope_open, (void), ())                                                                \
  X(char*, scope_close, (const uint64_t* keep, int64_t n), (keep, n))                             \
  X(int64_t, scope_depth, (void), ())                                                             \
  X(char*, own, (uint64_t t), (t))                                                                \
  X(void, drop, (uint64_t t), (t))                                                                \
  X(int64_t, live, (void), ())                                                                    \
  X(char*, info, (uint64_t t, int64_t * info), (t, info))                                         \
  X(char*, from_data,                                                                             \
    (const void* data, const int64_t* sizes, int64_t dims, int64_t dtype, uint64_t* t),           \
    (data, sizes, dims, dtype, t))                                                                \
  X(char*, copy_out, (uint64_t t, void* data, int64_t bytes), (t, data, bytes))                   \
  X(char*, item, (uint64_t t, double* value), (t, value))                                         \
  X(char*, set_requires_grad, (uint64_t t, int32_t on), (t, on))                                  \
  X(int32_t, grad_mode, (int32_t on), (on))                                                       \
  X(char*, grad,                                                                                  \
    (const uint64_t* outs, const uint64_t* grad_outs, int64_t n_outs, const uint64_t* ins,        \
     int64_t n_ins, int64_t flags, uint64_t* grads),                                              \
    (outs, grad_outs, n_outs, ins, n_ins, flags, grads))                                          \
  X(char*, generator, (const char* device, uint64_t seed, uint64_t* gen), (device, seed, gen))    \
  X(char*, generator_state, (uint64_t gen, uint64_t * t), (gen, t))                               \
  X(char*, generator_set_state, (uint64_t gen, uint64_t t), (gen, t))                             \
  X(void, generator_free, (uint64_t gen), (gen))                                                  \
  X(int64_t, cuda_count, (void), ())                                                              \
  X(char*, cuda_name, (int64_t index, char** text), (index, text))                                \
  X(char*, cuda_driver, (char** text), (text))                                                    \
  X(char*, cuda_memory, (int64_t index, int64_t * memory), (index, memory))                       \
  X(char*, cuda_reset_peak, (int64_t index), (index))                                             \
  X(char*, synchronize, (const char* device), (device))                                           \
  X(char*, dist_init,                                                                             \
    (const char* backend, const char* host, int32_t port, int32_t rank, int32_t world,            \
     int32_t timeout_seconds, uint64_t* group),                                                   \
    (backend, host, port, rank, world, timeout_seconds, group))                                   \
  X(char*, dist_all_reduce, (uint64_t group, const uint64_t* ts, int64_t n), (group, ts, n))      \
  X(char*, dist_broadcast, (uint64_t group, const uint64_t* ts, int64_t n, int32_t root),         \
    (group, ts, n, root))                                                                         \
  X(char*, dist_barrier, (uint64_t group), (group))                                               \
  X(void, dist_close, (uint64_t group), (group))                                                  \
  X(char*, jit_load, (const char* path, const char* device, uint64_t* module),                    \
    (path, device, module))                                                                       \
  X(char*, jit_has, (uint64_t module, const char* method, int32_t* has), (module, method, has))   \
  X(char*, jit_run,                                                                               \
    (uint64_t module, const char* method, const uint64_t* ts, int64_t n, uint64_t* result),       \
    (module, method, ts, n, result))                                                              \
  X(void, jit_close, (uint64_t module), (module))

// Every pointer has the type of the header's prototype: a row that differs does not compile.
#define FNF_POINTER(ret, name, params, args) extern __typeof__(&fnf_##name) p_##name;
FNF_CALLS(FNF_POINTER)

#define FNF_CALL(ret, name, params, args) \
  static inline ret c_##name params { return p_##name args; }
FNF_CALLS(FNF_CALL)

// Opens the shared library at path and fills the pointers; NULL, or a malloc'ed reason. A library
// of another ABI is left with p_abi alone, so that Go can report both numbers.
char* c_open(const char* path);
