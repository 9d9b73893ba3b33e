// Depthwise convolution on a CPU: the output, the gradient of the input and the gradients of weight and bias.
//
//     y[n,h,w,c]   = bias[c] + sum over (i,j) of x[n, h*stride + i*dilation - top, w*stride + j*dilation - left, c]
//                                                * weight[i,j,c]
//     dx[n,p,q,c]  = sum over (i,j) of dy[n, (p + top - i*dilation) / stride, (q + left - j*dilation) / stride, c]
//                                      * weight[i,j,c]                        where both divisions leave no remainder
//     dw[i,j,c]    = sum over (n,h,w) of x[n, h*stride + i*dilation - top, w*stride + j*dilation - left, c]
//                                        * dy[n,h,w,c]
//
// Positions outside of x and dy are skipped. A vector holds neighboring channels of one pixel. The inner loops keep the
// sums of B neighboring outputs (or of the weights of one kernel row) in registers, and use each vector of x that they
// load for up to KW of them: at 7x7 and B = 8, 21 loads for 56 multiply-adds.
//
// The sum of an output runs over i, then j; the sum of a weight over rows, then columns, in parts that depend on the
// shapes alone. So the results do not depend on how the work is cut, nor on the number of threads.
//
// If the channels do not fill whole vectors, the last block overlaps the one before it and stores its own lanes only.

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "parallel.h"
#include "primitive.h"

namespace lucid {
namespace {

using Pair = std::array<int, 2>;  // height, width

// How one dimension of the output (or of dx) is computed from one of the input (or of dy).
struct Axis {
  int in, out, kernel, stride, dilation, before;
  bool gathers_gradient;
  bool operator==(const Axis&) const = default;

  bool is_dense() const { return stride == 1 && dilation == 1; }
  int out_step() const { return gathers_gradient ? stride : 1; }
  int in_step() const { return gathers_gradient ? 1 : stride; }

