// What the matrix products have in common: c (M, N) = a (M, K) @ b (K, N) + bias (N,).

#pragma once

#include <optional>
#include <vector>

#include "primitive.h"

namespace lucid {

// Base of an operation that takes a, b and possibly a bias.
struct MatrixProduct {
  bool operator==(const MatrixProduct&) const = default;

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const {
    return {{inputs[0].shape(0), inputs[1].shape(1)}};
  }
};

// The inputs of such an operation, checked; in matmul.cpp.
std::vector<mx::array> matmul_inputs(const mx::array& a, const mx::array& b, const std::optional<mx::array>& bias);

}  // namespace lucid
