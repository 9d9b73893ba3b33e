// GELU and its gradient, layer normalization and its gradients, and Adam's update, each in one pass over memory.
//
// A sum over a row runs over its vectors, then over their lanes; a sum over rows is divided into parts that depend on
// the shape alone. So the results do not depend on the number of threads.

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "parallel.h"
#include "primitive.h"

namespace lucid {
namespace {

constexpr int64_t CHUNK = 16384;  // elements of a task: large enough for a thread, small enough for its cache

// Calls f(offset, lanes) for vectors of LANES elements from `begin` on, then of 4, then for single ones.
template <typename F>
[[gnu::always_inline]] inline void for_vectors(int64_t begin, int64_t end, F&& f) {
  int64_t i = begin;
  for (; i + LANES <= end; i += LANES) f(i, std::integral_constant<int, LANES>{});
  if constexpr (LANES > 4) {
    for (; i + 4 <= end; i += 4) f(i, std::integral_constant<int, 4>{});
  }
  for (; i < end; ++i) f(i, std::integral_constant<int, 1>{});
}

template <typename F>
void parallel_elements(int64_t size, F&& f) {
  parallel(int((size + CHUNK - 1) / CHUNK), [&](int task) { f(task * CHUNK, std::min((task + 1) * CHUNK, size)); });
}

// GELU, with the rational functions of lucid/kernels/gelu.py --------------------------------------------------------

constexpr float CDF_LIMIT = 5.3f, SLOPE_LIMIT = 6.0f;
constexpr float CDF_P[] = {0.398942256f, 0.0329227651f, 0.0046271894f, 0.000160199799f, 6.37798146e-06f, 2.40599511e-08f};
constexpr float CDF_Q[] = {1.0f, 0.249191378f, 0.0281313511f, 0.00183581824f, 7.13080562e-05f, 1.23736739e-06f};
constexpr float SLOPE_P[] = {0.797884659f,    -0.030758892f,   0.0142102294f,
                             2.39007449e-05f, 3.58495233e-05f, 1.90939327e-07f};
constexpr float SLOPE_Q[] = {1.0f, 0.294786967f, 0.0410589392f, 0.00352844547f, 0.000193403251f, 8.88893374e-06f};

template <int V>
Floats<V> polynomial(const float (&p)[6], Floats<V> x) {
  Floats<V> sum = splat<V>(p[5]);
  for (int i = 4; i >= 0; --i) sum = sum * x + p[i];
  return sum;
}

template <int V>
Floats<V> half_plus_odd_ratio(Floats<V> x, const float (&numerator)[6], const float (&denominator)[6]) {
  const Floats<V> square = x * x;
  return 0.5f + x * polynomial<V>(numerator, square) / polynomial<V>(denominator, square);
}

struct Gelu : LikeFirstInput<Gelu> {
  bool operator==(const Gelu&) const = default;
  static constexpr const char* name = "LucidGelu";

  template <typename T>
  std::function<void()> work(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    return [in = inputs[0].data<T>(), out = outputs[0].data<T>(), size = int64_t(inputs[0].size())] {
      parallel_elements(size, [&](int64_t begin, int64_t end) {
        for_vectors(begin, end, [&](int64_t i, auto lanes) {
          constexpr int V = lanes;
          // Below the limit Phi is a rounding error instead of 0.
          const Floats<V> x = load<V>(in + i), factor = x < -CDF_LIMIT ? Floats<V>{} : x;
          store<V>(out + i, factor * half_plus_odd_ratio<V>(clamp<V>(x, -CDF_LIMIT, CDF_LIMIT), CDF_P, CDF_Q));
        });
      });
    };
  }
};

struct GeluGradient : LikeFirstInput<GeluGradient> {
  bool operator==(const GeluGradient&) const = default;
  static constexpr const char* name = "LucidGeluGradient";

