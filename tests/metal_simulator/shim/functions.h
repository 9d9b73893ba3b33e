// Metal's math functions. Each exists once, for float; half is converted, which gives the same result because its own
// functions would round once as well.
#pragma once
#include "vectors.h"

namespace metal {

// Metal may or may not contract a * b + c; kernels that need a single rounding call fma, and only fma is counted.
inline float fma(float a, float b, float c) {
#ifdef SIMULATOR_CHECK
  simulator::count_multiply_add();
#endif
  return __builtin_fmaf(a, b, c);
}
// The product of two halves is exact in a double and so is its sum with a third to within its last bits.
inline half fma(half a, half b, half c) {
#ifdef SIMULATOR_CHECK
  simulator::count_multiply_add();
#endif
  return half(float(double(float(a)) * double(float(b)) + double(float(c))));
}
template <class T, int N>
inline vec<T, N> fma(const vec<T, N>& a, const vec<T, N>& b, const vec<T, N>& c) {
  vec<T, N> result;
  for (int i = 0; i < N; ++i) result[i] = fma(a[i], b[i], c[i]);
  return result;
}

#define SIMULATOR_ORDER(T)                                                        \
  inline T min(T a, T b) { return b < a ? b : a; }                                \
  inline T max(T a, T b) { return a < b ? b : a; }                                \
  inline T clamp(T value, T low, T high) { return min(max(value, low), high); }
SIMULATOR_ORDER(short)
SIMULATOR_ORDER(ushort)
SIMULATOR_ORDER(int)
SIMULATOR_ORDER(uint)
SIMULATOR_ORDER(long)
SIMULATOR_ORDER(ulong)
#undef SIMULATOR_ORDER

// For floating-point numbers the result is the number if the other operand is NaN.
inline float min(float a, float b) { return __builtin_fminf(a, b); }
inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
inline float clamp(float value, float low, float high) { return min(max(value, low), high); }
inline half min(half a, half b) { return half(min(float(a), float(b))); }
inline half max(half a, half b) { return half(max(float(a), float(b))); }
inline half clamp(half value, half low, half high) { return min(max(value, low), high); }

inline int abs(int a) { return a < 0 ? -a : a; }
inline float abs(float a) { return __builtin_fabsf(a); }
inline float fabs(float a) { return __builtin_fabsf(a); }
inline float sqrt(float a) { return __builtin_sqrtf(a); }
inline float rsqrt(float a) { return 1.0f / __builtin_sqrtf(a); }
inline float exp(float a) { return __builtin_expf(a); }
inline float exp2(float a) { return __builtin_exp2f(a); }
inline float log(float a) { return __builtin_logf(a); }
inline float log2(float a) { return __builtin_log2f(a); }
inline float pow(float a, float b) { return __builtin_powf(a, b); }
inline float sin(float a) { return __builtin_sinf(a); }
inline float cos(float a) { return __builtin_cosf(a); }
inline float tanh(float a) { return __builtin_tanhf(a); }
inline float floor(float a) { return __builtin_floorf(a); }
inline float ceil(float a) { return __builtin_ceilf(a); }
inline float round(float a) { return __builtin_roundf(a); }
inline float rint(float a) { return __builtin_rintf(a); }
inline float trunc(float a) { return __builtin_truncf(a); }
inline bool isnan(float a) { return __builtin_isnan(a); }
inline bool isinf(float a) { return __builtin_isinf_sign(a) != 0; }
template <class T>
inline T select(T otherwise, T if_true, bool condition) {
  return condition ? if_true : otherwise;
}

// `fast::` may be less accurate on a GPU; here both come from libm.
#define SIMULATOR_VARIANTS(NAMESPACE)                                                                       \
  namespace NAMESPACE {                                                                                     \
  using metal::cos; using metal::exp; using metal::exp2; using metal::log; using metal::log2;               \
  using metal::pow; using metal::rsqrt; using metal::sin; using metal::sqrt; using metal::tanh;             \
  }
SIMULATOR_VARIANTS(precise)
SIMULATOR_VARIANTS(fast)
#undef SIMULATOR_VARIANTS

}  // namespace metal
