// Matrix products in float32: c (M, N) = a (M, K) @ b (K, N) + bias (N,), with any strides of a and b.
//
// For the shapes of a network's linear layers: many rows, and a weight that fits into the cache. A tile of R rows and V
// vectors of columns stays in registers while k advances; each step loads V vectors of b and broadcasts R values of a.
// Columns of b that do not lie side by side in memory (those of a transposed weight) are copied into panels first.
//
// k runs in spans of SPAN, which limits the rounding error of long sums. A sum starts with the bias and adds products
// in order, so results depend neither on the tiles nor on the number of threads.

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "matmul.h"
#include "parallel.h"

namespace lucid {
namespace {

// Rows and vectors of a tile: as many sums as fit into the registers, besides V vectors of b and one value of a.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int ROWS = 12, VECTORS = 2;
#else
constexpr int ROWS = 6, VECTORS = 2;
#endif
constexpr int PANEL = VECTORS * LANES;
constexpr int64_t SPAN = 1024;

struct Matrix {
  const float* data;
  int64_t row, column;  // strides

  const float* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

// A tile of c for k in a span of `count`: a points at its first row, b at its first column, c at its first element.
// `first` is the first lane to store, for a panel that overlaps the one before it.
template <int R, int V>
void multiply_tile(Matrix a, Matrix b, int64_t count, const float* bias, bool is_first, float* c, int64_t c_row,
                   int first) {
  Floats<LANES> sums[R][V];
  unroll<V>([&](auto v) {
    const Floats<LANES> start = is_first && bias != nullptr ? load<LANES>(bias + v * LANES) : Floats<LANES>{};
    unroll<R>([&](auto r) { sums[r][v] = start; });
  });
  for (int64_t k = 0; k < count; ++k) {
    Floats<LANES> row[V];
    unroll<V>([&](auto v) { row[v] = load<LANES>(b.data + k * b.row + v * LANES); });
    unroll<R>([&](auto r) {
      const Floats<LANES> value = Floats<LANES>{} + *a.at(r, k);
      unroll<V>([&](auto v) { sums[r][v] += value * row[v]; });
    });
  }
  unroll<R>([&](auto r) {
    unroll<V>([&](auto v) {
      float* const to = c + r * c_row + v * LANES;
      const int skipped = std::clamp(first - v * LANES, 0, LANES);
      if (skipped == LANES) return;
      if (!is_first) sums[r][v] += load<LANES>(to);
      store_from<LANES>(skipped, to, sums[r][v]);
    });
  });
}

// All tiles of a panel; `a_tile` is the distance from one full tile of a to the next.
template <int V>
void multiply_rows(int rows, Matrix a, int64_t a_tile, Matrix b, int64_t count, const float* bias, bool is_first,
                   float* c, int64_t c_row, int first) {
  while (rows > 0) {
    const int done = rows >= ROWS ? ROWS : rows >= 4 ? 4 : 1;
    const auto tile = done == ROWS ? multiply_tile<ROWS, V> : done == 4 ? multiply_tile<4, V> : multiply_tile<1, V>;
    tile(a, b, count, bias, is_first, c, c_row, first);
    a.data += done == ROWS ? a_tile : done * a.row;
    c += done * c_row;
    rows -= done;
  }
}

struct MatMul : MatrixProduct {
  bool has_bias;
  bool operator==(const MatMul&) const = default;
  static constexpr const char* name = "LucidMatMul";

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    allocate(outputs[0]);
    const auto matrix = [](const mx::array& one) {
      return Matrix{one.data<float>(), one.strides(0), one.strides(1)};
    };
    return [self = *this, a = matrix(inputs[0]), b = matrix(inputs[1]),
            bias = has_bias ? inputs[2].data<float>() : nullptr, c = outputs[0].data<float>(),
            m = int64_t(inputs[0].shape(0)), k = int64_t(inputs[0].shape(1)), n = int64_t(inputs[1].shape(1))] {
      self.run(a, b, bias, c, m, k, n);
    };
  }