  // Whether outputs o, o + out_step, .. use kernel position k, and where in the input the first of them finds it.
  bool aligns(int o, int k, int& position) const {
    if (!gathers_gradient) {
      position = o * stride + k * dilation - before;
      return true;
    }
    const int distance = o + before - k * dilation;
    position = distance >= 0 ? distance / stride : -((-distance + stride - 1) / stride);
    return position * stride == distance;
  }
};

// The number of columns in a block that costs least; half precision is compiled for fewer sizes.
int block_size(int columns, bool is_float) {
  int best = 0, least = 1 << 30;
  for (int size : {8, 7, 4, 2}) {
    const int cost = (columns + size - 1) / size * (size + 2);
    if (size <= columns && cost < least && (is_float || size % 4 == 0)) best = size, least = cost;
  }
  return best;
}

// Blocks of channels that a thread computes side by side: 4 vectors of 16 floats are neighboring cache lines, which the
// processor fetches ahead. Best of 1, 2 and 4 on an AMD EPYC (32x28x28x192: 14.7, 14.6, 11.5 ms of one core).
constexpr int GROUP = 4;

struct Block {
  int channel;  // of the first lane
  int first;    // the first lane that this block stores
};

template <int V>
Block channel_block(int number, int channels) {
  const int channel = std::min(number * V, channels - V);
  return {channel, number * V - channel};
}

// The kernels of V channels, (KH * KW, V), in float32; `flipped` for the input gradient of a dense convolution.
template <int V, typename T>
void pack(const T* weight, const mx::Strides& strides, Pair kernel, int channel, bool flipped, float* packed) {
  const int count = kernel[0] * kernel[1];
  for (int k = 0; k < count; ++k) {
    const T* tap = weight + (k / kernel[1]) * strides[0] + (k % kernel[1]) * strides[1];
    T lanes[V];
    for (int lane = 0; lane < V; ++lane) lanes[lane] = tap[(channel + lane) * strides[2]];
    store<V>(packed + (flipped ? count - 1 - k : k) * V, load<V>(lanes));
  }
}

// B neighboring outputs of one row, at stride and dilation 1. `in` points at channel 0 of an image, plus the block's.
// `row` and `column` are the input position of kernel position (0, 0) for the first of them.
template <int V, int B, int KW, bool INSIDE, typename T>
void dense_block(const T* in, const float* taps, Floats<V> start, const Axis& rows, int width, int64_t channels,
                 int row, int column, T* out, int first) {
  Floats<V> sums[B];
  unroll<B>([&](auto b) { sums[b] = start; });
  const int i_end = std::min(rows.kernel, rows.in - row);
  for (int i = std::max(0, -row); i < i_end; ++i) {
    const T* line = in + (int64_t(row + i) * width + column) * channels;
    Floats<V> tap[KW];
    unroll<KW>([&](auto j) { tap[j] = load<V>(taps + (i * KW + j) * V); });
    unroll<B + KW - 1>([&](auto q) {
      if (!INSIDE && unsigned(column + q) >= unsigned(width)) return;
      const Floats<V> x = load<V>(line + q * channels);
      unroll<B>([&](auto b) {
        constexpr int j = q - b;
        if constexpr (j >= 0 && j < KW) sums[b] += x * tap[j];
      });
    });
  }
  unroll<B>([&](auto b) { store_from<V>(first, out + b * channels, sums[b]); });
}

template <int V, int B, int KW, typename T>
void dense_row(const T* in, const float* taps, Floats<V> start, const Axis& rows, const Axis& columns,
               int64_t channels, int o, T* out, int first) {
  for (int block = 0; block < columns.out; block += B) {
    const int c = std::min(block, columns.out - B), column = c - columns.before;  // the last one may overlap
    if (column >= 0 && column + B + KW - 1 <= columns.in) {
      dense_block<V, B, KW, true>(in, taps, start, rows, columns.in, channels, o - rows.before, column,
                                  out + c * channels, first);
    } else {
      dense_block<V, B, KW, false>(in, taps, start, rows, columns.in, channels, o - rows.before, column,
                                   out + c * channels, first);
    }
  }
}

// Up to B outputs of one row, `out_step` apart, with any stride, dilation and kernel.
template <int V, int B, typename T>
void general_block(const T* in, const float* taps, Floats<V> start, const Axis& rows, const Axis& columns,
                   int64_t channels, int o, int c, T* out, int first) {
  const int count = std::min(B, (columns.out - c + columns.out_step() - 1) / columns.out_step());
  const int step = columns.in_step();
  Floats<V> sums[B];
  unroll<B>([&](auto b) { sums[b] = start; });
  for (int i = 0; i < rows.kernel; ++i) {
    int row, column;
    if (!rows.aligns(o, i, row) || unsigned(row) >= unsigned(rows.in)) continue;
    for (int j = 0; j < columns.kernel; ++j) {
      if (!columns.aligns(c, j, column)) continue;
      const Floats<V> tap = load<V>(taps + (i * columns.kernel + j) * V);
      const T* x = in + (int64_t(row) * columns.in + column) * channels;
      if (column >= 0 && column + (B - 1) * step < columns.in) {
        unroll<B>([&](auto b) { sums[b] += load<V>(x + b * step * channels) * tap; });
      } else {
        unroll<B>([&](auto b) {
          if (unsigned(column + b * step) < unsigned(columns.in)) sums[b] += load<V>(x + b * step * channels) * tap;
        });
      }
    }
  }
  unroll<B>([&](auto b) {
    if (b < count) store_from<V>(first, out + (c + b * columns.out_step()) * channels, sums[b]);
  });
}

template <int V, typename T>
void general_row(const T* in, const float* taps, Floats<V> start, const Axis& rows, const Axis& columns,
                 int64_t channels, int o, T* out, int first) {
  constexpr int B = 4;
  const int step = columns.out_step();
  for (int phase = 0; phase < std::min(step, columns.out); ++phase) {
    for (int c = phase; c < columns.out; c += B * step) {
      general_block<V, B>(in, taps, start, rows, columns, channels, o, c, out, first);
    }
  }
}

// The function for one row of one block of channels.
template <int V, typename T>
using Row = void (*)(const T*, const float*, Floats<V>, const Axis&, const Axis&, int64_t, int, T*, int);

template <int V, int KW, typename T>
Row<V, T> choose_dense_row(int columns) {
  constexpr bool IS_FLOAT = std::is_same_v<T, float>;
  const int size = block_size(columns, IS_FLOAT);
  if (size == 8) return dense_row<V, 8, KW, T>;
  if (size == 4) return dense_row<V, 4, KW, T>;
  if constexpr (IS_FLOAT) {
    if (size == 7) return dense_row<V, 7, KW, T>;
    if (size == 2) return dense_row<V, 2, KW, T>;
  }
  return general_row<V, T>;
}

template <int V, typename T>
Row<V, T> choose_row(const Axis& rows, const Axis& columns) {
  if constexpr (V == LANES) {
    const bool dense = rows.is_dense() && columns.is_dense();
    if (dense && columns.kernel == 7) return choose_dense_row<V, 7, T>(columns.out);
    if (dense && columns.kernel == 3) return choose_dense_row<V, 3, T>(columns.out);
  }
  return general_row<V, T>;
}

// The convolution and the input gradient.
struct Gather {
  Axis rows, columns;
  bool flipped, has_bias;
  bool operator==(const Gather&) const = default;
  static constexpr const char* name = "LucidDepthwiseConv2d";

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const {
    return {{inputs[0].shape(0), rows.out, columns.out, inputs[0].shape(3)}};
  }

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    allocate(outputs[0]);
    return for_type(outputs[0].dtype(), *this, inputs, outputs);
  }

