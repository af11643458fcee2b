// fnf::group_norm_act: group normalization (arXiv 1803.08494), with SiLU behind it where asked. The
// forward pass reads the image twice; the backward pass finds SiLU's input again instead of
// keeping it.
#include <cmath>

#include "pictures.h"

namespace {

using fnf::each_lanes;
using fnf::floats;

constexpr int64_t kPixels = 512;  // of a chunk: what one task does

// Shape of a channels-last image [B,C,H,W] in chunks.
struct Walk {
  int64_t B, C, pixels, chunks;
  explicit Walk(const at::Tensor& x)
      : B(x.size(0)),
        C(x.size(1)),
        pixels(x.size(2) * x.size(3)),
        chunks((pixels + kPixels - 1) / kPixels) {}
  int64_t rows(int64_t chunk) const { return std::min(kPixels, pixels - chunk * kPixels); }
  int64_t offset(int64_t b, int64_t chunk) const { return (b * pixels + chunk * kPixels) * C; }
};

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
FNF_INLINE void apply(const T* x, T* y, int64_t rows, int64_t C, const float* a, const float* b,
                      bool silu) {
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
FNF_INLINE void to_norm(const T* x, const T* dy, T* dz, int64_t rows, int64_t C, const float* a,
                        const float* b, bool silu, float* with_x, float* alone) {
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
FNF_INLINE void from_norm(const T* x, T* dz, int64_t rows, int64_t C, const float* a,
                          const float* k, const float* m) {
  each_lanes(C, [&](auto lanes, int64_t first) {
    floats scale = fnf::load(a + first, lanes), slope = fnf::load(k + first, lanes),
           rest = fnf::load(m + first, lanes);
    for (int64_t r = 0, at = first; r < rows; r++, at += C)
      fnf::store(dz + at,
                 scale * fnf::load(dz + at, lanes) + slope * fnf::load(x + at, lanes) + rest,
                 lanes);
  });
}

// One body for every instruction set: the templates above are inlined into these.
#define FNF_KERNELS(T)                                                                          \
  FNF_CLONES void run_moments(const T* x, int64_t rows, int64_t C, float* sum, float* square) { \
    moments(x, rows, C, sum, square);                                                           \
  }                                                                                             \
  FNF_CLONES void run_apply(const T* x, T* y, int64_t rows, int64_t C, const float* a,          \
                            const float* b, bool act) {                                         \
    if (act)                                                                                    \
      apply(x, y, rows, C, a, b, true);                                                         \
    else                                                                                        \
      apply(x, y, rows, C, a, b, false);                                                        \
  }                                                                                             \
  FNF_CLONES void run_to_norm(const T* x, const T* dy, T* dz, int64_t rows, int64_t C,          \
                              const float* a, const float* b, bool act, float* s, float* q) {   \
    if (act)                                                                                    \
      to_norm(x, dy, dz, rows, C, a, b, true, s, q);                                            \
    else                                                                                        \
      to_norm(x, dy, dz, rows, C, a, b, false, s, q);                                           \
  }                                                                                             \
  FNF_CLONES void run_from_norm(const T* x, T* dz, int64_t rows, int64_t C, const float* a,     \
                                const float* k, const float* m) {                               \
    from_norm(x, dz, rows, C, a, k, m);                                                         \
  }
FNF_KERNELS(float)
FNF_KERNELS(fnf::bfloat)

// Sums over chunks of what `parts` [B,chunks,2,C] holds, in double: [B,2,C].
std::vector<double> gather(const std::vector<float>& parts, const Walk& w) {
  std::vector<double> sums(size_t(w.B * 2 * w.C));
  for (int64_t i = 0; i < w.B * w.chunks; i++)
    for (int64_t c = 0; c < 2 * w.C; c++)
      sums[size_t(i / w.chunks * 2 * w.C + c)] += parts[size_t(i * 2 * w.C + c)];
  return sums;
}

struct Groups {
  std::vector<double> mean, rstd;  // [B,groups]
  std::vector<float> a, b;         // [B,C]: the norm is a·x + b
};

template <class T>
Groups find_groups(const T* x, const Walk& w, int64_t groups, const float* weight,
                   const float* bias, double eps) {
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
at::Tensor forward(const at::Tensor& x, int64_t groups, const at::Tensor& weight,
                   const at::Tensor& bias, double eps, bool silu) {
  Walk w(x);
  const T* in = reinterpret_cast<const T*>(x.data_ptr());
  Groups g = find_groups(in, w, groups, weight.data_ptr<float>(), bias.data_ptr<float>(), eps);
  at::Tensor y = at::empty_like(x);
  T* out = reinterpret_cast<T*>(y.data_ptr());
  fnf::parallel(w.B * w.chunks, [&](int64_t i) {
    int64_t b = i / w.chunks, chunk = i % w.chunks, at = w.offset(b, chunk);
    run_apply(in + at, out + at, w.rows(chunk), w.C, &g.a[size_t(b * w.C)], &g.b[size_t(b * w.C)],
              silu);
  });
  return y;
}

// Gradients at x, weight and bias, the last two [C] float32.
template <class T>
std::array<at::Tensor, 3> backward(const at::Tensor& dy, const at::Tensor& x, int64_t groups,
                                   const at::Tensor& weight, const at::Tensor& bias, double eps,
                                   bool silu) {
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
    run_to_norm(in + at, upstream + at, out + at, w.rows(chunk), w.C, &g.a[size_t(b * w.C)],
                &g.b[size_t(b * w.C)], silu, sums, sums + w.C);
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
    double slope = -rstd * rstd * rstd * (with_x - mean * alone) / n,
           rest = -rstd * alone / n - mean * slope;
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
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x,
                            int64_t groups, const at::Tensor& weight, const at::Tensor& bias,
                            double eps, bool silu) {
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
    auto [dx, dw, db] = call(dy, x, ctx->saved_data["groups"].toInt(), w, b,
                             ctx->saved_data["eps"].toDouble(), ctx->saved_data["silu"].toBool());
    return {dx,           at::Tensor(), dw.to(weight.scalar_type()), db.to(bias.scalar_type()),
            at::Tensor(), at::Tensor()};
  }
};

at::Tensor group_norm_act(const at::Tensor& input, int64_t num_groups, const at::Tensor& weight,
                          const at::Tensor& bias, double eps, bool silu) {
  bool fits = num_groups > 0 && input.dim() == 4 && input.size(1) % num_groups == 0 &&
              weight.dim() == 1 && weight.numel() == input.size(1) && bias.dim() == 1 &&
              bias.numel() == input.size(1);
  if (fits && fnf::ours(input))
    return GroupNormAct::apply(input, num_groups, weight, bias, eps, silu);
  at::Tensor y = at::group_norm(input, num_groups, weight, bias, eps);
  return silu ? at::silu(y) : y;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(fnf, m) {
  m.def(
      "group_norm_act(Tensor input, int num_groups, Tensor weight, Tensor bias, float eps, bool "
      "silu) "
      "-> Tensor",
      group_norm_act);
}
