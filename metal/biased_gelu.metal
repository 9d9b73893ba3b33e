// The gradients of y = gelu(h + bias) * factor, with the sum for the bias in the pass that computes that of h, and what
// ConvNeXt V2's global response normalization of gelu(h + bias) needs: sums over each image, and the same gradient with
// a scale and a shift for each image and channel.
//
// h and its gradient are (rows, channels), row-contiguous; bias is (channels,), factor one number per image of
// `image_rows` rows. y and its gradient dy are (rows, width): a row may end with columns for the bias of the Linear that
// follows, see padded_gelu. Each thread owns one channel, so a simdgroup reads neighboring addresses. Arithmetic and sums
// are float; T is the type of the arrays. The order of every sum is fixed, and nothing is atomic.
//
// This file is the header of a kernel that mx.fast.metal_kernel generates; see depthwise_conv2d.metal for the
// conventions. `sizes` = (rows, channels, image_rows, width).

// ---------------------------------------------------------------------------------------------------------------------
// (x Phi(x))' = 0.5 + x P(x^2) / Q(x^2), with an error below 4e-7 for float x; x is clamped to 6, below -6 it is 0
//
// The polynomials are those of lucid/kernels/gelu.py.
// ---------------------------------------------------------------------------------------------------------------------
inline float gelu_slope(float x) {
  const bool vanishes = x < -6.0f;
  x = x > 6.0f ? 6.0f : x;
  const float s = vanishes ? 0.0f : x * x;
  float p = 1.90939327e-07f;
  p = fma(p, s, 3.58495233e-05f);
  p = fma(p, s, 2.39007449e-05f);
  p = fma(p, s, 0.0142102294f);
  p = fma(p, s, -0.030758892f);
  p = fma(p, s, 0.797884659f);
  float q = 8.88893374e-06f;
  q = fma(q, s, 0.000193403251f);
  q = fma(q, s, 0.00352844547f);
  q = fma(q, s, 0.0410589392f);
  q = fma(q, s, 0.294786967f);
  q = fma(q, s, 1.0f);
  return vanishes ? 0.0f : fma(x, p / q, 0.5f);
}

// ---------------------------------------------------------------------------------------------------------------------
// x Phi(x), Phi(x) = 0.5 + x P(x^2) / Q(x^2), with an error below 2e-7 for Phi
//
// Phi is a rounding error from 1 above 5.3, where its argument is clamped, and from 0 below -5.3, where x Phi(x) is 0.
// ---------------------------------------------------------------------------------------------------------------------
inline float gelu_value(float x) {
  const bool vanishes = x < -5.3f;
  const float v = vanishes ? 0.0f : (x > 5.3f ? 5.3f : x);
  const float s = v * v;
  float p = 2.40599511e-08f;
  p = fma(p, s, 6.37798146e-06f);
  p = fma(p, s, 0.000160199799f);
  p = fma(p, s, 0.0046271894f);
  p = fma(p, s, 0.0329227651f);
  p = fma(p, s, 0.398942256f);
  float q = 1.23736739e-06f;
  q = fma(q, s, 7.13080562e-05f);
  q = fma(q, s, 0.00183581824f);
  q = fma(q, s, 0.0281313511f);
  q = fma(q, s, 0.249191378f);
  q = fma(q, s, 1.0f);
  return vanishes ? 0.0f : x * fma(v, p / q, 0.5f);
}

// ---------------------------------------------------------------------------------------------------------------------
// dh[r,c] = dy[r,c] * factor[r / image_rows] * gelu'(h[r,c] + bias[c])
// sums[k,c] = the sum of dh[r,c] over the rows of chunk k
//
// thread: one channel, the rows of one chunk.
// grid: (channels, chunks, 1)
// border: threads outside of the grid's channels and chunks without rows write nothing but a sum of zero.
// cost per output: 2 loads (and 1 of the factor per image), 1 store, 24 operations; one store of the sum per chunk.
// ---------------------------------------------------------------------------------------------------------------------
template <
    typename T, bool FACTOR, typename DY, typename H, typename Bias, typename Factor, typename Sizes, typename DH,
    typename Sums>
inline void biased_gelu_gradient(
    DY dy, H h, Bias bias, Factor factor, Sizes sizes, DH dh, Sums sums, uint3 at, uint3 grid) {
  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], width = sizes[3];
  const int c = int(at.x);
  if (c >= channels) {
    return;
  }
  const int chunk_rows = (rows + int(grid.y) - 1) / int(grid.y);
  const int begin = int(at.y) * chunk_rows;
  const int end = min(begin + chunk_rows, rows);
  const float shift = float(bias[c]);
  float sum = 0.0f;