  template <typename T>
  std::function<void()> work(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    return [self = *this, in = inputs[0].data<T>(), weight = inputs[1].data<T>(), strides = inputs[1].strides(),
            bias = has_bias ? inputs[2].data<T>() : nullptr, out = outputs[0].data<T>(), images = inputs[0].shape(0),
            channels = inputs[0].shape(3)] {
      const auto run = channels >= LANES ? &Gather::run<LANES, T> : channels >= 4 ? &Gather::run<4, T> : &Gather::run<1, T>;
      (self.*run)(in, weight, strides, bias, out, images, channels);
    };
  }

  template <int V, typename T>
  void run(const T* in, const T* weight, const mx::Strides& strides, const T* bias, T* out, int images,
           int channels) const {
    const Pair kernel{rows.kernel, columns.kernel};
    const Row<V, T> row = choose_row<V, T>(rows, columns);
    const int blocks = (channels + V - 1) / V, groups = (blocks + GROUP - 1) / GROUP;
    const int size = kernel[0] * kernel[1] * V;
    // Packing the kernels should not count, and every thread needs several tasks.
    const int parts = std::min(images * rows.out, std::max(1, 8 * thread_count() / groups));
    const int64_t all = int64_t(images) * rows.out;
    parallel(groups * parts, [&](int task) {
      const int group = task % groups * GROUP, count = std::min(GROUP, blocks - group), part = task / groups;
      const std::unique_ptr<float[]> taps(new float[size * count]);
      for (int i = 0; i < count; ++i) {
        pack<V>(weight, strides, kernel, channel_block<V>(group + i, channels).channel, flipped, taps.get() + i * size);
      }
      for (int64_t line = all * part / parts; line < all * (part + 1) / parts; ++line) {
        const int64_t image = line / rows.out;
        for (int i = 0; i < count; ++i) {
          const auto [channel, first] = channel_block<V>(group + i, channels);
          const Floats<V> start = bias == nullptr ? Floats<V>{} : load<V>(bias + channel);
          row(in + image * rows.in * columns.in * channels + channel, taps.get() + i * size, start, rows, columns,
              channels, int(line % rows.out), out + line * columns.out * channels + channel, first);
        }
      }
    });
  }
};

// Adds B columns of dy, at stride and dilation 1, to the sums of one kernel row.
template <int V, int B, int KW, bool INSIDE, typename T>
[[gnu::always_inline]] inline void dense_products(const T* line, const T* dy, int column, int width, int64_t channels,
                                                  Floats<V> (&sums)[KW]) {
  Floats<V> gradient[B];
  unroll<B>([&](auto b) { gradient[b] = load<V>(dy + b * channels); });
  unroll<B + KW - 1>([&](auto q) {
    if (!INSIDE && unsigned(column + q) >= unsigned(width)) return;
    const Floats<V> x = load<V>(line + q * channels);
    unroll<B>([&](auto b) {
      constexpr int j = q - b;
      if constexpr (j >= 0 && j < KW) sums[j] += x * gradient[b];
    });
  });
}

// Adds one row of dy to the sums of all weights, (KH * KW, V).
template <int V, int B, int KW, typename T>
void dense_weight_row(const T* x, const T* dy, const Axis& rows, const Axis& columns, int64_t channels, int o,
                      float* totals) {
  for (int i = 0; i < rows.kernel; ++i) {
    const int row = o + i - rows.before;
    if (unsigned(row) >= unsigned(rows.in)) continue;
    const T* line = x + (int64_t(row) * columns.in - columns.before) * channels;
    Floats<V> sums[KW];
    unroll<KW>([&](auto j) { sums[j] = load<V>(totals + (i * KW + j) * V); });
    int c = 0;
    for (; c + B <= columns.out; c += B) {
      const int column = c - columns.before;
      if (column >= 0 && column + B + KW - 1 <= columns.in) {
        dense_products<V, B, KW, true>(line + c * channels, dy + c * channels, column, columns.in, channels, sums);
      } else {
        dense_products<V, B, KW, false>(line + c * channels, dy + c * channels, column, columns.in, channels, sums);
      }
    }
    for (; c < columns.out; ++c) {
      const int column = c - columns.before;
      dense_products<V, 1, KW, false>(line + c * channels, dy + c * channels, column, columns.in, channels, sums);
    }
    unroll<KW>([&](auto j) { store<V>(totals + (i * KW + j) * V, sums[j]); });
  }
}

template <int V, typename T>
void general_weight_row(const T* x, const T* dy, const Axis& rows, const Axis& columns, int64_t channels, int o,
                        float* totals) {
  constexpr int B = 4;  // kernel positions at a time
  for (int i = 0; i < rows.kernel; ++i) {
    const int row = o * rows.stride + i * rows.dilation - rows.before;
    if (unsigned(row) >= unsigned(rows.in)) continue;
    for (int j = 0; j < columns.kernel; j += B) {
      const int count = std::min(B, columns.kernel - j);
      float* total = totals + (i * columns.kernel + j) * V;
      Floats<V> sums[B];
      unroll<B>([&](auto b) { sums[b] = b < count ? load<V>(total + b * V) : Floats<V>{}; });
      for (int c = 0; c < columns.out; ++c) {
        const Floats<V> gradient = load<V>(dy + c * channels);
        const int column = c * columns.stride + j * columns.dilation - columns.before;
        unroll<B>([&](auto b) {
          const int position = column + b * columns.dilation;
          if (b < count && unsigned(position) < unsigned(columns.in)) {
            sums[b] += load<V>(x + (int64_t(row) * columns.in + position) * channels) * gradient;
          }
        });
      }
      unroll<B>([&](auto b) {
        if (b < count) store<V>(total + b * V, sums[b]);
      });
    }
  }
}

template <typename T>
using WeightRow = void (*)(const T*, const T*, const Axis&, const Axis&, int64_t, int, float*);

template <int V, int KW, typename T>
WeightRow<T> choose_dense_weight_row(int columns) {
  constexpr bool IS_FLOAT = std::is_same_v<T, float>;
  const int size = block_size(columns, IS_FLOAT);
  if (size == 8) return dense_weight_row<V, 8, KW, T>;
  if (size == 4) return dense_weight_row<V, 4, KW, T>;
  if constexpr (IS_FLOAT) {
    if (size == 7) return dense_weight_row<V, 7, KW, T>;
    if (size == 2) return dense_weight_row<V, 2, KW, T>;
  }
  return general_weight_row<V, T>;
}

template <int V, typename T>
WeightRow<T> choose_weight_row(const Axis& rows, const Axis& columns) {
  if constexpr (V == LANES) {
    const bool dense = rows.is_dense() && columns.is_dense();
    if (dense && columns.kernel == 7) return choose_dense_weight_row<V, 7, T>(columns.out);
    if (dense && columns.kernel == 3) return choose_dense_weight_row<V, 3, T>(columns.out);
  }
  return general_weight_row<V, T>;
}

// The gradients of the weight, (C, KH, KW), and of the bias, (C,), in float32.
struct WeightGradient {
  Axis rows, columns;
  bool operator==(const WeightGradient&) const = default;
  static constexpr const char* name = "LucidDepthwiseConv2dWeightGradient";

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const {
    return {{inputs[0].shape(3), rows.kernel, columns.kernel}, {inputs[0].shape(3)}};
  }

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    allocate(outputs[0]);
    allocate(outputs[1]);
    return for_type(inputs[0].dtype(), *this, inputs, outputs);
  }

