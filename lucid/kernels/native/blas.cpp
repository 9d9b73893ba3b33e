// Matrix products by OpenBLAS on Lucid's threads: c (M, N) = a (M, K) @ b (K, N) + start, float32.
//
// OpenBLAS's own threads wait for the next product by spinning, which takes the processor from the other kernels, and
// divide narrow matrices badly. Here each task multiplies a part with a single-threaded call: some rows or columns of c,
// or, where c is small, a part of the sum, and the parts are then added in order. The parts depend on the shapes only,
// so results do not depend on the number of threads.

#include <dlfcn.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "parallel.h"
#include "primitive.h"

namespace lucid {
namespace {

// cblas.h: row-major, not transposed, transposed.
constexpr int ROW_MAJOR = 101, AS_IT_IS = 111, TRANSPOSED = 112;
using Multiply = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*, int);
using SetThreads = void (*)(int);
using GetThreads = int (*)();

struct OpenBlas {
  Multiply multiply;
  SetThreads set_threads;
  int threads;  // what it had before Lucid used it
};

// None if no OpenBLAS is loaded whose functions the whole process sees.
const OpenBlas* open_blas() {
  static const OpenBlas found = [] {
    const auto get_threads = reinterpret_cast<GetThreads>(dlsym(RTLD_DEFAULT, "openblas_get_num_threads"));
    return OpenBlas{reinterpret_cast<Multiply>(dlsym(RTLD_DEFAULT, "cblas_sgemm")),
                    reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")),
                    get_threads == nullptr ? 0 : get_threads()};
  }();
  return found.multiply != nullptr && found.set_threads != nullptr && found.threads > 0 ? &found : nullptr;
}

constexpr int64_t ROWS = 1024, MIN_ROWS = 64;  // or columns, of a part
constexpr int64_t PARTS = 8;                   // of few rows or columns
constexpr int64_t TERMS = 4096;                // of a part of a sum
constexpr int64_t MAX_SUMS = 1 << 18;          // the largest c for which parts of sums are added
constexpr int64_t ALIGNMENT = 16;              // of where a part begins

// A part of a matrix, as BLAS reads it.
struct Matrix {
  const float* data;
  int order, stride;

  explicit Matrix(const mx::array& one)
      : data(one.data<float>()),
        order(one.flags().row_contiguous ? AS_IT_IS : TRANSPOSED),
        stride(std::max(one.shape(order == AS_IT_IS ? 1 : 0), 1)) {}

  const float* at(int64_t row, int64_t column) const {
    return data + (order == AS_IT_IS ? row * stride + column : column * stride + row);
  }
};

// Into how many parts of about `size` something is divided, and where part i begins.
struct Division {
  int64_t length, parts;

  Division(int64_t length, int64_t size) : length(length), parts(std::max<int64_t>(length / size, 1)) {}

  int64_t begin(int64_t i) const {
    return i == parts ? length : length * i / parts / ALIGNMENT * ALIGNMENT;
  }
};

struct BlasMatMul {
  bool operator==(const BlasMatMul&) const = default;
  static constexpr const char* name = "LucidBlasMatMul";

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const {
    return {{inputs[0].shape(0), inputs[1].shape(1)}};
  }

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    const bool has_start = inputs.size() > 2, is_map = has_start && inputs[2].ndim() == 2;
    if (is_map) {
      allocate_or_reuse(inputs[2], outputs[0]);
    } else {
      allocate(outputs[0]);
    }
    return [a = Matrix(inputs[0]), b = Matrix(inputs[1]), start = has_start ? inputs[2].data<float>() : nullptr, is_map,
            c = outputs[0].data<float>(), m = int64_t(inputs[0].shape(0)), k = int64_t(inputs[0].shape(1)),
            n = int64_t(inputs[1].shape(1))] {
      const OpenBlas& blas = *open_blas();
      blas.set_threads(1);
      if (m < 2 * ROWS && k >= 2 * TERMS && m * n <= MAX_SUMS) {
        add_parts(a, b, start, is_map, c, m, k, n);
      } else {
        multiply_parts(a, b, start, is_map, c, m, k, n);
      }
      blas.set_threads(blas.threads);
    };
  }

