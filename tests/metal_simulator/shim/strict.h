// Metal's keywords and types for clang's C++ for OpenCL, whose address spaces and restrictions are closest to Metal's.
// Strict mode only parses; nothing here runs.
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define device __global
#define constant __constant
#define threadgroup __local
#define thread __private
#define METAL_FUNC inline
#define __METAL__ 1
#define __METAL_VERSION__ 310

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;

// Only the name of the namespace: OpenCL's own functions are global and cannot be declared a second time.
namespace metal {}

// OpenCL has no bfloat. As in Metal, it converts from float explicitly and to float implicitly. The members exist once
// per address space.
struct bfloat {
  ushort bits;
  bfloat() = default;
  explicit bfloat(float);
  bfloat(const __generic bfloat&) = default;
  bfloat(const __constant bfloat&);
  __generic bfloat& operator=(const __generic bfloat&) __generic = default;
  void operator=(const __constant bfloat&) __generic;
  operator float() const __generic;
  operator float() const __constant;
};

enum class mem_flags : uint { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
void threadgroup_barrier(mem_flags);
void simdgroup_barrier(mem_flags);

template <class T> T simd_sum(T);
template <class T> T simd_product(T);
template <class T> T simd_min(T);
template <class T> T simd_max(T);
template <class T> T simd_and(T);
template <class T> T simd_or(T);
template <class T> T simd_xor(T);
template <class T> T simd_prefix_inclusive_sum(T);
template <class T> T simd_prefix_exclusive_sum(T);
template <class T> T simd_shuffle(T, ushort);
template <class T> T simd_shuffle_xor(T, ushort);
template <class T> T simd_shuffle_down(T, ushort);
template <class T> T simd_shuffle_up(T, ushort);
template <class T> T simd_broadcast(T, ushort);
template <class T> T simd_broadcast_first(T);
bool simd_any(bool);
bool simd_all(bool);

template <class To, class From> To as_type(From);

namespace precise {
using ::cos; using ::exp; using ::exp2; using ::log; using ::log2; using ::pow; using ::rsqrt; using ::sin;
using ::sqrt; using ::tanh;
}  // namespace precise
namespace fast {
using namespace precise;
}
typedef half float16_t;
typedef bfloat bfloat16_t;
