// The C interface between Go and libtorch. It is compiled on the user's machine against their
// libtorch (1.13 to 2.x, CPU or CUDA) and loaded with dlopen; Go needs only this header to build.
//
// Every fallible function returns NULL, or a malloc'ed message that the caller frees with
// fnf_free, in the same call: a goroutine may be on another thread at its next call. Tensors are
// handles, generation << 32 | slot, so that a stale one is an error and never a crash. Handle 0 is
// "no tensor". Handles are born in the innermost scope of the calling thread.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Raised with every change of this header or of our own operators; Go refuses a library that
// answers another number.
#define FNF_ABI 3

// Tags of one value in a call frame and in results. A value is the word tag | length << 8 and its
// payload: one word, or `length` words (lists), or `length` bytes padded to words (strings).
enum fnf_tag {
  FNF_NONE,
  FNF_TENSOR,
  FNF_INT,
  FNF_FLOAT,
  FNF_BOOL,
  FNF_STRING,
  FNF_INTS,
  FNF_FLOATS,
  FNF_TENSORS,
  FNF_DEVICE,
  FNF_GENERATOR,
  FNF_NAME,  // the value behind it belongs to the argument of this name
};

// Library.
int32_t fnf_abi(void);
const char* fnf_torch_version(void);  // static text, not freed
void fnf_free(char* text);
char* fnf_build_info(char** text);                   // compiler, BLAS, oneDNN, OpenMP, CUDA
char* fnf_set_option(const char* name, int64_t on);  // threads, flush_denormal, tf32, ...
int64_t fnf_threads(void);

// Operators, through the c10 dispatcher.
char* fnf_op(const char* name, const char* overload, uint64_t* op);
char* fnf_op_schema(uint64_t op, char** text);
char* fnf_call(uint64_t op, const int64_t* frame, int64_t words, int64_t* out, int64_t cap,
               int64_t* used);

// Scopes belong to a thread. Closing one frees all that was born in it but `keep`.
char* fnf_scope_open(void);
char* fnf_scope_close(const uint64_t* keep, int64_t n);
int64_t fnf_scope_depth(void);
char* fnf_own(uint64_t t);  // takes t out of every scope of this thread
void fnf_drop(uint64_t t);
int64_t fnf_live(void);  // handles alive, over all threads

// Data. info fills {dtype, device type, device index, flags, dimensions, sizes...}; flags: 1
// requires grad, 2 contiguous, 4 has a grad_fn, 8 contiguous in channels_last.
#define FNF_MAX_DIMS 16
char* fnf_info(uint64_t t, int64_t info[5 + FNF_MAX_DIMS]);
char* fnf_from_data(const void* data, const int64_t* sizes, int64_t dims, int64_t dtype,
                    uint64_t* t);
char* fnf_copy_out(uint64_t t, void* data, int64_t bytes);
char* fnf_item(uint64_t t, double* value);

// Gradients.
char* fnf_set_requires_grad(uint64_t t, int32_t on);
int32_t fnf_grad_mode(int32_t on);  // 0 or 1 sets it for this thread, -1 asks; returns the old
#define FNF_RETAIN_GRAPH 1
#define FNF_CREATE_GRAPH 2
char* fnf_grad(const uint64_t* outs, const uint64_t* grad_outs, int64_t n_outs, const uint64_t* ins,
               int64_t n_ins, int64_t flags, uint64_t* grads);

// Random generators, one per device and stream of numbers; state is a byte tensor.
char* fnf_generator(const char* device, uint64_t seed, uint64_t* gen);
char* fnf_generator_state(uint64_t gen, uint64_t* t);
char* fnf_generator_set_state(uint64_t gen, uint64_t t);
void fnf_generator_free(uint64_t gen);

// Devices. memory fills {free, total, allocated by us, reserved by us, peak allocated} in bytes,
// -1 where this libtorch cannot tell.
int64_t fnf_cuda_count(void);
char* fnf_cuda_name(int64_t index, char** text);
char* fnf_cuda_driver(char** text);
char* fnf_cuda_memory(int64_t index, int64_t memory[5]);
char* fnf_cuda_reset_peak(int64_t index);
char* fnf_synchronize(const char* device);

// Process group over torch's c10d: gloo or nccl.
char* fnf_dist_init(const char* backend, const char* host, int32_t port, int32_t rank,
                    int32_t world, int32_t timeout_seconds, uint64_t* group);
char* fnf_dist_all_reduce(uint64_t group, const uint64_t* ts, int64_t n);  // sum, in place
char* fnf_dist_broadcast(uint64_t group, const uint64_t* ts, int64_t n, int32_t root);
char* fnf_dist_barrier(uint64_t group);
void fnf_dist_close(uint64_t group);

// TorchScript: a file that torch.jit.save wrote, its weights on the device and without gradients. A
// method takes n tensors and returns one.
char* fnf_jit_load(const char* path, const char* device, uint64_t* module);
char* fnf_jit_has(uint64_t module, const char* method, int32_t* has);
char* fnf_jit_run(uint64_t module, const char* method, const uint64_t* ts, int64_t n,
                  uint64_t* result);
void fnf_jit_close(uint64_t module);

#ifdef __cplusplus
}
#endif