#pragma unroll 4
  for (int row = begin; row < end; ++row) {
    const size_t i = size_t(row) * size_t(channels) + size_t(c);
    const size_t from = size_t(row) * size_t(width) + size_t(c);
    float value = float(dy[from]) * gelu_slope(float(h[i]) + shift);
    if (FACTOR) {
      value *= float(factor[row / image_rows]);
    }
    dh[i] = T(value);
    sum += value;
  }
  sums[at.y * uint(channels) + uint(c)] = sum;
}

// ---------------------------------------------------------------------------------------------------------------------
// sums[k,n,c] = the sum of x[r,c]^2 over the rows of chunk k of image n, x = gelu(h + bias)
//
// thread: one channel, the rows of one chunk of one image.
// grid: (channels, chunks, images)
// cost: 1 load and 26 operations per element of h, one store of the sum per chunk.
// ---------------------------------------------------------------------------------------------------------------------
template <typename H, typename Bias, typename Sizes, typename Sums>
inline void gelu_square_sums(H h, Bias bias, Sizes sizes, Sums sums, uint3 at, uint3 grid) {
  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2];
  const int c = int(at.x), image = int(at.z);
  if (c >= channels || image * image_rows >= rows) {
    return;
  }
  const int chunk_rows = (image_rows + int(grid.y) - 1) / int(grid.y);
  const int begin = int(at.y) * chunk_rows;
  const int end = min(begin + chunk_rows, image_rows);
  const float shift = float(bias[c]);
  float sum = 0.0f;
#pragma unroll 4
  for (int row = begin; row < end; ++row) {
    const size_t i = (size_t(image) * size_t(image_rows) + size_t(row)) * size_t(channels) + size_t(c);
    const float x = gelu_value(float(h[i]) + shift);
    sum = fma(x, x, sum);
  }
  sums[(size_t(at.y) * size_t(rows / image_rows) + size_t(image)) * size_t(channels) + size_t(c)] = sum;
}

// ---------------------------------------------------------------------------------------------------------------------
// sums[k,n,0,c] = the sum of dy[r,c] * gelu(h[r,c] + bias[c]) over the rows of chunk k of image n
// sums[k,n,1,c] = the sum of dy[r,c]
//
// thread, grid: as gelu_square_sums
// cost: 2 loads and 27 operations per element of h, two stores per chunk.
// ---------------------------------------------------------------------------------------------------------------------
template <typename DY, typename H, typename Bias, typename Sizes, typename Sums>
inline void gelu_product_sums(DY dy, H h, Bias bias, Sizes sizes, Sums sums, uint3 at, uint3 grid) {
  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], width = sizes[3];
  const int c = int(at.x), image = int(at.z);
  if (c >= channels || image * image_rows >= rows) {
    return;
  }
  const int chunk_rows = (image_rows + int(grid.y) - 1) / int(grid.y);
  const int begin = int(at.y) * chunk_rows;
  const int end = min(begin + chunk_rows, image_rows);
  const float shift = float(bias[c]);
  float product = 0.0f, sum = 0.0f;
#pragma unroll 4
  for (int row = begin; row < end; ++row) {
    const size_t row_in_all = size_t(image) * size_t(image_rows) + size_t(row);
    const size_t i = row_in_all * size_t(channels) + size_t(c);
    const float d = float(dy[row_in_all * size_t(width) + size_t(c)]);
    product = fma(d, gelu_value(float(h[i]) + shift), product);
    sum += d;
  }
  const size_t at_chunk = (size_t(at.y) * size_t(rows / image_rows) + size_t(image)) * 2;
  sums[at_chunk * size_t(channels) + size_t(c)] = product;
  sums[(at_chunk + 1) * size_t(channels) + size_t(c)] = sum;
}

// ---------------------------------------------------------------------------------------------------------------------
// dh[r,c] = (dy[r,c] * scale[n,c] + gelu(z) * shift[n,c]) * gelu'(z), z = h[r,c] + bias[c], n the image of row r
// sums[n,k,c] = the sum of dh[r,c] over the rows of chunk k of image n
//
// thread, grid: as gelu_square_sums
// cost: 2 loads, 1 store and 52 operations per element of h; one store of the sum per chunk.
// ---------------------------------------------------------------------------------------------------------------------
template <
    typename T, typename DY, typename H, typename Bias, typename Scale, typename Shift, typename Sizes, typename DH,
    typename Sums>
inline void scaled_gelu_gradient(
    DY dy, H h, Bias bias, Scale scale, Shift shift, Sizes sizes, DH dh, Sums sums, uint3 at, uint3 grid) {
  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], width = sizes[3];
  const int c = int(at.x), image = int(at.z);
  if (c >= channels || image * image_rows >= rows) {
    return;
  }
  const int chunk_rows = (image_rows + int(grid.y) - 1) / int(grid.y);
  const int begin = int(at.y) * chunk_rows;
  const int end = min(begin + chunk_rows, image_rows);
  const float b = float(bias[c]);
  const size_t at_image = size_t(image) * size_t(channels) + size_t(c);
  const float times = float(scale[at_image]), plus = float(shift[at_image]);
  float sum = 0.0f;
