// Metal's words for NVRTC, so that one shader text serves both kinds of GPU. Put in front of a .metal file, behind
// every CUDA header: `device` and `constant` also stand inside of __device__ and __constant__, which must not be used
// from here on.
//
// CUDA launches whole blocks: threads_per_grid is rounded up, so every kernel checks its bounds.
//
// Compiled, not run: NVRTC takes every kernel for sm_80 and sm_90a, without spills, but no NVIDIA GPU was at hand yet.
// examples/results/depthwise-cuda-registers.json has the registers, tests/kernels/cuda_compiler.py the compiler.

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
#define threads_per_grid make_uint3(gridDim.x * blockDim.x, gridDim.y * blockDim.y, gridDim.z * blockDim.z)
