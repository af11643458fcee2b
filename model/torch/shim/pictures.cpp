// Two operators on pictures that a UNet and a VAE spend much of a CPU's time in, for channels-last
// memory, float32 and bfloat16:
//
//   fnf::group_norm_act    group normalization, with SiLU behind it where asked
//   fnf::upsample_double   every pixel twice in both directions
//
// libtorch's own kernels are made for the other layout (its backward pass of group_norm is 5 to 20
// times slower here) and pass over memory once more for SiLU. Everything else goes to libtorch.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>

#include "parallel.h"
#include "vector.h"

namespace {

using fnf::floats;

constexpr int64_t kPixels = 512;  // of a chunk: what one task does

// Shape of a channels-last picture [B,C,H,W] in chunks.
struct Walk {
  int64_t B, C, pixels, chunks;
  explicit Walk(const at::Tensor& x)
      : B(x.size(0)), C(x.size(1)), pixels(x.size(2) * x.size(3)), chunks((pixels + kPixels - 1) / kPixels) {}
  int64_t rows(int64_t chunk) const { return std::min(kPixels, pixels - chunk * kPixels); }
  int64_t offset(int64_t b, int64_t chunk) const { return (b * pixels + chunk * kPixels) * C; }
};

// Calls f(lanes, first channel) for all channels; lanes is a constant where they fill a vector.
template <class F>
FNF_INLINE void each_lanes(int64_t C, F&& f) {
  int64_t c = 0;
  for (; c + fnf::kLanes <= C; c += fnf::kLanes) f(std::integral_constant<int64_t, fnf::kLanes>{}, c);
  if (c < C) f(C - c, c);
}

// Sums of x and of its square over the pixels of a chunk, [C] each.
template <class T>
FNF_INLINE void moments(const T* x, int64_t rows, int64_t C, float* sum, float* square) {
  each_lanes(C, [&](auto lanes, int64_t first) {
    floats s = {}, q = {};
    const T* at = x + first;
    for (int64_t r = 0; r < rows; r++, at += C) {
      floats v = fnf::load(at, lanes);
      s += v;
      q += v * v;
    }
    fnf::store(sum + first, s, lanes);
    fnf::store(square + first, q, lanes);
  });
}

// y = act(a·x + b), a and b for each channel.
template <class T>
FNF_INLINE void apply(const T* x, T* y, int64_t rows, int64_t C, const float* a, const float* b, bool silu) {
  each_lanes(C, [&](auto lanes, int64_t first) {
    floats scale = fnf::load(a + first, lanes), shift = fnf::load(b + first, lanes);
    for (int64_t r = 0, at = first; r < rows; r++, at += C) {
      floats z = scale * fnf::load(x + at, lanes) + shift;
      fnf::store(y + at, silu ? z * fnf::sigmoid(z) : z, lanes);
    }
  });
}

// dz = dy·act'(a·x + b), and its sums with x and alone over the pixels of a chunk.
template <class T>
FNF_INLINE void to_norm(const T* x, const T* dy, T* dz, int64_t rows, int64_t C, const float* a, const float* b,
                        bool silu, float* with_x, float* alone) {
  each_lanes(C, [&](auto lanes, int64_t first) {
    floats scale = fnf::load(a + first, lanes), shift = fnf::load(b + first, lanes), s = {}, q = {};
    for (int64_t r = 0, at = first; r < rows; r++, at += C) {
      floats v = fnf::load(x + at, lanes), d = fnf::load(dy + at, lanes);
      if (silu) {
        floats z = scale * v + shift, p = fnf::sigmoid(z);
        d *= p * (1 + z * (1 - p));
      }
      s += d * v;
      q += d;
      fnf::store(dz + at, d, lanes);
    }
    fnf::store(with_x + first, s, lanes);
    fnf::store(alone + first, q, lanes);
  });
}

// dx = a·dz + k·x + m in place of dz.
template <class T>
FNF_INLINE void from_norm(const T* x, T* dz, int64_t rows, int64_t C, const float* a, const float* k, const float* m) {
  each_lanes(C, [&](auto lanes, int64_t first) {
    floats scale = fnf::load(a + first, lanes), slope = fnf::load(k + first, lanes), rest = fnf::load(m + first, lanes);
    for (int64_t r = 0, at = first; r < rows; r++, at += C)
      fnf::store(dz + at, scale * fnf::load(dz + at, lanes) + slope * fnf::load(x + at, lanes) + rest, lanes);
  });
}

// One body for every instruction set: the templates above are inlined into these.
#define FNF_KERNELS(T)                                                                                             \
  FNF_CLONES void run_moments(const T* x, int64_t rows, int64_t C, float* sum, float* square) {                    \
    moments(x, rows, C, sum, square);                                                                              \
  }                                                                                                                \
  FNF_CLONES void run_apply(const T* x, T* y, int64_t rows, int64_t C, const float* a, const float* b, bool act) { \
    if (act)                                                                                                       \
      apply(x, y, rows, C, a, b, true);                                                                            \
    else                                                                                                           \
      apply(x, y, rows, C, a, b, false);                                                                           \
  }                                                                                                                \
  FNF_CLONES void run_to_norm(const T* x, const T* dy, T* dz, int64_t rows, int64_t C, const float* a,             \
                              const float* b, bool act, float* s, float* q) {                                      \
    if (act)                                                                                                       \
      to_norm(x, dy, dz, rows, C, a, b, true, s, q);                                                               \
    else                                                                                                           \
      to_norm(x, dy, dz, rows, C, a, b, false, s, q);                                                              \
  }                                                                                                                \
  FNF_CLONES void run_from_norm(const T* x, T* dz, int64_t rows, int64_t C, const float* a, const float* k,        \
                                const float* m) {                                                                  \
    from_norm(x, dz, rows, C, a, k, m);                                                                            \
  }
FNF_KERNELS(float)
FNF_KERNELS(fnf::bfloat)

// Sums over chunks of what `parts` [B,chunks,2,C] holds, in double: [B,2,C].
std::vector<double> gather(const std::vector<float>& parts, const Walk& w) {
  std::vector<double> sums(size_t(w.B * 2 * w.C));
  for (int64_t i = 0; i < w.B * w.chunks; i++)
    for (int64_t c = 0; c < 2 * w.C; c++) sums[size_t(i / w.chunks * 2 * w.C + c)] += parts[size_t(i * 2 * w.C + c)];
  return sums;
}

struct Groups {
  std::vector<double> mean, rstd;  // [B,groups]
  std::vector<float> a, b;         // [B,C]: the norm is a·x + b
};

template <class T>
Groups find_groups(const T* x, const Walk& w, int64_t groups, const float* weight, const float* bias, double eps) {
  std::vector<float> parts(size_t(w.B * w.chunks * 2 * w.C));
  fnf::parallel(w.B * w.chunks, [&](int64_t i) {
    int64_t b = i / w.chunks, chunk = i % w.chunks;
    float* sums = &parts[size_t(i * 2 * w.C)];
    run_moments(x + w.offset(b, chunk), w.rows(chunk), w.C, sums, sums + w.C);
  });
  std::vector<double> sums = gather(parts, w);
  Groups g;
  int64_t width = w.C / groups;
  double n = double(width * w.pixels);
  for (int64_t b = 0; b < w.B; b++) {
    for (int64_t group = 0; group < groups; group++) {
      double sum = 0, square = 0;
      for (int64_t c = group * width; c < (group + 1) * width; c++) {
        sum += sums[size_t(b * 2 * w.C + c)];
        square += sums[size_t((b * 2 + 1) * w.C + c)];
      }
      double mean = sum / n, rstd = 1 / std::sqrt(std::max(0.0, square / n - mean * mean) + eps);
      g.mean.push_back(mean);
      g.rstd.push_back(rstd);
      for (int64_t c = group * width; c < (group + 1) * width; c++) {
        double a = rstd * weight[c];
        g.a.push_back(float(a));
        g.b.push_back(float(bias[c] - mean * a));
      }
    }
  }
  return g;
}

template <class T>
at::Tensor forward(const at::Tensor& x, int64_t groups, const at::Tensor& weight, const at::Tensor& bias, double eps,
                   bool silu) {
  Walk w(x);
  const T* in = reinterpret_cast<const T*>(x.data_ptr());
  Groups g = find_groups(in, w, groups, weight.data_ptr<float>(), bias.data_ptr<float>(), eps);
  at::Tensor y = at::empty_like(x);
  T* out = reinterpret_cast<T*>(y.data_ptr());
  fnf::parallel(w.B * w.chunks, [&](int64_t i) {
    int64_t b = i / w.chunks, chunk = i % w.chunks, at = w.offset(b, chunk);
    run_apply(in + at, out + at, w.rows(chunk), w.C, &g.a[size_t(b * w.C)], &g.b[size_t(b * w.C)], silu);
  });
  return y;
}

// Gradients at x, weight and bias, the last two [C] float32.
template <class T>
std::array<at::Tensor, 3> backward(const at::Tensor& dy, const at::Tensor& x, int64_t groups, const at::Tensor& weight,
                                   const at::Tensor& bias, double eps, bool silu) {
  Walk w(x);
  const T* in = reinterpret_cast<const T*>(x.data_ptr());
  const T* upstream = reinterpret_cast<const T*>(dy.data_ptr());
  const float* scale = weight.data_ptr<float>();
  Groups g = find_groups(in, w, groups, scale, bias.data_ptr<float>(), eps);
  at::Tensor dx = at::empty_like(x);
  T* out = reinterpret_cast<T*>(dx.data_ptr());
  std::vector<float> parts(size_t(w.B * w.chunks * 2 * w.C));
  fnf::parallel(w.B * w.chunks, [&](int64_t i) {
    int64_t b = i / w.chunks, chunk = i % w.chunks, at = w.offset(b, chunk);
    float* sums = &parts[size_t(i * 2 * w.C)];
    run_to_norm(in + at, upstream + at, out + at, w.rows(chunk), w.C, &g.a[size_t(b * w.C)], &g.b[size_t(b * w.C)],
                silu, sums, sums + w.C);
  });
  std::vector<double> sums = gather(parts, w);
  at::Tensor dweight = at::zeros({w.C}), dbias = at::zeros({w.C});
  std::vector<float> k(size_t(w.B * w.C)), m(size_t(w.B * w.C));
  int64_t width = w.C / groups;
  double n = double(width * w.pixels);
  for (int64_t i = 0; i < w.B * groups; i++) {
    int64_t b = i / groups, first = i % groups * width;
    double mean = g.mean[size_t(i)], rstd = g.rstd[size_t(i)], with_x = 0, alone = 0;
    for (int64_t c = first; c < first + width; c++) {
      double sx = sums[size_t(b * 2 * w.C + c)], s = sums[size_t((b * 2 + 1) * w.C + c)];
      with_x += sx * scale[c];
      alone += s * scale[c];
      dweight.data_ptr<float>()[c] += float(rstd * (sx - mean * s));
      dbias.data_ptr<float>()[c] += float(s);
    }
    double slope = -rstd * rstd * rstd * (with_x - mean * alone) / n, rest = -rstd * alone / n - mean * slope;
    std::fill_n(&k[size_t(b * w.C + first)], width, float(slope));
    std::fill_n(&m[size_t(b * w.C + first)], width, float(rest));
  }
  fnf::parallel(w.B * w.chunks, [&](int64_t i) {
    int64_t b = i / w.chunks, chunk = i % w.chunks, at = w.offset(b, chunk);
    size_t row = size_t(b * w.C);
    run_from_norm(in + at, out + at, w.rows(chunk), w.C, &g.a[row], &k[row], &m[row]);
  });
  return {dx, dweight, dbias};
}

struct GroupNormAct : torch::autograd::Function<GroupNormAct> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, int64_t groups,
                            const at::Tensor& weight, const at::Tensor& bias, double eps, bool silu) {
    ctx->save_for_backward({x, weight, bias});
    ctx->saved_data["groups"] = groups;
    ctx->saved_data["eps"] = eps;
    ctx->saved_data["silu"] = silu;
    at::Tensor w = weight.to(at::kFloat).contiguous(), b = bias.to(at::kFloat).contiguous();
    return x.scalar_type() == at::kFloat ? ::forward<float>(x, groups, w, b, eps, silu)
                                         : ::forward<fnf::bfloat>(x, groups, w, b, eps, silu);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* ctx,
                                               torch::autograd::tensor_list grads) {
    auto saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2];
    at::Tensor dy = grads[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor w = weight.to(at::kFloat).contiguous(), b = bias.to(at::kFloat).contiguous();
    auto call = x.scalar_type() == at::kFloat ? ::backward<float> : ::backward<fnf::bfloat>;
    auto [dx, dw, db] =
        call(dy, x, ctx->saved_data["groups"].toInt(), w, b, ctx->saved_data["eps"].toDouble(), ctx->saved_data["silu"].toBool());
    return {dx, at::Tensor(), dw.to(weight.scalar_type()), db.to(bias.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

// ours tells whether the kernels here take a tensor.
bool ours(const at::Tensor& x) {
  return x.device().is_cpu() && x.dim() == 4 && x.numel() > 0 && x.is_contiguous(at::MemoryFormat::ChannelsLast) &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

at::Tensor group_norm_act(const at::Tensor& input, int64_t num_groups, const at::Tensor& weight, const at::Tensor& bias,
                          double eps, bool silu) {
  bool fits = num_groups > 0 && input.dim() == 4 && input.size(1) % num_groups == 0 && weight.dim() == 1 &&
              weight.numel() == input.size(1) && bias.dim() == 1 && bias.numel() == input.size(1);
  if (fits && ours(input)) return GroupNormAct::apply(input, num_groups, weight, bias, eps, silu);
  at::Tensor y = at::group_norm(input, num_groups, weight, bias, eps);
  return silu ? at::silu(y) : y;
}

// Adds the four pixels that each of a row [W,C] became: upper and lower are rows of [2·W,C].
template <class T>
FNF_INLINE void four(const T* upper, const T* lower, T* to, int64_t W, int64_t C) {
  each_lanes(C, [&](auto lanes, int64_t first) {
    for (int64_t x = 0; x < W; x++) {
      const T *left = upper + 2 * x * C + first, *below = lower + 2 * x * C + first;
      floats sum = fnf::load(left, lanes) + fnf::load(left + C, lanes) + fnf::load(below, lanes) + fnf::load(below + C, lanes);
      fnf::store(to + x * C + first, sum, lanes);
    }
  });
}

FNF_CLONES void run_four(const float* upper, const float* lower, float* to, int64_t W, int64_t C) {
  four(upper, lower, to, W, C);
}
FNF_CLONES void run_four(const fnf::bfloat* upper, const fnf::bfloat* lower, fnf::bfloat* to, int64_t W, int64_t C) {
  four(upper, lower, to, W, C);
}

template <class T>
void sum_four(const at::Tensor& dy, at::Tensor& dx) {
  int64_t C = dx.size(1), W = dx.size(3), rows = dx.size(0) * dx.size(2);
  const T* in = reinterpret_cast<const T*>(dy.data_ptr());
  T* out = reinterpret_cast<T*>(dx.data_ptr());
  fnf::parallel(rows, [&](int64_t r) {
    const T* upper = in + r * 4 * W * C;
    run_four(upper, upper + 2 * W * C, out + r * W * C, W, C);
  });
}

struct UpsampleDouble : torch::autograd::Function<UpsampleDouble> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    int64_t B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
    at::Tensor y = at::empty({B, C, 2 * H, 2 * W}, x.options(), at::MemoryFormat::ChannelsLast);
    size_t pixel = size_t(C) * x.element_size(), row = size_t(W) * pixel;
    const char* in = static_cast<const char*>(x.data_ptr());
    char* out = static_cast<char*>(y.data_ptr());
    fnf::parallel(B * H, [&](int64_t r) {
      const char* from = in + size_t(r) * row;
      char* to = out + size_t(r) * 4 * row;
      for (int64_t i = 0; i < W; i++, from += pixel) {
        memcpy(to + size_t(2 * i) * pixel, from, pixel);
        memcpy(to + size_t(2 * i + 1) * pixel, from, pixel);
      }
      memcpy(to + 2 * row, to, 2 * row);
    });
    return y;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*, torch::autograd::tensor_list grads) {
    at::Tensor dy = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx = at::empty({dy.size(0), dy.size(1), dy.size(2) / 2, dy.size(3) / 2}, dy.options(),
                              at::MemoryFormat::ChannelsLast);
    if (dy.scalar_type() == at::kFloat)
      sum_four<float>(dy, dx);
    else
      sum_four<fnf::bfloat>(dy, dx);
    return {dx};
  }
};

at::Tensor upsample_double(const at::Tensor& input) {
  if (ours(input)) return UpsampleDouble::apply(input);
  if (input.dim() != 4) throw std::runtime_error("want a picture [B,C,H,W]");
  std::vector<int64_t> size = {2 * input.size(2), 2 * input.size(3)};
  bool absent = input.is_cpu() && input.scalar_type() == at::kBFloat16;  // a kernel in libtorch 1.13
  return absent ? at::upsample_nearest2d(input.to(at::kFloat), size).to(at::kBFloat16) : at::upsample_nearest2d(input, size);
}

}  // namespace

TORCH_LIBRARY(fnf, m) {
  m.def("group_norm_act(Tensor input, int num_groups, Tensor weight, Tensor bias, float eps, bool silu) -> Tensor",
        group_norm_act);
  m.def("upsample_double(Tensor input) -> Tensor", upsample_double);
}