  template <typename T>
  std::function<void()> work(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    return [self = *this, x = inputs[0].data<T>(), dy = inputs[1].data<T>(), d_weight = outputs[0].data<float>(),
            d_bias = outputs[1].data<float>(), images = inputs[0].shape(0), channels = inputs[0].shape(3)] {
      const auto run = channels >= LANES ? &WeightGradient::run<LANES, T>
                       : channels >= 4   ? &WeightGradient::run<4, T>
                                         : &WeightGradient::run<1, T>;
      (self.*run)(x, dy, d_weight, d_bias, images, channels);
    };
  }

  template <int V, typename T>
  void run(const T* x, const T* dy, float* d_weight, float* d_bias, int images, int channels) const {
    const WeightRow<T> add_row = choose_weight_row<V, T>(rows, columns);
    const int blocks = (channels + V - 1) / V, count = rows.kernel * columns.kernel;
    const int64_t all = int64_t(images) * rows.out;
    // Parts for many threads, and for accuracy: a sum of at most 2^14 products. The shapes alone decide.
    const int64_t wanted = std::max<int64_t>(std::min(96 / blocks + 1, 16), all * columns.out >> 14);
    const int parts = int(std::max<int64_t>(1, std::min(wanted, all)));
    const size_t size = size_t(count + 1) * V;
    const std::unique_ptr<float[]> totals(new float[size * blocks * parts]);
    parallel(blocks * parts, [&](int task) {
      const int channel = channel_block<V>(task % blocks, channels).channel, part = task / blocks;
      float* total = totals.get() + size * task;
      std::fill_n(total, size, 0.0f);
      Floats<V> bias{};
      for (int64_t line = all * part / parts; line < all * (part + 1) / parts; ++line) {
        const T* gradient = dy + line * columns.out * channels + channel;
        add_row(x + line / rows.out * rows.in * columns.in * channels + channel, gradient, rows, columns, channels,
                int(line % rows.out), total);
        for (int c = 0; c < columns.out; ++c) bias += load<V>(gradient + int64_t(c) * channels);
      }
      store<V>(total + count * V, bias);
    });
    parallel(blocks, [&](int block) {
      const auto [channel, first] = channel_block<V>(block, channels);
      for (int k = 0; k <= count; ++k) {
        Floats<V> sum{};
        for (int part = 0; part < parts; ++part) {
          sum += load<V>(totals.get() + size * (size_t(part) * blocks + block) + k * V);
        }
        for (int lane = first; lane < V; ++lane) {
          if (k < count) d_weight[int64_t(channel + lane) * count + k] = sum[lane];
          else d_bias[channel + lane] = sum[lane];
        }
      }
    });
  }
};

