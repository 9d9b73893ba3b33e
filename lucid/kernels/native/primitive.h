// An operation of MLX's CPU backend from a struct that describes it:
//
//     struct Example {
//       float factor;                                             // everything that the result depends on
//       bool operator==(const Example&) const = default;          // MLX merges equal operations on equal inputs
//       static constexpr const char* name = "Example";
//       std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const;
//       std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const;
//     };
//
// `prepare` allocates the outputs and returns the computation, which MLX runs later, in order, on the stream's thread.
// The arrays live until then, but the vectors do not: capture pointers. Gradients are declared in Python.

#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "mlx/allocator.h"
#include "mlx/array.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/utils.h"
#include "simd.h"

namespace lucid {

namespace mx = mlx::core;

template <typename Operation>
class NativePrimitive : public mx::Primitive {
 public:
  NativePrimitive(mx::Stream stream, Operation operation) : mx::Primitive(stream), operation_(std::move(operation)) {}

  void eval_cpu(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) override {
    mx::cpu::get_command_encoder(stream()).dispatch(operation_.prepare(inputs, outputs));
  }
  void eval_gpu(const std::vector<mx::array>&, std::vector<mx::array>&) override {
    throw std::runtime_error(std::string("lucid: ") + Operation::name + " runs on the CPU only");
  }
  const char* name() const override { return Operation::name; }
  bool is_equivalent(const mx::Primitive& other) const override {
    const auto* same = dynamic_cast<const NativePrimitive*>(&other);
    return same != nullptr && same->operation_ == operation_;
  }
  std::vector<mx::Shape> output_shapes(const std::vector<mx::array>& inputs) override {
    return operation_.shapes(inputs);
  }

 private:
  Operation operation_;
};

inline mx::Stream cpu_stream() {
  return mx::default_stream(mx::Device::cpu);
}

inline mx::array row_contiguous(const mx::array& a) {
  return mx::contiguous(a, false, cpu_stream());
}

// The outputs of an operation, of the given dtypes.
template <typename Operation>
std::vector<mx::array> apply(Operation operation, std::vector<mx::array> inputs, std::vector<mx::Dtype> dtypes) {
  auto shapes = operation.shapes(inputs);
  auto primitive = std::make_shared<NativePrimitive<Operation>>(cpu_stream(), std::move(operation));
  return mx::array::make_arrays(std::move(shapes), dtypes, primitive, std::move(inputs));
}

inline void allocate(mx::array& out) {
  out.set_data(mx::allocator::malloc(out.nbytes()));
}

// Use the memory of an input that nothing else needs, or allocate.
inline void allocate_or_reuse(const mx::array& in, mx::array& out) {
  if (in.is_donatable() && in.flags().row_contiguous && in.nbytes() == out.nbytes() && in.size() == in.data_size()) {
    out.copy_shared_buffer(in);
  } else {
    allocate(out);
  }
}

// What operation.work<T>() returns, for the T of this dtype.
template <typename Operation>
std::function<void()> for_type(mx::Dtype dtype, const Operation& operation, const std::vector<mx::array>& inputs,
                               std::vector<mx::array>& outputs) {
  if (dtype == mx::float32) return operation.template work<float>(inputs, outputs);
  if (dtype == mx::float16) return operation.template work<Half>(inputs, outputs);
  if (dtype == mx::bfloat16) return operation.template work<BFloat>(inputs, outputs);
  throw std::invalid_argument("lucid: native kernels compute in float32, float16 and bfloat16");
}

// Base of an operation whose only output is like its first input: it has to define work<T>().
template <typename Operation>
struct LikeFirstInput {
  bool operator==(const LikeFirstInput&) const = default;

  std::vector<mx::Shape> shapes(const std::vector<mx::array>& inputs) const { return {inputs[0].shape()}; }

  std::function<void()> prepare(const std::vector<mx::array>& inputs, std::vector<mx::array>& outputs) const {
    allocate_or_reuse(inputs[0], outputs[0]);
    return for_type(inputs[0].dtype(), static_cast<const Operation&>(*this), inputs, outputs);
  }
};

inline void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

}  // namespace lucid
