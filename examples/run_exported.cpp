// Runs a model that `lucid export` wrote, with MLX alone:
//
//     run_exported tiny.mlxfn images.safetensors logits.safetensors
//
// Reads "images" from the second file and writes "logits" to the third. tiny.json, which was written with the model, has
// the shape and dtype of the images. Build it against the MLX of a Python environment (on macOS with clang++):
//
//     MLX=$(python -c "import mlx; print(list(mlx.__path__)[0])")
//     g++ -std=c++20 run_exported.cpp -I$MLX/include -L$MLX/lib -lmlx -Wl,-rpath,$MLX/lib -o run_exported

#include <exception>
#include <iostream>

#include "mlx/mlx.h"

namespace mx = mlx::core;

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: run_exported MODEL.mlxfn IMAGES.safetensors LOGITS.safetensors\n";
    return 2;
  }
  try {
    auto model = mx::import_function(argv[1]);
    auto images = mx::load_safetensors(argv[2]).first.at("images");
    auto logits = mx::contiguous(model({images})[0]);
    mx::save_safetensors(argv[3], {{"logits", logits}});
    std::cout << logits.shape(0) << " images, best classes " << mx::argmax(logits, 1) << "\n";
  } catch (const std::exception& error) {
    std::cerr << "run_exported: " << error.what() << "\n";
    return 1;
  }
}
