// Metal's scalar types. half and bfloat compute in float and round once, which gives the same result as native
// arithmetic: a float holds the exact product and enough digits of the sum and quotient of two 11-bit significands.
#pragma once
#include "runtime.h"

namespace metal {

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
using ::size_t;

template <class To, class From>
inline To as_type(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "as_type: both types must have one size");
  To to;
  __builtin_memcpy((void*)&to, (const void*)&from, sizeof(To));
  return to;
}

// Round to nearest, ties to even.
inline uint16_t half_bits_of(float value) {
  uint32_t bits = as_type<uint32_t>(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return uint16_t(sign | 0x7e00u);   // NaN
  if (bits >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520 and more round to infinity
  if (bits <= 0x33000000u) return sign;                      // 2^-25 and less round to zero
  const int exponent = int(bits >> 23) - 127;
  const uint32_t significand = (bits & 0x7fffffu) | 0x800000u;
  const bool subnormal = exponent < -14;
  const int dropped = subnormal ? 13 + (-14 - exponent) : 13;
  uint32_t kept = significand >> dropped;
  const uint32_t rest = significand & ((1u << dropped) - 1u), tie = 1u << (dropped - 1);
  if (rest > tie || (rest == tie && (kept & 1u))) ++kept;
  // A carry out of the significand correctly increments the exponent.
  return uint16_t(sign | (subnormal ? kept : (uint32_t(exponent + 15) << 10) + (kept - 0x400u)));
}

inline float float_of_half_bits(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, significand = bits & 0x3ffu;
  if (exponent == 31) return as_type<float>(sign | 0x7f800000u | (significand << 13));
  if (exponent != 0) return as_type<float>(sign | ((exponent + 112u) << 23) | (significand << 13));
  const float magnitude = float(significand) * 5.9604644775390625e-8f;  // 2^-24
  return sign ? -magnitude : magnitude;
}

inline uint16_t bfloat_bits_of(float value) {
  const uint32_t bits = as_type<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t((bits >> 16) | 0x40u);  // NaN stays NaN
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float float_of_bfloat_bits(uint16_t bits) { return as_type<float>(uint32_t(bits) << 16); }

// FROM_FLOAT is empty for half, which converts implicitly from float in Metal, and `explicit` for bfloat.
#define SIMULATOR_16_BIT_FLOAT(NAME, BITS_OF, FLOAT_OF, FROM_FLOAT)                                        \
  struct NAME {                                                                                            \
    uint16_t bits;                                                                                         \
    NAME() = default;                                                                                      \
    FROM_FLOAT NAME(float value) : bits(BITS_OF(value)) {}                                                 \
    FROM_FLOAT NAME(double value) : bits(BITS_OF(float(value))) {}                                         \
    FROM_FLOAT NAME(int value) : bits(BITS_OF(float(value))) {}                                            \
    FROM_FLOAT NAME(uint value) : bits(BITS_OF(float(value))) {}                                           \
    FROM_FLOAT NAME(long value) : bits(BITS_OF(float(value))) {}                                           \
    FROM_FLOAT NAME(ulong value) : bits(BITS_OF(float(value))) {}                                          \
    operator float() const { return FLOAT_OF(bits); }                                                      \
    friend NAME operator+(NAME a, NAME b) { return NAME(float(a) + float(b)); }                            \
    friend NAME operator-(NAME a, NAME b) { return NAME(float(a) - float(b)); }                            \
    friend NAME operator*(NAME a, NAME b) { return NAME(float(a) * float(b)); }                            \
    friend NAME operator/(NAME a, NAME b) { return NAME(float(a) / float(b)); }                            \
    friend NAME operator-(NAME a) { return as_type<NAME>(uint16_t(a.bits ^ 0x8000u)); }                    \
    friend float operator+(NAME a, float b) { return float(a) + b; }                                       \
    friend float operator-(NAME a, float b) { return float(a) - b; }                                       \
    friend float operator*(NAME a, float b) { return float(a) * b; }                                       \
    friend float operator/(NAME a, float b) { return float(a) / b; }                                       \
    friend float operator+(float a, NAME b) { return a + float(b); }                                       \
    friend float operator-(float a, NAME b) { return a - float(b); }                                       \
    friend float operator*(float a, NAME b) { return a * float(b); }                                       \
    friend float operator/(float a, NAME b) { return a / float(b); }                                       \
    NAME& operator+=(NAME b) { return *this = *this + b; }                                                 \
    NAME& operator-=(NAME b) { return *this = *this - b; }                                                 \
    NAME& operator*=(NAME b) { return *this = *this * b; }                                                 \
    NAME& operator/=(NAME b) { return *this = *this / b; }                                                 \
  };
SIMULATOR_16_BIT_FLOAT(half, half_bits_of, float_of_half_bits, )
SIMULATOR_16_BIT_FLOAT(bfloat, bfloat_bits_of, float_of_bfloat_bits, explicit)
#undef SIMULATOR_16_BIT_FLOAT

}  // namespace metal