  template <typename T>
  std::function<void()> work(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    return [dy = inputs[0].data<T>(), in = inputs[1].data<T>(), out = outputs[0].data<T>(),
            size = int64_t(inputs[0].size())] {
      parallel_elements(size, [&](int64_t begin, int64_t end) {
        for_vectors(begin, end, [&](int64_t i, auto lanes) {
          constexpr int V = lanes;
          // Times 0, not 0: a gradient that is NaN or infinite must not vanish.
          const Floats<V> x = load<V>(in + i), scale = load<V>(dy + i), factor = x < -SLOPE_LIMIT ? 0.0f * scale : scale;
          store<V>(out + i, factor * half_plus_odd_ratio<V>(clamp<V>(x, -SLOPE_LIMIT, SLOPE_LIMIT), SLOPE_P, SLOPE_Q));
        });
      });
    };
  }
};

// Layer normalization -------------------------------------------------------------------------------------------------

// The sum of f(i, lanes) over a row.
template <typename F>
[[gnu::always_inline]] inline float row_sum(int64_t size, F&& f) {
  constexpr int CHAINS = 4;  // independent sums, because an addition takes several cycles
  Floats<LANES> sums[CHAINS] = {};
  int64_t i = 0;
  for (; i + CHAINS * LANES <= size; i += CHAINS * LANES) {
    unroll<CHAINS>([&](auto k) { sums[k] += f(i + k * LANES, std::integral_constant<int, LANES>{}); });
  }
  for (; i + LANES <= size; i += LANES) sums[0] += f(i, std::integral_constant<int, LANES>{});
  float sum = sum_lanes<LANES>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  if constexpr (LANES > 4) {
    for (; i + 4 <= size; i += 4) sum += sum_lanes<4>(f(i, std::integral_constant<int, 4>{}));
  }
  for (; i < size; ++i) sum += f(i, std::integral_constant<int, 1>{})[0];
  return sum;
}

struct Moments {
  float mean, scale;  // scale = 1 / sqrt(var + eps)
};

template <typename T>
Moments moments(const T* x, int64_t size, float eps) {
  const float mean = row_sum(size, [&](int64_t i, auto lanes) { return load<lanes>(x + i); }) / float(size);
  const float squares = row_sum(size, [&](int64_t i, auto lanes) {
    const Floats<lanes> distance = load<lanes>(x + i) - mean;
    return distance * distance;
  });
  return {mean, 1.0f / std::sqrt(squares / float(size) + eps)};
}

// y = (x - mean) * scale * weight + bias for each row of x; weight and bias are float32.
struct LayerNorm : LikeFirstInput<LayerNorm> {
  float eps;
  bool has_weight, has_bias;
  bool operator==(const LayerNorm&) const = default;
  static constexpr const char* name = "LucidLayerNorm";

  template <typename T>
  std::function<void()> work(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    return [eps = eps, in = inputs[0].data<T>(), weight = has_weight ? inputs[1].data<float>() : nullptr,
            bias = has_bias ? inputs[1 + has_weight].data<float>() : nullptr, out = outputs[0].data<T>(),
            size = int64_t(inputs[0].shape(-1)), rows = int64_t(inputs[0].size()) / inputs[0].shape(-1)] {
      const int64_t rows_per_task = std::max<int64_t>(1, CHUNK / size);
      parallel(int((rows + rows_per_task - 1) / rows_per_task), [&](int task) {
        for (int64_t row = task * rows_per_task; row < std::min((task + 1) * rows_per_task, rows); ++row) {
          const T* x = in + row * size;
          T* y = out + row * size;
          const auto [mean, scale] = moments(x, size, eps);
          for_vectors(0, size, [&, mean = mean, scale = scale](int64_t i, auto lanes) {
            constexpr int V = lanes;
            Floats<V> value = (load<V>(x + i) - mean) * scale;
            if (weight != nullptr) value *= load<V>(weight + i);
            if (bias != nullptr) value += load<V>(bias + i);
            store<V>(y + i, value);
          });
        }
      });
    };
  }
};

// With n = (x - mean) * scale and g = dy * weight, for each row of length C:
//     dx = scale * (g - sum(g) / C - n * sum(g * n) / C)        dweight = sum over rows of dy * n        dbias = .. of dy
struct LayerNormGradient {
  float eps;
  bool has_weight;
  bool operator==(const LayerNormGradient&) const = default;
  static constexpr const char* name = "LucidLayerNormGradient";

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const {
    return {inputs[0].shape(), {inputs[0].shape(-1)}, {inputs[0].shape(-1)}};
  }

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    allocate_or_reuse(inputs[0], outputs[0]);
    allocate(outputs[1]);
    allocate(outputs[2]);
    return for_type(inputs[0].dtype(), *this, inputs, outputs);
  }