void check(const mx::array& images, const mx::array& weight, Pair size) {
  require(images.ndim() == 4 && weight.ndim() == 3 && images.shape(3) == weight.shape(2),
          "lucid: x must be (N, H, W, C) and weight (KH, KW, C)");
  require(images.dtype() == weight.dtype(), "lucid: x and weight must have the same dtype");
  require(size[0] > 0 && size[1] > 0 && images.size() > 0 && weight.size() > 0, "lucid: arrays must not be empty");
}

}  // namespace

// y (N, OH, OW, C) from x (N, H, W, C), weight (KH, KW, C) with any strides, and bias (C,). `before` is the padding at
// the top and the left, and may be negative.
mx::array depthwise_conv2d(const mx::array& x, const mx::array& weight, const std::optional<mx::array>& bias,
                           Pair output, Pair stride, Pair before, Pair dilation) {
  check(x, weight, output);
  const auto axis = [&](int i) {
    return Axis{x.shape(1 + i), output[i], weight.shape(i), stride[i], dilation[i], before[i], false};
  };
  std::vector<mx::array> inputs{row_contiguous(x), weight};
  if (bias) {
    require(bias->ndim() == 1 && bias->shape(0) == x.shape(3) && bias->dtype() == x.dtype(), "lucid: bias must be (C,)");
    inputs.push_back(row_contiguous(*bias));
  }
  return apply(Gather{axis(0), axis(1), false, bias.has_value()}, inputs, {x.dtype()})[0];
}

// dx (N, H, W, C) from dy (N, OH, OW, C) and weight.
mx::array depthwise_conv2d_input_gradient(const mx::array& dy, const mx::array& weight, Pair size, Pair stride,
                                          Pair before, Pair dilation) {
  check(dy, weight, size);
  const bool dense = stride == Pair{1, 1} && dilation == Pair{1, 1};
  const auto axis = [&](int i) {
    const int kernel = weight.shape(i), flipped = kernel - 1 - before[i];
    return Axis{dy.shape(1 + i), size[i], kernel, stride[i], dilation[i], dense ? flipped : before[i], !dense};
  };
  return apply(Gather{axis(0), axis(1), dense, false}, {row_contiguous(dy), weight}, {dy.dtype()})[0];
}

// The gradients of weight, (C, KH, KW), and bias, (C,), in float32.
std::vector<mx::array> depthwise_conv2d_weight_gradient(const mx::array& x, const mx::array& dy, Pair kernel,
                                                        Pair stride, Pair before, Pair dilation) {
  require(x.ndim() == 4 && dy.ndim() == 4 && x.shape(0) == dy.shape(0) && x.shape(3) == dy.shape(3),
          "lucid: x must be (N, H, W, C) and dy (N, OH, OW, C)");
  require(x.dtype() == dy.dtype(), "lucid: x and dy must have the same dtype");
  require(x.size() > 0 && dy.size() > 0, "lucid: arrays must not be empty");
  const auto axis = [&](int i) {
    return Axis{x.shape(1 + i), dy.shape(1 + i), kernel[i], stride[i], dilation[i], before[i], false};
  };
  return apply(WeightGradient{axis(0), axis(1)}, {row_contiguous(x), row_contiguous(dy)}, {mx::float32, mx::float32});
}

}  // namespace lucid