#pragma unroll 4
  for (int row = begin; row < end; ++row) {
    const size_t row_in_all = size_t(image) * size_t(image_rows) + size_t(row);
    const size_t i = row_in_all * size_t(channels) + size_t(c);
    const float z = float(h[i]) + b;
    const float d = float(dy[row_in_all * size_t(width) + size_t(c)]);
    const float value = fma(d, times, gelu_value(z) * plus) * gelu_slope(z);
    dh[i] = T(value);
    sum += value;
  }
  sums[(size_t(image) * size_t(grid.y) + size_t(at.y)) * size_t(channels) + size_t(c)] = sum;
}

// ---------------------------------------------------------------------------------------------------------------------
// y[r,c] = gelu(h[r,c] + bias[c]) * factor[n]                with SCALE: ... * scale[n,c] + shift[n,c]
// y[r,channels] = factor[n], the columns after it are 0      n the image of row r; without FACTOR, factor is 1
//
// A product with a matrix whose row `channels` is a bias adds the bias, and its gradient contains that of the bias.
//
// thread: one column of y, the rows of one chunk of one image.
// grid: (width, chunks, images)
// cost: 1 load, 1 store and 25 operations per element of h; 1 store for every other column.
// ---------------------------------------------------------------------------------------------------------------------
template <
    typename T, bool FACTOR, bool SCALE, typename H, typename Bias, typename Factor, typename Scale, typename Shift,
    typename Sizes, typename Y>
inline void padded_gelu(
    H h, Bias bias, Factor factor, Scale scale, Shift shift, Sizes sizes, Y y, uint3 at, uint3 grid) {
  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], width = sizes[3];
  const int c = int(at.x), image = int(at.z);
  if (c >= width || image * image_rows >= rows) {
    return;
  }
  const int chunk_rows = (image_rows + int(grid.y) - 1) / int(grid.y);
  const int begin = int(at.y) * chunk_rows;
  const int end = min(begin + chunk_rows, image_rows);
  const size_t first = size_t(image) * size_t(image_rows);
  const float all = FACTOR ? float(factor[image]) : 1.0f;
  if (c >= channels) {
    const T value = T(c == channels ? all : 0.0f);
#pragma unroll 4
    for (int row = begin; row < end; ++row) {
      y[(first + size_t(row)) * size_t(width) + size_t(c)] = value;
    }
    return;
  }
  const float b = float(bias[c]);
  const size_t at_image = size_t(image) * size_t(channels) + size_t(c);
  const float times = SCALE ? float(scale[at_image]) : all;
  const float plus = SCALE ? float(shift[at_image]) : 0.0f;
#pragma unroll 4
  for (int row = begin; row < end; ++row) {
    const size_t i = (first + size_t(row)) * size_t(channels) + size_t(c);
    y[(first + size_t(row)) * size_t(width) + size_t(c)] = T(fma(gelu_value(float(h[i]) + b), times, plus));
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// y as padded_gelu without FACTOR and SCALE, and
// sums[k,n,c] = the sum of gelu(h[r,c] + bias[c])^2 over the rows of chunk k of image n
//
// thread, grid: as padded_gelu
// cost: 1 load, 1 store and 26 operations per element of h; one store of the sum per chunk.
// ---------------------------------------------------------------------------------------------------------------------
template <typename T, typename H, typename Bias, typename Sizes, typename Y, typename Sums>
inline void gelu_and_square_sums(H h, Bias bias, Sizes sizes, Y y, Sums sums, uint3 at, uint3 grid) {
  const int rows = sizes[0], channels = sizes[1], image_rows = sizes[2], width = sizes[3];
  const int c = int(at.x), image = int(at.z);
  if (c >= width || image * image_rows >= rows) {
    return;
  }
  const int chunk_rows = (image_rows + int(grid.y) - 1) / int(grid.y);
  const int begin = int(at.y) * chunk_rows;
  const int end = min(begin + chunk_rows, image_rows);
  const size_t first = size_t(image) * size_t(image_rows);
  if (c >= channels) {
    const T value = T(c == channels ? 1.0f : 0.0f);
#pragma unroll 4
    for (int row = begin; row < end; ++row) {
      y[(first + size_t(row)) * size_t(width) + size_t(c)] = value;
    }
    return;
  }
  const float b = float(bias[c]);
  float sum = 0.0f;
#pragma unroll 4
  for (int row = begin; row < end; ++row) {
    const size_t i = (first + size_t(row)) * size_t(channels) + size_t(c);
    const float x = gelu_value(float(h[i]) + b);
    y[(first + size_t(row)) * size_t(width) + size_t(c)] = T(x);
    sum = fma(x, x, sum);
  }
  sums[(size_t(at.y) * size_t(rows / image_rows) + size_t(image)) * size_t(channels) + size_t(c)] = sum;
}