  template <typename T>
  std::function<void()> work(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    return [self = *this, dy = inputs[0].data<T>(), x = inputs[1].data<T>(),
            weight = has_weight ? inputs[2].data<float>() : nullptr, dx = outputs[0].data<T>(),
            d_weight = outputs[1].data<float>(), d_bias = outputs[2].data<float>(),
            size = int64_t(inputs[0].shape(-1)), rows = int64_t(inputs[0].size()) / inputs[0].shape(-1)] {
      self.run(dy, x, weight, dx, d_weight, d_bias, size, rows);
    };
  }

  template <typename T>
  void run(const T* dy, const T* x, const float* weight, T* dx, float* d_weight, float* d_bias, int64_t size,
           int64_t rows) const {
    const int parts = int(std::clamp<int64_t>(rows * size / CHUNK, 1, std::min<int64_t>(rows, 64)));
    const std::unique_ptr<float[]> totals(new float[2 * size * parts]);
    parallel(parts, [&](int part) {
      float* const weights = totals.get() + 2 * size * part;
      float* const biases = weights + size;
      std::fill_n(weights, 2 * size, 0.0f);
      for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
        gradient_of_row(dy + row * size, x + row * size, weight, dx + row * size, weights, biases, size);
      }
    });
    parallel(int((size + LANES - 1) / LANES), [&](int block) {
      for_vectors(int64_t(block) * LANES, std::min(int64_t(block + 1) * LANES, size), [&](int64_t i, auto lanes) {
        constexpr int V = lanes;
        Floats<V> weights{}, biases{};
        for (int part = 0; part < parts; ++part) {
          weights += load<V>(totals.get() + 2 * size * part + i);
          biases += load<V>(totals.get() + 2 * size * part + size + i);
        }
        store<V>(d_weight + i, weights);
        store<V>(d_bias + i, biases);
      });
    });
  }

  template <typename T>
  void gradient_of_row(const T* dy, const T* x, const float* weight, T* dx, float* d_weight, float* d_bias,
                       int64_t size) const {
    const Moments m = moments(x, size, eps);
    const float mean = m.mean, scale = m.scale;
    const auto scaled = [&](int64_t i, auto lanes) {
      const Floats<lanes> gradient = load<lanes>(dy + i);
      return weight == nullptr ? gradient : gradient * load<lanes>(weight + i);
    };
    const float average = row_sum(size, scaled) / float(size);
    const float slope = row_sum(size, [&](int64_t i, auto lanes) {
      const Floats<lanes> normal = (load<lanes>(x + i) - mean) * scale, gradient = load<lanes>(dy + i);
      store<lanes>(d_weight + i, load<lanes>(d_weight + i) + gradient * normal);
      store<lanes>(d_bias + i, load<lanes>(d_bias + i) + gradient);
      return scaled(i, lanes) * normal;
    }) / float(size);
    for_vectors(0, size, [&](int64_t i, auto lanes) {
      const Floats<lanes> normal = (load<lanes>(x + i) - mean) * scale;
      store<lanes>(dx + i, scale * (scaled(i, lanes) - average - normal * slope));
    });
  }
};

// Adam's update ---------------------------------------------------------------------------------------------------------

template <int V>
[[gnu::always_inline]] inline Floats<V> square_root(Floats<V> x) {
#if defined(__AVX512F__)
  if constexpr (V == 16) return bit_cast<Floats<V>>(_mm512_sqrt_ps(bit_cast<__m512>(x)));
#elif defined(__AVX__)
  if constexpr (V == 8) return bit_cast<Floats<V>>(_mm256_sqrt_ps(bit_cast<__m256>(x)));
#endif
  Floats<V> roots;
  for (int i = 0; i < V; ++i) roots[i] = std::sqrt(x[i]);
  return roots;
}

