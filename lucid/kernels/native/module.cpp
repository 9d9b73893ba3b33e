// The functions that Python calls. nanobind passes MLX's arrays because both belong to the domain "mlx".

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <optional>
#include <vector>

#include "mlx/array.h"
#include "parallel.h"

namespace lucid {

using mlx::core::array;
using Arrays = std::vector<array>;
using Maybe = std::optional<array>;
using Pair = std::array<int, 2>;

array depthwise_conv2d(const array&, const array&, const Maybe&, Pair, Pair, Pair, Pair);
array depthwise_conv2d_input_gradient(const array&, const array&, Pair, Pair, Pair, Pair);
Arrays depthwise_conv2d_weight_gradient(const array&, const array&, Pair, Pair, Pair, Pair);
int matmul_columns();
array matmul(const array&, const array&, const Maybe&);
bool has_blas();
array blas_matmul(const array&, const array&, const Maybe&);
array gelu(const array&);
array gelu_gradient(const array&, const array&);
array layer_norm(const array&, const Maybe&, const Maybe&, float);
Arrays layer_norm_gradient(const array&, const array&, const Maybe&, float);
Arrays adam(const array&, const array&, const array&, const array&, const array&, const array&, const Maybe&, double,
            double, double);

}  // namespace lucid

NB_MODULE(lucid_native, module) {
  using namespace nanobind::literals;
  module.def("thread_count", &lucid::thread_count);
  module.def("set_thread_count", &lucid::set_thread_count);
  module.def("depthwise_conv2d", &lucid::depthwise_conv2d, "x"_a, "weight"_a, "bias"_a.none(), "output"_a, "stride"_a,
             "before"_a, "dilation"_a);
  module.def("depthwise_conv2d_input_gradient", &lucid::depthwise_conv2d_input_gradient, "dy"_a, "weight"_a, "size"_a,
             "stride"_a, "before"_a, "dilation"_a);
  module.def("depthwise_conv2d_weight_gradient", &lucid::depthwise_conv2d_weight_gradient, "x"_a, "dy"_a, "kernel"_a,
             "stride"_a, "before"_a, "dilation"_a);
  module.def("matmul_columns", &lucid::matmul_columns);
  module.def("matmul", &lucid::matmul, "a"_a, "b"_a, "bias"_a.none());
  module.def("has_blas", &lucid::has_blas);
  module.def("blas_matmul", &lucid::blas_matmul, "a"_a, "b"_a, "bias"_a.none());
  module.def("gelu", &lucid::gelu, "x"_a);
  module.def("gelu_gradient", &lucid::gelu_gradient, "dy"_a, "x"_a);
  module.def("layer_norm", &lucid::layer_norm, "x"_a, "weight"_a.none(), "bias"_a.none(), "eps"_a);
  module.def("layer_norm_gradient", &lucid::layer_norm_gradient, "dy"_a, "x"_a, "weight"_a.none(), "eps"_a);
  module.def("adam", &lucid::adam, "gradient"_a, "parameter"_a, "mean"_a, "square"_a, "rate"_a, "eps"_a,
             "keep"_a.none(), "beta1"_a, "beta2"_a, "weight_decay"_a);
}
