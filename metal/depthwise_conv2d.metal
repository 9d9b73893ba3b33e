// Depthwise two-dimensional convolution: output, input gradient, weight gradient.
//
// Images are (N, height, width, channels), row-contiguous; the weight is (channels, KH, KW). Each thread computes one
// channel. Neighboring threads compute neighboring channels, so a simdgroup reads neighboring addresses of images. The
// taps of a channel are neighbors in the weight, so the rolling functions read it through threadgroup memory; in the
// general ones each access of a simdgroup reads a cache line per lane. All sums are float; T is the type of images and
// weight, R that of their values in registers. Nothing is atomic.
//
// The order of every sum is fixed: kernel rows from the top, kernel columns from the left, starting with the bias.
// Outputs and input gradients are therefore bitwise equal for every S, every division into chunks, and for the rolling
// and the general functions.
//
// This file is the header of the kernels that mx.fast.metal_kernel generates; each kernel is one call of a function
// below. Pointer types are template parameters because MLX passes inputs of fewer than 8 elements in the address space
// `constant` and all others in `device`. `bounds` is such a short input:
//
//   bounds = (top, left, out_height, out_width, 0, rows)    padding before the first row and column (negative: crop),
//                                                           the size of the output, and in rolling_forward the rows of
//                                                           a chunk
//
// The rolling functions add the 0 to a column in each row. The compiler, which does not know its value, then computes
// the positions of a strip again in each row, instead of keeping them in 30 registers.
//
// The general functions also take
//
//   params = (KH, KW, stride_h, stride_w, dilation_h, dilation_w)
//
// Offsets inside an image are int: an image has fewer than 2^31 elements. Offsets of images are size_t.

