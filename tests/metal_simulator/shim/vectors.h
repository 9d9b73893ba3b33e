// Metal's vectors of two, three and four: members x y z w, indexing, arithmetic by component. No swizzles.
#pragma once
#include "numbers.h"

namespace metal {

template <class T, int N>
struct vec;

#define SIMULATOR_INDEXING                        \
  T& operator[](int i) { return (&x)[i]; }        \
  const T& operator[](int i) const { return (&x)[i]; }

template <class T>
struct alignas(2 * sizeof(T)) vec<T, 2> {
  T x, y;
  vec() = default;
  vec(T all) : x(all), y(all) {}
  vec(T x, T y) : x(x), y(y) {}
  template <class U>
  explicit vec(const vec<U, 2>& from) : x(T(from.x)), y(T(from.y)) {}
  SIMULATOR_INDEXING
};

// As wide as a vector of four, as in Metal.
template <class T>
struct alignas(4 * sizeof(T)) vec<T, 3> {
  T x, y, z;
  vec() = default;
  vec(T all) : x(all), y(all), z(all) {}
  vec(T x, T y, T z) : x(x), y(y), z(z) {}
  template <class U>
  explicit vec(const vec<U, 3>& from) : x(T(from.x)), y(T(from.y)), z(T(from.z)) {}
  SIMULATOR_INDEXING
};

template <class T>
struct alignas(4 * sizeof(T)) vec<T, 4> {
  T x, y, z, w;
  vec() = default;
  vec(T all) : x(all), y(all), z(all), w(all) {}
  vec(T x, T y, T z, T w) : x(x), y(y), z(z), w(w) {}
  template <class U>
  explicit vec(const vec<U, 4>& from) : x(T(from.x)), y(T(from.y)), z(T(from.z)), w(T(from.w)) {}
  SIMULATOR_INDEXING
};
#undef SIMULATOR_INDEXING

// T in a non-deduced context, so that `vector * 2` works for a vector of floats.
template <class T>
struct same {
  typedef T type;
};

#define SIMULATOR_OPERATOR(OP)                                                            \
  template <class T, int N>                                                               \
  inline vec<T, N> operator OP(const vec<T, N>& a, const vec<T, N>& b) {                  \
    vec<T, N> result;                                                                     \
    for (int i = 0; i < N; ++i) result[i] = a[i] OP b[i];                                 \
    return result;                                                                        \
  }                                                                                       \
  template <class T, int N>                                                               \
  inline vec<T, N> operator OP(const vec<T, N>& a, typename same<T>::type b) {            \
    return a OP vec<T, N>(b);                                                             \
  }                                                                                       \
  template <class T, int N>                                                               \
  inline vec<T, N> operator OP(typename same<T>::type a, const vec<T, N>& b) {            \
    return vec<T, N>(a) OP b;                                                             \
  }                                                                                       \
  template <class T, int N>                                                               \
  inline vec<T, N>& operator OP##=(vec<T, N>& a, const vec<T, N>& b) {                    \
    return a = a OP b;                                                                    \
  }                                                                                       \
  template <class T, int N>                                                               \
  inline vec<T, N>& operator OP##=(vec<T, N>& a, typename same<T>::type b) {              \
    return a = a OP b;                                                                    \
  }
SIMULATOR_OPERATOR(+)
SIMULATOR_OPERATOR(-)
SIMULATOR_OPERATOR(*)
SIMULATOR_OPERATOR(/)
#undef SIMULATOR_OPERATOR

#define SIMULATOR_VECTORS(T)  \
  typedef vec<T, 2> T##2;     \
  typedef vec<T, 3> T##3;     \
  typedef vec<T, 4> T##4;
SIMULATOR_VECTORS(char)
SIMULATOR_VECTORS(uchar)
SIMULATOR_VECTORS(short)
SIMULATOR_VECTORS(ushort)
SIMULATOR_VECTORS(int)
SIMULATOR_VECTORS(uint)
SIMULATOR_VECTORS(long)
SIMULATOR_VECTORS(ulong)
SIMULATOR_VECTORS(float)
SIMULATOR_VECTORS(half)
SIMULATOR_VECTORS(bfloat)
#undef SIMULATOR_VECTORS

}  // namespace metal
