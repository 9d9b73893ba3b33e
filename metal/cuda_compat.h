// Defines Metal's keywords and types for CUDA, so that the same shaders run on both kinds of GPU. Goes before a .metal
// file and after every CUDA header: CUDA's headers also use the names `device` and `constant`, as in __device__.
//
// CUDA launches whole blocks: threads_per_grid is rounded up, so every kernel checks its bounds.
//
// Compiled but not run yet, for lack of an NVIDIA GPU: NVRTC compiles every kernel for sm_80 and sm_90a without spills.
// examples/results/depthwise-cuda-registers.json lists the registers; tests/kernels/cuda_compiler.py compiles.

#define device
#define constant
#define thread
#define threadgroup

using uint = unsigned int;
using ushort = unsigned short;
typedef __half half;
typedef __half float16_t;
typedef __nv_bfloat16 bfloat;
typedef __nv_bfloat16 bfloat16_t;

#define thread_position_in_grid                                                                   \
  make_uint3(blockIdx.x * blockDim.x + threadIdx.x, blockIdx.y * blockDim.y + threadIdx.y,        \
             blockIdx.z * blockDim.z + threadIdx.z)
#define thread_position_in_threadgroup make_uint3(threadIdx.x, threadIdx.y, threadIdx.z)
#define threads_per_threadgroup make_uint3(blockDim.x, blockDim.y, blockDim.z)
#define threads_per_grid make_uint3(gridDim.x * blockDim.x, gridDim.y * blockDim.y, gridDim.z * blockDim.z)

struct mem_flags {
  static constexpr int mem_threadgroup = 0;
};
#define threadgroup_barrier(flags) __syncthreads()

inline int clamp(int value, int low, int high) { return min(max(value, low), high); }