// ---------------------------------------------------------------------------------------------------------------------
// values[j] = row[first + j], 0 outside of the image
//
// `row` points to this thread's channel in the first column. At a border every load is made, from the nearest column
// inside, so that all of them are in flight together: a load under a condition waits for the one before. The pointer moves
// from column to column, which takes fewer registers than an address for each.
// ---------------------------------------------------------------------------------------------------------------------
template <typename R, int COUNT, typename Row>
inline void load_row(Row row, int first, int width, int channels, thread R (&values)[COUNT]) {
  row += clamp(first, 0, width - 1) * channels;
  if (first >= 0 && first + COUNT <= width) {
#pragma unroll
    for (int j = 0; j < COUNT; ++j) {
      values[j] = R(row[0]);
      row += channels;
    }
  } else {
#pragma unroll
    for (int j = 0; j < COUNT; ++j) {
      const int column = first + j;
      const R value = R(row[0]);
      values[j] = column >= 0 && column < width ? value : R(0.0f);
      row += column >= 0 && column < width - 1 ? channels : 0;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// y[n,h,w,c] = bias[c] + sum over (i,j) of x[n, h+i-top, w+j-left, c] * weight[c,i,j]    stride 1, dilation 1
//
// With FLIP, the taps are in reverse order: weight[c, KH-1-i, KW-1-j]. With MAP, `bias` is an array like y, whose values
// are added to the sums: bias[n,h,w,c].
//
// thread: one channel, a strip of S output columns, the rows of one chunk. It iterates over the input rows from the
//   top. Each row is loaded once and added to the KH output rows that depend on it. Their KH * S sums and the KH * KW
//   weights stay in registers. sums[r] belongs to output row `lowest + r`; after each input row the first is complete
//   and the others move up.
// threadgroup: up to LANES channels, several strips. Its threads load the weights of the channels into `shared`, from
//   neighboring addresses.
// grid: (channels, strips * chunks, N)
// border: load_row returns zeros for columns outside; rows outside are skipped.
// cost per output: (S+KW-1)/S * (rows+KH-1)/rows loads, KH*KW multiply-adds, 1 store. For 7x7, S 4, 14 rows: 3.6 loads.
//   Per thread KH*KW loads from threadgroup memory.
// ---------------------------------------------------------------------------------------------------------------------
template <
    typename T, typename R, int KH, int KW, int S, bool FLIP, bool BIAS, bool MAP, typename X, typename Weight,
    typename B, typename Bounds, typename Y>
inline void rolling_forward(
    X x, Weight weight, B bias, Bounds bounds, Y y, threadgroup R* shared, int height, int width, int channels,
    uint3 at, uint3 position, uint3 group) {
  const int top = bounds[0], out_height = bounds[2], out_width = bounds[3], zero = bounds[4], rows = bounds[5];
  const int c = int(at.x);
  const int lane = int(position.x);
  const int strips = (out_width + S - 1) / S;
  const int column = int(at.y) % strips * S;
  const int begin = int(at.y) / strips * rows;
  const int end = min(begin + rows, out_height);
  int first = column - bounds[1];

  // shared[l * KH * KW + i * KW + j]: weight[c - lane + l, i, j]
  weight += size_t(c - lane) * size_t(KH * KW);
  const int taps = min(int(group.x), channels - (c - lane)) * (KH * KW);
#pragma unroll 1
  for (int i = int(position.y * group.x + position.x); i < taps; i += int(group.x * group.y)) {
    shared[i] = R(weight[i]);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (c >= channels || begin >= end) {
    return;
  }
  x += size_t(at.z) * size_t(height) * size_t(width * channels) + size_t(c);
  const size_t image = size_t(at.z) * size_t(out_height) * size_t(out_width * channels) + size_t(c);
  y += image;
  if (MAP) {
    bias += image;
  }

  R tap[KH][KW];
#pragma unroll
  for (int i = 0; i < KH; ++i) {
#pragma unroll
    for (int j = 0; j < KW; ++j) {
      const int number = i * KW + j;
      tap[i][j] = shared[lane * KH * KW + (FLIP ? KH * KW - 1 - number : number)];
    }
  }
  const float start = BIAS && !MAP ? float(bias[c]) : 0.0f;
  float sums[KH][S];
#pragma unroll
  for (int r = 0; r < KH; ++r) {
#pragma unroll
    for (int s = 0; s < S; ++s) {
      sums[r][s] = start;
    }
  }

  const int pitch = width * channels;
  X line = x + (begin - top) * pitch;
#pragma unroll 1
  for (int lowest = begin - (KH - 1); lowest < end; ++lowest, line += pitch) {
    first += zero;
    const int row = lowest + (KH - 1) - top;  // the last input row that output row `lowest` needs
    if (row >= 0 && row < height) {
      R values[S + KW - 1];
      load_row(line, first, width, channels, values);
#pragma unroll
      for (int r = 0; r < KH; ++r) {
        if (lowest + r >= begin && lowest + r < end) {
#pragma unroll
          for (int s = 0; s < S; ++s) {
#pragma unroll
            for (int j = 0; j < KW; ++j) {
              sums[r][s] = fma(float(values[s + j]), float(tap[KH - 1 - r][j]), sums[r][s]);
            }
          }
        }
      }
    }
#pragma unroll
    for (int s = 0; s < S; ++s) {
      if (lowest >= begin && column + s < out_width) {
        const int i = (lowest * out_width + column + s) * channels;
        y[i] = T(MAP ? sums[0][s] + float(bias[i]) : sums[0][s]);
      }
#pragma unroll
      for (int r = 0; r + 1 < KH; ++r) {
        sums[r][s] = sums[r + 1][s];
      }
      sums[KH - 1][s] = start;
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// y[n,h,w,c] = bias[c] + sum over (i,j) of x[n,a,b,c] * weight[c,i,j]
//              with a = h * stride_h + i * dilation_h - top, b = w * stride_w + j * dilation_w - left
//
// With FLIP, the taps are in reverse order.
//
// thread: one channel, S output columns of one row. DENSE requires stride_w = dilation_w = 1. The S columns then share
//   a window of values that slides along the row, STEP kernel columns at a time.
// grid: (channels * ceil(out_width / S), out_height, N)
// border: values outside are not loaded.
// cost per output: KH*KW loads (DENSE: KH * (S+KW-1)/S), KH*KW/S loads of weights, KH*KW multiply-adds, 1 store.
// ---------------------------------------------------------------------------------------------------------------------
template <
    typename T, int S, bool FLIP, bool DENSE, bool BIAS, typename X, typename Weight, typename B, typename Params,
    typename Bounds, typename Y>
inline void general_forward(
    X x, Weight weight, B bias, Params params, Bounds bounds, Y y, int height, int width, int channels, uint3 at) {
  constexpr int STEP = 4;
  const int kh = params[0], kw = params[1], stride_h = params[2], stride_w = params[3];
  const int dilation_h = params[4], dilation_w = params[5];
  const int top = bounds[0], left = bounds[1], out_height = bounds[2], out_width = bounds[3];
  const int c = int(at.x) % channels;
  const int column = int(at.x) / channels * S;
  const int out_row = int(at.y);
  if (column >= out_width || out_row >= out_height) {
    return;
  }
  x += size_t(at.z) * size_t(height) * size_t(width * channels) + size_t(c);
  y += size_t(at.z) * size_t(out_height) * size_t(out_width * channels) + size_t(c);
  weight += size_t(c) * size_t(kh * kw);

  float sums[S];
#pragma unroll
  for (int s = 0; s < S; ++s) {
    sums[s] = BIAS ? float(bias[c]) : 0.0f;
  }
  const int first = column * stride_w - left;
#pragma unroll 1
  for (int i = 0; i < kh; ++i) {
    const int row = out_row * stride_h + i * dilation_h - top;
    if (row < 0 || row >= height) {
      continue;
    }
    X line = x + row * width * channels;
    if (DENSE) {
      float window[S + STEP - 1];  // window[s] = line[first + j0 + s]
#pragma unroll
      for (int s = 0; s < S - 1; ++s) {
        const int w = first + s;
        window[s] = (w >= 0 && w < width) ? float(line[w * channels]) : 0.0f;
      }
#pragma unroll 1
      for (int j0 = 0; j0 < kw; j0 += STEP) {
        float tap[STEP];
#pragma unroll
        for (int j = 0; j < STEP; ++j) {
          const bool real = j0 + j < kw;
          const int w = first + j0 + j + S - 1;
          window[S - 1 + j] = (real && w >= 0 && w < width) ? float(line[w * channels]) : 0.0f;
          const int number = i * kw + j0 + j;
          tap[j] = real ? float(weight[FLIP ? kh * kw - 1 - number : number]) : 0.0f;
        }
#pragma unroll
        for (int j = 0; j < STEP; ++j) {
#pragma unroll
          for (int s = 0; s < S; ++s) {
            if (j0 + j < kw) {
              sums[s] = fma(window[s + j], tap[j], sums[s]);
            }
          }
        }
#pragma unroll
        for (int s = 0; s < S - 1; ++s) {
          window[s] = window[s + STEP];
        }
      }
    } else {
#pragma unroll 1
      for (int j = 0; j < kw; ++j) {
        const int number = i * kw + j;
        const float tap = float(weight[FLIP ? kh * kw - 1 - number : number]);
#pragma unroll
        for (int s = 0; s < S; ++s) {
          const int w = first + s * stride_w + j * dilation_w;
          const float value = (w >= 0 && w < width) ? float(line[w * channels]) : 0.0f;
          sums[s] = fma(value, tap, sums[s]);
        }
      }
    }
  }
#pragma unroll
  for (int s = 0; s < S; ++s) {
    if (column + s < out_width) {
      y[(out_row * out_width + column + s) * channels] = T(sums[s]);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// dx[n,h,w,c] = sum over (i,j) of dy[n,a,b,c] * weight[c,i,j]
//               with a = (h + top - i * dilation_h) / stride_h, b = (w + left - j * dilation_w) / stride_w,
//               for those (i,j) where both divisions have no remainder
//
// Only for strides: with stride 1 the input gradient is a convolution of dy with the flipped weight.
// `size` = (height, width) of dx; out_height and out_width in `bounds` are the size of dy.
//
// thread: one channel, S columns of one row of dx.
// grid: (channels * ceil(width / S), height, N)
// border: values outside of dy are not loaded.
// cost per value: about KH*KW/(stride_h*stride_w) loads and multiply-adds, KH*KW/(S*stride_h) loads of weights,
//   1 store.
// ---------------------------------------------------------------------------------------------------------------------
template <typename T, int S, typename Dy, typename Weight, typename Params, typename Bounds, typename Size, typename Dx>
inline void strided_input_gradient(
    Dy dy, Weight weight, Params params, Bounds bounds, Size size, Dx dx, int channels, uint3 at) {
  const int kh = params[0], kw = params[1], stride_h = params[2], stride_w = params[3];
  const int dilation_h = params[4], dilation_w = params[5];
  const int top = bounds[0], left = bounds[1], out_height = bounds[2], out_width = bounds[3];
  const int height = size[0], width = size[1];
  const int c = int(at.x) % channels;
  const int column = int(at.x) / channels * S;
  const int row = int(at.y);
  if (column >= width || row >= height) {
    return;
  }
  dy += size_t(at.z) * size_t(out_height) * size_t(out_width * channels) + size_t(c);
  dx += size_t(at.z) * size_t(height) * size_t(width * channels) + size_t(c);
  weight += size_t(c) * size_t(kh * kw);

  float sums[S];
#pragma unroll
  for (int s = 0; s < S; ++s) {
    sums[s] = 0.0f;
  }
#pragma unroll 1
  for (int i = 0; i < kh; ++i) {
    const int from = row + top - i * dilation_h;
    const int out_row = from / stride_h;
    if (from < 0 || out_row >= out_height || out_row * stride_h != from) {
      continue;
    }
    Dy line = dy + out_row * out_width * channels;
#pragma unroll 1
    for (int j = 0; j < kw; ++j) {
      const float tap = float(weight[i * kw + j]);
#pragma unroll
      for (int s = 0; s < S; ++s) {
        const int across = column + s + left - j * dilation_w;
        const int w = across / stride_w;
        if (across >= 0 && w < out_width && w * stride_w == across) {
          sums[s] = fma(float(line[w * channels]), tap, sums[s]);
        }
      }
    }
  }
#pragma unroll
  for (int s = 0; s < S; ++s) {
    if (column + s < width) {
      dx[(row * width + column + s) * channels] = T(sums[s]);
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// partial[chunk, i*KW+j, c] = sum over the units of the chunk of x[n, h+i-top, w+j-left, c] * dy[n,h,w,c]
// partial[chunk, KH*KW, c]  = sum over the units of the chunk of dy[n,h,w,c]             stride 1, dilation 1
//
// The caller sums over the chunks. The result is the gradient of the weight and, in the last row, that of the bias.
//
// A unit is a strip of S output columns of one image and `rows` output rows. Units are numbered by strip, then by rows,
// then by image. cut = (rows, units per thread).
//
// thread: one channel, the units from `at.y * count` on. It iterates over the input rows of each unit from the top. Each
//   row is loaded once and multiplied with the last KH rows of dy, which stay in registers like the KH*KW sums. dys[i]
//   is row `out_row - i` of dy, which kernel row i connects to input row `row`.
// threadgroup: LANES channels, GROUPS threads each. It adds up the sums of its threads in their order, one kernel row at
//   a time in `shared`, and writes one partial sum per channel and tap.
// grid: (channels, GROUPS * chunks, 1)
// border: load_row returns zeros for columns outside; rows of dy outside of the unit are skipped. A thread without a
//   channel or units adds zeros, because every thread must reach the barriers.
// cost per output: (S+KW-1)/S * (rows+KH-1)/rows loads of x, 1 load of dy, KH*KW multiply-adds. Per thread KH * (KW + 8)
//   accesses to threadgroup memory, KH*KW/8 stores.
// ---------------------------------------------------------------------------------------------------------------------
template <
    typename R, int KH, int KW, int S, int LANES, int GROUPS, typename X, typename Dy, typename Bounds, typename Cut,
    typename Partial>
inline void rolling_weight_gradient(
    X x, Dy dy, Bounds bounds, Cut cut, Partial partial, threadgroup float* shared, int images, int height, int width,
    int channels, uint3 at) {
  const int top = bounds[0], left = bounds[1], out_height = bounds[2], out_width = bounds[3], zero = bounds[4];
  const int rows = cut[0], count = cut[1];
  const int strips = (out_width + S - 1) / S;
  const int row_chunks = (out_height + rows - 1) / rows;
  const int units = images * row_chunks * strips;
  const int c = int(at.x);
  const int lane = c % LANES;
  const int group = int(at.y) % GROUPS;
  const int next = min(int(at.y) * count, units);
  const int last = c < channels ? min(next + count, units) : next;

  float sums[KH][KW];
#pragma unroll
  for (int i = 0; i < KH; ++i) {
#pragma unroll
    for (int j = 0; j < KW; ++j) {
      sums[i][j] = 0.0f;
    }
  }
  float total = 0.0f;

#pragma unroll 1
  for (int unit = next; unit < last; ++unit) {
    const int chunk = unit / strips;
    const int n = chunk / row_chunks;
    int column = (unit - chunk * strips) * S;
    const int begin = (chunk - n * row_chunks) * rows;
    const int end = min(begin + rows, out_height);
    X image = x + (size_t(n) * size_t(height) * size_t(width * channels) + size_t(c));
    Dy gradient = dy + (size_t(n) * size_t(out_height) * size_t(out_width * channels) + size_t(c));
    R dys[KH][S];
#pragma unroll
    for (int i = 0; i < KH; ++i) {
#pragma unroll
      for (int s = 0; s < S; ++s) {
        dys[i][s] = R(0.0f);
      }
    }
#pragma unroll 1
    for (int out_row = begin; out_row < end + (KH - 1); ++out_row) {
      column += zero;
#pragma unroll
      for (int i = KH - 1; i > 0; --i) {
#pragma unroll
        for (int s = 0; s < S; ++s) {
          dys[i][s] = dys[i - 1][s];
        }
      }
      if (out_row < end) {
        load_row(gradient + out_row * out_width * channels, column, out_width, channels, dys[0]);
      } else {
#pragma unroll
        for (int s = 0; s < S; ++s) {
          dys[0][s] = R(0.0f);
        }
      }
#pragma unroll
      for (int s = 0; s < S; ++s) {
        total += float(dys[0][s]);
      }
      const int row = out_row - top;
      if (row >= 0 && row < height) {
        R values[S + KW - 1];
        load_row(image + row * width * channels, column - left, width, channels, values);
#pragma unroll
        for (int i = 0; i < KH; ++i) {
          if (out_row - i >= begin && out_row - i < end) {
#pragma unroll
            for (int j = 0; j < KW; ++j) {
#pragma unroll
              for (int s = 0; s < S; ++s) {
                sums[i][j] = fma(float(dys[i][s]), float(values[s + j]), sums[i][j]);
              }
            }
          }
        }
      }
    }
  }

  // shared[(g * (KW + 1) + j) * LANES + lane]: of thread g, sum j of one kernel row, or with j = KW the sum of dy
  partial += size_t(int(at.y) / GROUPS) * size_t(KH * KW + 1) * size_t(channels) + size_t(c);
#pragma unroll
  for (int i = 0; i < KH; ++i) {
    if (i > 0) {
      threadgroup_barrier(mem_flags::mem_threadgroup);  // the sums of the row before have been read
    }
#pragma unroll
    for (int j = 0; j < KW; ++j) {
      shared[(group * (KW + 1) + j) * LANES + lane] = sums[i][j];
    }
    if (i == 0) {
      shared[(group * (KW + 1) + KW) * LANES + lane] = total;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const int wanted = i == 0 ? KW + 1 : KW;
#pragma unroll 1
    for (int j = group; j < wanted; j += GROUPS) {
      float sum = 0.0f;
#pragma unroll
      for (int g = 0; g < GROUPS; ++g) {
        sum += shared[(g * (KW + 1) + j) * LANES + lane];
      }
      if (c < channels) {
        partial[(j < KW ? i * KW + j : KH * KW) * channels] = sum;
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// partial[chunk, i*KW+j, c] = sum over the (n,h) of the chunk and all w of
//                             x[n, h*stride_h+i*dilation_h-top, w*stride_w+j*dilation_w-left, c] * dy[n,h,w,c]
// partial[chunk, KH*KW, c]  = sum of dy over the same
//
// thread: one channel, TAPS neighboring columns of one kernel row, a chunk of the N * out_height rows of dy. DENSE
//   requires stride_w = dilation_w = 1. The kernel columns then share a window of values that slides along the row.
// grid: (channels, KH * ceil(KW / TAPS), chunks of rows)
// border: values outside are not loaded.
// cost per output and thread: 1 load of dy, 1 (DENSE) or TAPS loads of x, TAPS multiply-adds.
// ---------------------------------------------------------------------------------------------------------------------
template <int TAPS, bool DENSE, typename X, typename Dy, typename Params, typename Bounds, typename Partial>
inline void general_weight_gradient(
    X x, Dy dy, Params params, Bounds bounds, Partial partial, int images, int height, int width, int channels,
    uint3 at, uint3 grid) {
  const int kh = params[0], kw = params[1], stride_h = params[2], stride_w = params[3];
  const int dilation_h = params[4], dilation_w = params[5];
  const int top = bounds[0], left = bounds[1], out_height = bounds[2], out_width = bounds[3];
  const int blocks = (kw + TAPS - 1) / TAPS;
  const int c = int(at.x);
  const int i = int(at.y) / blocks;
  const int j0 = int(at.y) % blocks * TAPS;
  if (c >= channels || i >= kh) {
    return;
  }
  const int lines = images * out_height;
  const int count = (lines + int(grid.z) - 1) / int(grid.z);
  const int begin = min(int(at.z) * count, lines);
  const int end = min(begin + count, lines);

  float sums[TAPS];
#pragma unroll
  for (int j = 0; j < TAPS; ++j) {
    sums[j] = 0.0f;
  }
  float total = 0.0f;
#pragma unroll 1
  for (int line = begin; line < end; ++line) {
    const int n = line / out_height;
    const int row = (line - n * out_height) * stride_h + i * dilation_h - top;
    const bool inside = row >= 0 && row < height;
    if (!inside && at.y != 0) {
      continue;  // the first block continues, because it also sums dy for the bias
    }
    Dy gradient = dy + (size_t(line) * size_t(out_width * channels) + size_t(c));
    X values = x + (size_t(n) * size_t(height) * size_t(width * channels) + size_t(c));
    values += inside ? row * width * channels : 0;
    float window[TAPS];  // window[j] = values[w + j0 + j - left] for DENSE
#pragma unroll
    for (int j = 0; j < TAPS; ++j) {
      const int v = j0 + j - 1 - left;
      window[j] = (DENSE && inside && j > 0 && v >= 0 && v < width) ? float(values[v * channels]) : 0.0f;
    }
#pragma unroll 1
    for (int w = 0; w < out_width; ++w) {
      const float slope = float(gradient[w * channels]);
      total += slope;
      if (DENSE) {
#pragma unroll
        for (int j = 0; j + 1 < TAPS; ++j) {
          window[j] = window[j + 1];
        }
        const int v = w + j0 + TAPS - 1 - left;
        window[TAPS - 1] = (inside && v >= 0 && v < width) ? float(values[v * channels]) : 0.0f;
      } else {
#pragma unroll
        for (int j = 0; j < TAPS; ++j) {
          const int v = w * stride_w + (j0 + j) * dilation_w - left;
          window[j] = (inside && v >= 0 && v < width) ? float(values[v * channels]) : 0.0f;
        }
      }
#pragma unroll
      for (int j = 0; j < TAPS; ++j) {
        sums[j] = fma(slope, window[j], sums[j]);
      }
    }
  }
  partial += size_t(at.z) * size_t(kh * kw + 1) * size_t(channels) + size_t(c);
#pragma unroll
  for (int j = 0; j < TAPS; ++j) {
    if (j0 + j < kw) {
      partial[(i * kw + j0 + j) * channels] = sums[j];
    }
  }
  if (at.y == 0) {
    partial[kh * kw * channels] = total;
  }
}
