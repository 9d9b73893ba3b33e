// Vectors of floats in the compiler's own notation, which GCC and Clang translate for any processor.
//
// A function template takes the number of lanes V as an argument: LANES for the bulk, and 1 (or a few) where an array
// has fewer elements than that. Half precision is converted when it is loaded and rounded once when it is stored.

#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace lucid {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

template <int V>
struct VectorTypes {
  typedef float Float __attribute__((vector_size(4 * V)));
  typedef int32_t Int __attribute__((vector_size(4 * V)));
  typedef uint32_t Word __attribute__((vector_size(4 * V)));
  typedef uint16_t HalfWord __attribute__((vector_size(2 * V)));
#if defined(__aarch64__)
  typedef __fp16 Half __attribute__((vector_size(2 * V)));
#endif
};

template <int V>
using Floats = typename VectorTypes<V>::Float;

template <int V>
inline Floats<V> splat(float value) {
  return Floats<V>{} + value;
}

// Calls f(0), .. f(N - 1), unrolled, with arguments that are constants to the compiler.
template <int N, typename F>
[[gnu::always_inline]] inline void unroll(F&& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) __attribute__((always_inline)) {
    (f(std::integral_constant<int, I>{}), ...);
  }(std::make_integer_sequence<int, N>{});
}

template <typename To, typename From>
inline To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

// One value without the processor's own conversion. Multiplying by 2^112 moves the exponent, subnormals included.
inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffu;
  uint32_t bits = bit_cast<uint32_t>(bit_cast<float>(magnitude << 13) * 0x1p112f);
  if (magnitude >= 0x7c00u) bits = 0x7f800000u | (magnitude & 0x3ffu) << 13;
  return bit_cast<float>(bits | (half & 0x8000u) << 16);
}

// To nearest, ties to even: adding a power of two cuts off the bits that half precision does not have.
inline uint16_t float_to_half(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) {
    return sign | (bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5f) - bit_cast<uint32_t>(0.5f));
  }
  return sign | ((magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13);
}

template <int V>
inline Floats<V> load(const float* from) {
  Floats<V> values;
  std::memcpy(&values, from, sizeof(values));
  return values;
}

template <int V>
inline Floats<V> load(const BFloat* from) {
  typename VectorTypes<V>::HalfWord words;
  std::memcpy(&words, from, sizeof(words));
  return bit_cast<Floats<V>>(__builtin_convertvector(words, typename VectorTypes<V>::Word) << 16);
}

template <int V>
inline Floats<V> load(const Half* from) {
#if defined(__aarch64__)
  typename VectorTypes<V>::Half values;
  std::memcpy(&values, from, sizeof(values));
  return __builtin_convertvector(values, Floats<V>);
#else
#if defined(__AVX512F__)
  if constexpr (V == 16) return bit_cast<Floats<V>>(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from)));
#endif
#if defined(__F16C__)
  if constexpr (V == 8) return bit_cast<Floats<V>>(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)from)));
#endif
  Floats<V> values;
  for (int i = 0; i < V; ++i) values[i] = half_to_float(from[i].bits);
  return values;
#endif
}

template <int V>
inline void store(float* to, Floats<V> values) {
  std::memcpy(to, &values, sizeof(values));
}

template <int V>
inline void store(BFloat* to, Floats<V> values) {
  using Word = typename VectorTypes<V>::Word;
  const Word bits = bit_cast<Word>(values);
  const Word rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const auto words = __builtin_convertvector((Word)(values == values ? rounded : Word{} + 0x7fc0u),
                                             typename VectorTypes<V>::HalfWord);
  std::memcpy(to, &words, sizeof(words));
}

template <int V>
inline void store(Half* to, Floats<V> values) {
#if defined(__aarch64__)
  const auto halves = __builtin_convertvector(values, typename VectorTypes<V>::Half);
  std::memcpy(to, &halves, sizeof(halves));
#else
#if defined(__AVX512F__)
  if constexpr (V == 16) {
    return _mm256_storeu_si256((__m256i*)to, _mm512_cvtps_ph(bit_cast<__m512>(values), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
#if defined(__F16C__)
  if constexpr (V == 8) {
    return _mm_storeu_si128((__m128i*)to, _mm256_cvtps_ph(bit_cast<__m256>(values), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (int i = 0; i < V; ++i) to[i].bits = float_to_half(values[i]);
#endif
}

// The lanes from `first` on, for a block that overlaps the one before it.
template <int V, typename T>
inline void store_from(int first, T* to, Floats<V> values) {
  if (first == 0) return store<V>(to, values);
  T lanes[V];
  store<V>(lanes, values);
  std::memcpy(to + first, lanes + first, (V - first) * sizeof(T));
}

// The sum of the lanes, always in the same order.
template <int V>
inline float sum_lanes(Floats<V> values) {
  if constexpr (V == 1) {
    return values[0];
  } else {
    Floats<V / 2> low, high;
    std::memcpy(&low, &values, sizeof(low));
    std::memcpy(&high, (const char*)&values + sizeof(low), sizeof(high));
    return sum_lanes<V / 2>(low + high);
  }
}

// low where x is below it, high where x is above it. NaN stays NaN.
template <int V>
inline Floats<V> clamp(Floats<V> x, float low, float high) {
  const Floats<V> lows = splat<V>(low), highs = splat<V>(high);
  x = x < lows ? lows : x;
  return x > highs ? highs : x;
}

}  // namespace lucid