  void run(Matrix a, Matrix b, const float* bias, float* c, int64_t m, int64_t k, int64_t n) const {
    const int64_t panels = count_panels(n);
    std::unique_ptr<float[]> packed;
    if (b.column != 1) {
      packed.reset(new float[panels * k * PANEL]);
      pack(b, k, n, packed.get());
    }
    // A task computes a block of at most 8 tiles of rows, so that they share a panel of b while it is in the cache, and
    // of all panels, or of some where there are few rows.
    const int64_t tiles = (m + ROWS - 1) / ROWS, blocks = (tiles + 7) / 8, rows = (tiles + blocks - 1) / blocks * ROWS;
    const int64_t groups = std::clamp<int64_t>((4 * thread_count() + blocks - 1) / blocks, 1, panels);
    parallel(int(blocks * groups), [&](int task) {
      const int64_t top = task % blocks * rows, group = task / blocks;
      const int count = int(std::min(rows, m - top));  // none in the last blocks of some shapes
      if (count <= 0) return;
      // Rows a power of two apart compete for the same lines of the cache; with enough panels, copying them pays off.
      const int64_t begin = panels * group / groups, end = panels * (group + 1) / groups;
      std::unique_ptr<float[]> copied(end - begin >= 8 && a.column == 1 ? new float[rows * std::min(SPAN, k)] : nullptr);
      for (int64_t from = 0; from < k; from += SPAN) {
        const int64_t span = std::min(SPAN, k - from);
        Matrix left_part{a.at(top, from), a.row, a.column};
        if (copied) {
          copy_tiles(left_part, count, span, copied.get());
          left_part = {copied.get(), 1, ROWS};
        }
        for (int64_t panel = begin; panel < end; ++panel) {
          const int64_t wanted = panel * width(n), left = first_column(panel, n);
          const Matrix part = packed ? Matrix{packed.get() + (panel * k + from) * PANEL, PANEL, 1}
                                     : Matrix{b.at(from, left), b.row, 1};
          const bool is_single = width(n) == LANES || n - left == LANES;
          const auto multiply = is_single ? multiply_rows<1> : multiply_rows<VECTORS>;
          multiply(count, left_part, copied ? ROWS * span : ROWS * a.row, part, span,
                   bias == nullptr ? nullptr : bias + left, from == 0, c + top * n + left, n, int(wanted - left));
        }
      }
    });
  }

  // Tiles of rows of a, each (span, ROWS); the values of a row lie side by side.
  static void copy_tiles(Matrix a, int rows, int64_t span, float* to) {
    for (int tile = 0; tile < rows; tile += ROWS, to += ROWS * span) {
      for (int r = 0; r < std::min(ROWS, rows - tile); ++r) {
        const float* const row = a.at(tile + r, 0);
        for (int64_t k = 0; k < span; ++k) to[k * ROWS + r] = row[k];
      }
    }
  }

  // Columns of a panel: single vectors where there are not enough columns for more.
  static int64_t width(int64_t n) { return n < PANEL ? LANES : PANEL; }
  static int64_t count_panels(int64_t n) { return (n + width(n) - 1) / width(n); }

  // Where a panel begins. The last one is moved to the left, or is a single vector, so that it ends with the matrix.
  static int64_t first_column(int64_t panel, int64_t n) {
    const int64_t wanted = panel * width(n), rest = n - wanted;
    return rest >= width(n) ? wanted : rest <= LANES ? n - LANES : n - PANEL;
  }

  // The columns of each panel side by side, (K, PANEL) per panel.
  static void pack(Matrix b, int64_t k, int64_t n, float* packed) {
    const int64_t panels = count_panels(n), spans = (k + SPAN - 1) / SPAN;
    parallel(int(panels * spans), [&](int task) {
      const int64_t panel = task / spans, from = task % spans * SPAN, to = std::min(from + SPAN, k);
      const int64_t left = first_column(panel, n), columns = std::min<int64_t>(PANEL, n - left);
      float* const target = packed + panel * k * PANEL;
      for (int64_t i = from; i < to; i += LANES) {  // blocks, because one of the matrices is read or written in columns
        const int64_t end = std::min<int64_t>(i + LANES, to);
        for (int64_t j = 0; j < columns; ++j) {
          for (int64_t at = i; at < end; ++at) target[at * PANEL + j] = *b.at(at, left + j);
        }
      }
    });
  }
};

}  // namespace

// At least one vector of columns: N >= matmul_columns().
int matmul_columns() {
  return LANES;
}

std::vector<mx::array> matmul_inputs(const mx::array& a, const mx::array& b, const std::optional<mx::array>& bias) {
  require(a.ndim() == 2 && b.ndim() == 2 && a.shape(1) == b.shape(0), "lucid: a must be (M, K) and b (K, N)");
  require(a.dtype() == mx::float32 && b.dtype() == mx::float32, "lucid: a and b must be float32");
  require(a.size() > 0 && b.size() > 0, "lucid: a and b must not be empty");
  std::vector<mx::array> inputs{a, b};
  if (bias) {
    require(bias->ndim() == 1 && bias->shape(0) == b.shape(1) && bias->dtype() == mx::float32,
            "lucid: bias must be float32 (N,)");
    inputs.push_back(row_contiguous(*bias));
  }
  return inputs;
}

mx::array matmul(const mx::array& a, const mx::array& b, const std::optional<mx::array>& bias) {
  auto inputs = matmul_inputs(a, b, bias);
  require(b.shape(1) >= LANES, "lucid: b must have a vector of columns");
  return apply(MatMul{{}, bias.has_value()}, std::move(inputs), {mx::float32})[0];
}

}  // namespace lucid