  // The rows from `top` to `bottom` and the columns from `left` to `right` of c.
  static void multiply(const Matrix& a, const Matrix& b, const float* start, bool is_map, float* c, int64_t n, int64_t k,
                       int64_t top, int64_t bottom, int64_t left, int64_t right) {
    if (start != nullptr) {
      for (int64_t i = top; i < bottom; ++i) {
        const float* const from = start + (is_map ? i * n : 0) + left;
        if (from != c + i * n + left) std::copy_n(from, right - left, c + i * n + left);
      }
    }
    open_blas()->multiply(ROW_MAJOR, a.order, b.order, int(bottom - top), int(right - left), int(k), 1.0F,
                          a.at(top, 0), a.stride, b.at(0, left), b.stride, start == nullptr ? 0.0F : 1.0F,
                          c + top * n + left, int(n));
  }

  static void multiply_parts(const Matrix& a, const Matrix& b, const float* start, bool is_map, float* c, int64_t m,
                             int64_t k, int64_t n) {
    const bool by_rows = m >= n;
    const Division parts(by_rows ? m : n, std::clamp<int64_t>((by_rows ? m : n) / PARTS, MIN_ROWS, ROWS));
    parallel(int(parts.parts), [&](int i) {
      const int64_t begin = parts.begin(i), end = parts.begin(i + 1);
      multiply(a, b, start, is_map, c, n, k, by_rows ? begin : 0, by_rows ? end : m, by_rows ? 0 : begin,
               by_rows ? n : end);
    });
  }

  // Products of parts of the rows and columns, side by side, then added in order.
  static void add_parts(const Matrix& a, const Matrix& b, const float* start, bool is_map, float* c, int64_t m,
                        int64_t k, int64_t n) {
    const Division parts(k, TERMS);
    const std::unique_ptr<float[]> products(new float[parts.parts * m * n]);
    parallel(int(parts.parts), [&](int i) {
      const int64_t from = parts.begin(i), to = parts.begin(i + 1);
      open_blas()->multiply(ROW_MAJOR, a.order, b.order, int(m), int(n), int(to - from), 1.0F, a.at(0, from), a.stride,
                            b.at(from, 0), b.stride, 0.0F, products.get() + i * m * n, int(n));
    });
    parallel(int(m), [&](int i) {
      for (int64_t j = 0; j < n; ++j) {
        float sum = start == nullptr ? 0.0F : start[is_map ? i * n + j : j];
        for (int64_t part = 0; part < parts.parts; ++part) sum += products[(part * m + i) * n + j];
        c[i * n + j] = sum;
      }
    });
  }
};

}  // namespace

bool has_blas() {
  return open_blas() != nullptr;
}

mx::array blas_matmul(const mx::array& a, const mx::array& b, const std::optional<mx::array>& start) {
  require(open_blas() != nullptr, "lucid: OpenBLAS is not loaded");
  require(a.ndim() == 2 && b.ndim() == 2 && a.shape(1) == b.shape(0), "lucid: a must be (M, K) and b (K, N)");
  require(a.dtype() == mx::float32 && b.dtype() == mx::float32, "lucid: a and b must be float32");
  require(a.size() > 0 && b.size() > 0, "lucid: a and b must not be empty");
  const auto readable = [](const mx::array& one) { return mx::contiguous(one, true, cpu_stream()); };
  std::vector<mx::array> inputs{readable(a), readable(b)};
  if (start) {
    const mx::Shape row{b.shape(1)}, map{a.shape(0), b.shape(1)};
    require((start->shape() == row || start->shape() == map) && start->dtype() == mx::float32,
            "lucid: start must be float32 (N,) or (M, N)");
    inputs.push_back(row_contiguous(*start));
  }
  return apply(BlasMatMul{}, inputs, {mx::float32})[0];
}

}  // namespace lucid
