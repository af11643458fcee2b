// Sixteen numbers at once, in the vector types of GCC and Clang: the compiler splits them for what
// the processor has. FNF_CLONES compiles a function for several processors; which one runs is
// chosen when the library is loaded, as the machine that compiles need not be the one that runs.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#define FNF_INLINE static inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FNF_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), flatten))
#else
#define FNF_CLONES __attribute__((flatten))
#endif

namespace fnf {

constexpr int64_t kLanes = 16;

typedef float floats __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

// bfloat is a bfloat16: the upper half of a float32.
struct bfloat {
  uint16_t bits;
};

// Calls f(lanes, first channel) for all channels; lanes is a constant where they fill a vector.
template <class F>
FNF_INLINE void each_lanes(int64_t C, F&& f) {
  int64_t c = 0;
  for (; c + kLanes <= C; c += kLanes) f(std::integral_constant<int64_t, kLanes>{}, c);
  if (c < C) f(C - c, c);
}

// load reads n of kLanes numbers; the others are 0. n is a constant kLanes where it matters.
FNF_INLINE floats load(const float* from, int64_t n) {
  floats v = {};
  memcpy(&v, from, size_t(n) * sizeof *from);
  return v;
}

FNF_INLINE floats load(const bfloat* from, int64_t n) {
  halves h = {};
  memcpy(&h, from, size_t(n) * sizeof *from);
  return floats(__builtin_convertvector(h, words) << 16);
}

FNF_INLINE void store(float* to, floats v, int64_t n) { memcpy(to, &v, size_t(n) * sizeof *to); }

// Rounds to the nearest, ties to even; not-a-number stays one.
FNF_INLINE void store(bfloat* to, floats v, int64_t n) {
  words u = words(v), rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  words bits = v == v ? rounded : rounded | 0x7fc0;
  halves h = __builtin_convertvector(bits, halves);
  memcpy(to, &h, size_t(n) * sizeof *to);
}

// 1 / (1 + e^-x), to 4e-7 of it. e^-x is 2^n by the exponent's bits, the rest by the polynomial of
// Cephes' expf. Not-a-number stays one.
FNF_INLINE floats sigmoid(floats x) {
  floats most = x - x + 87.0f, y = -x;
  y = y > most ? most : y;
  y = y < -most ? -most : y;
  floats n = y * 1.44269504f + 12582912.0f;  // 1.5·2^23: rounds to a whole number
  words shift = words(n) << 23;
  n -= 12582912.0f;
  floats r = y - n * 0.693359375f + n * 2.12194440e-4f;
  floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return 1.0f / (1.0f + floats(words(p) + shift));
}

}  // namespace fnf