// From gradient g, parameter p and moments m, v, all float32, and the scalars rate, eps and keep:
//     p = p * keep,  g = g + weight_decay * p,  m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,
//     p = p - rate m / (sqrt(v) + eps)
struct Adam {
  float beta1, beta2, weight_decay, one_minus_beta1, one_minus_beta2;
  bool has_keep;
  bool operator==(const Adam&) const = default;
  static constexpr const char* name = "LucidAdam";

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const {
    return {inputs[1].shape(), inputs[1].shape(), inputs[1].shape()};
  }

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    for (int i = 0; i < 3; ++i) allocate_or_reuse(inputs[1 + i], outputs[i]);
    return [self = *this, gradient = inputs[0].data<float>(), parameter = inputs[1].data<float>(),
            mean = inputs[2].data<float>(), square = inputs[3].data<float>(), rate = inputs[4].data<float>(),
            eps = inputs[5].data<float>(), keep = has_keep ? inputs[6].data<float>() : nullptr,
            new_parameter = outputs[0].data<float>(), new_mean = outputs[1].data<float>(),
            new_square = outputs[2].data<float>(), size = int64_t(inputs[1].size())] {
      const float by = *rate, small = *eps, kept = keep == nullptr ? 1.0f : *keep;
      parallel_elements(size, [&](int64_t begin, int64_t end) {
        for_vectors(begin, end, [&](int64_t i, auto lanes) {
          constexpr int V = lanes;
          const Floats<V> p = load<V>(parameter + i) * kept;
          Floats<V> g = load<V>(gradient + i);
          if (self.weight_decay != 0.0f) g += self.weight_decay * p;  // 0 * inf is NaN
          const Floats<V> m = self.beta1 * load<V>(mean + i) + self.one_minus_beta1 * g;
          const Floats<V> v = self.beta2 * load<V>(square + i) + self.one_minus_beta2 * (g * g);
          store<V>(new_parameter + i, p - by * m / (square_root<V>(v) + small));
          store<V>(new_mean + i, m);
          store<V>(new_square + i, v);
        });
      });
    };
  }
};

}  // namespace

mx::array gelu(const mx::array& x) {
  return apply(Gelu{}, {row_contiguous(x)}, {x.dtype()})[0];
}

mx::array gelu_gradient(const mx::array& dy, const mx::array& x) {
  require(dy.shape() == x.shape() && dy.dtype() == x.dtype(), "lucid: dy and x must have one shape and dtype");
  return apply(GeluGradient{}, {row_contiguous(dy), row_contiguous(x)}, {x.dtype()})[0];
}

static mx::array vector_of(const mx::array& values, const mx::array& x) {
  require(values.ndim() == 1 && values.shape(0) == x.shape(-1) && values.dtype() == mx::float32,
          "lucid: weight and bias must be float32 of the last dimension's size");
  return row_contiguous(values);
}

mx::array layer_norm(const mx::array& x, const std::optional<mx::array>& weight, const std::optional<mx::array>& bias,
                     float eps) {
  require(x.ndim() > 0 && x.size() > 0, "lucid: x must not be empty");
  std::vector<mx::array> inputs{row_contiguous(x)};
  if (weight) inputs.push_back(vector_of(*weight, x));
  if (bias) inputs.push_back(vector_of(*bias, x));
  return apply(LayerNorm{{}, eps, weight.has_value(), bias.has_value()}, inputs, {x.dtype()})[0];
}

std::vector<mx::array> layer_norm_gradient(const mx::array& dy, const mx::array& x,
                                           const std::optional<mx::array>& weight, float eps) {
  require(x.ndim() > 0 && x.size() > 0, "lucid: x must not be empty");
  require(dy.shape() == x.shape() && dy.dtype() == x.dtype(), "lucid: dy and x must have one shape and dtype");
  std::vector<mx::array> inputs{row_contiguous(dy), row_contiguous(x)};
  if (weight) inputs.push_back(vector_of(*weight, x));
  return apply(LayerNormGradient{eps, weight.has_value()}, inputs, {x.dtype(), mx::float32, mx::float32});
}

std::vector<mx::array> adam(const mx::array& gradient, const mx::array& parameter, const mx::array& mean,
                            const mx::array& square, const mx::array& rate, const mx::array& eps,
                            const std::optional<mx::array>& keep, double beta1, double beta2, double weight_decay) {
  std::vector<mx::array> inputs;
  for (const auto* one : {&gradient, &parameter, &mean, &square}) {
    require(one->shape() == parameter.shape() && one->dtype() == mx::float32,
            "lucid: gradient, parameter and moments must be float32 of one shape");
    inputs.push_back(row_contiguous(*one));
  }
  inputs.push_back(rate);
  inputs.push_back(eps);
  if (keep) inputs.push_back(*keep);
  for (size_t i = 4; i < inputs.size(); ++i) {
    require(inputs[i].size() == 1 && inputs[i].dtype() == mx::float32, "lucid: rate, eps and keep must be scalars");
  }
  return apply(Adam{float(beta1), float(beta2), float(weight_decay), float(1 - beta1), float(1 - beta2), keep.has_value()},
               inputs, {mx::float32, mx::float32, mx::float32});
}

}  // namespace lucid
