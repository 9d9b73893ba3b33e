// Matrix products by OpenBLAS on Lucid's threads: c (M, N) = a (M, K) @ b (K, N) + bias (N,), float32.
//
// OpenBLAS's own threads wait for the next product by spinning, which takes the processor from the other kernels, and
// divide narrow matrices badly. Here each task multiplies a part with a single-threaded call: some rows or columns of c,
// or, where c is small, a part of the sum, and the parts are then added in order. The parts depend on the shapes only,
// so results do not depend on the number of threads.

#include <dlfcn.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "matmul.h"
#include "parallel.h"

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
  GetThreads get_threads;
};

// None if no OpenBLAS is loaded whose functions the whole process sees.
const OpenBlas* open_blas() {
  static const OpenBlas found{reinterpret_cast<Multiply>(dlsym(RTLD_DEFAULT, "cblas_sgemm")),
                              reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads")),
                              reinterpret_cast<GetThreads>(dlsym(RTLD_DEFAULT, "openblas_get_num_threads"))};
  return found.multiply != nullptr && found.set_threads != nullptr && found.get_threads != nullptr ? &found : nullptr;
}

// While one of these lives, calls of OpenBLAS run on the thread that calls. Products of other streams may overlap.
class SingleThreaded {
 public:
  SingleThreaded() {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (users_++ > 0) return;
    threads_ = open_blas()->get_threads();
    open_blas()->set_threads(1);
  }
  ~SingleThreaded() {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (--users_ == 0) open_blas()->set_threads(threads_);
  }
  SingleThreaded(const SingleThreaded&) = delete;

 private:
  static inline std::mutex mutex_;
  static inline int users_ = 0, threads_ = 1;
};

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

struct BlasMatMul : MatrixProduct {
  bool operator==(const BlasMatMul&) const = default;
  static constexpr const char* name = "LucidBlasMatMul";

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    allocate(outputs[0]);
    return [a = Matrix(inputs[0]), b = Matrix(inputs[1]),
            bias = inputs.size() > 2 ? inputs[2].data<float>() : nullptr, c = outputs[0].data<float>(),
            m = int64_t(inputs[0].shape(0)), k = int64_t(inputs[0].shape(1)), n = int64_t(inputs[1].shape(1))] {
      const SingleThreaded here;
      if (m < 2 * ROWS && k >= 2 * TERMS && m * n <= MAX_SUMS) {
        add_parts(a, b, bias, c, m, k, n);
      } else {
        multiply_parts(a, b, bias, c, m, k, n);
      }
    };
  }

  static void multiply_parts(const Matrix& a, const Matrix& b, const float* bias, float* c, int64_t m, int64_t k,
                             int64_t n) {
    const bool by_rows = m >= n;
    const int64_t length = by_rows ? m : n;
    const Division parts(length, std::clamp(length / PARTS, MIN_ROWS, ROWS));
    parallel(int(parts.parts), [&](int i) {
      const int64_t begin = parts.begin(i), end = parts.begin(i + 1);
      const int64_t top = by_rows ? begin : 0, bottom = by_rows ? end : m;
      const int64_t left = by_rows ? 0 : begin, right = by_rows ? n : end;
      for (int64_t row = top; bias != nullptr && row < bottom; ++row) {
        std::copy_n(bias + left, right - left, c + row * n + left);
      }
      open_blas()->multiply(ROW_MAJOR, a.order, b.order, int(bottom - top), int(right - left), int(k), 1.0F,
                            a.at(top, 0), a.stride, b.at(0, left), b.stride, bias == nullptr ? 0.0F : 1.0F,
                            c + top * n + left, int(n));
    });
  }

  static void add_parts(const Matrix& a, const Matrix& b, const float* bias, float* c, int64_t m, int64_t k,
                        int64_t n) {
    const Division parts(k, TERMS);
    const std::unique_ptr<float[]> products(new float[parts.parts * m * n]);
    parallel(int(parts.parts), [&](int i) {
      const int64_t from = parts.begin(i), to = parts.begin(i + 1);
      open_blas()->multiply(ROW_MAJOR, a.order, b.order, int(m), int(n), int(to - from), 1.0F, a.at(0, from), a.stride,
                            b.at(from, 0), b.stride, 0.0F, products.get() + i * m * n, int(n));
    });
    parallel(int(m), [&](int row) {
      for (int64_t j = 0; j < n; ++j) {
        float sum = bias == nullptr ? 0.0F : bias[j];
        for (int64_t part = 0; part < parts.parts; ++part) sum += products[(part * m + row) * n + j];
        c[row * n + j] = sum;
      }
    });
  }
};

}  // namespace

bool has_blas() {
  return open_blas() != nullptr;
}

mx::array blas_matmul(const mx::array& a, const mx::array& b, const std::optional<mx::array>& bias) {
  require(has_blas(), "lucid: OpenBLAS is not loaded");
  const auto readable = [](const mx::array& one) { return mx::contiguous(one, true, cpu_stream()); };
  std::vector<mx::array> inputs = matmul_inputs(a, b, bias);
  inputs[0] = readable(a);
  inputs[1] = readable(b);
  return apply(BlasMatMul{}, inputs, {mx::float32})[0];
}

}  // namespace lucid
