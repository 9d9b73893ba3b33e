// Barriers, simdgroup functions and atomics.
#pragma once
#include "functions.h"

namespace metal {

enum class mem_flags : uint { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };

// Default arguments are evaluated at the call, so they hold the line of the shader.
#define SIMULATOR_SITE const char *file = __builtin_FILE(), uint line = __builtin_LINE()
#define SIMULATOR_HERE (simulator::CallSite{file, line})

inline void threadgroup_barrier(mem_flags, SIMULATOR_SITE) { simulator::threadgroup_barrier(SIMULATOR_HERE); }
inline void simdgroup_barrier(mem_flags, SIMULATOR_SITE) { simulator::simdgroup_barrier(SIMULATOR_HERE); }

template <class T>
inline void simulator_exchange(simulator::CallSite site, const T& value) {
  static_assert(sizeof(T) <= simulator::MAX_EXCHANGED_BYTES, "simdgroup functions take 16 bytes at most");
  simulator::exchange(site, &value, sizeof(T));
}

// The value of `lane` in the exchange. A lane that does not exist gives a conspicuous value: NaN, or -1.
template <class T>
inline T simulator_peer(uint lane) {
  T value;
  const void* from = simulator::peer(lane);
  if (from)
    __builtin_memcpy((void*)&value, from, sizeof(T));
  else
    __builtin_memset((void*)&value, 0xff, sizeof(T));
  return value;
}

// A tree reduction, as in hardware: the order of a floating-point sum matters.
#define SIMULATOR_REDUCTION(NAME, COMBINED)                                                     \
  template <class T>                                                                            \
  inline T NAME(T value, SIMULATOR_SITE) {                                                      \
    simulator_exchange(SIMULATOR_HERE, value);                                                  \
    T all[simulator::SIMD_WIDTH];                                                               \
    bool exists[simulator::SIMD_WIDTH];                                                         \
    for (uint lane = 0; lane < simulator::SIMD_WIDTH; ++lane) {                                 \
      exists[lane] = simulator::lane_exists(lane);                                              \
      all[lane] = simulator_peer<T>(lane);                                                      \
    }                                                                                           \
    for (uint step = simulator::SIMD_WIDTH / 2; step > 0; step /= 2)                            \
      for (uint lane = 0; lane < step; ++lane) {                                                \
        if (!exists[lane + step]) continue;                                                     \
        const T a = all[lane], b = all[lane + step];                                            \
        all[lane] = COMBINED;                                                                   \
      }                                                                                         \
    return all[0];                                                                              \
  }
SIMULATOR_REDUCTION(simd_sum, a + b)
SIMULATOR_REDUCTION(simd_product, a * b)
SIMULATOR_REDUCTION(simd_min, min(a, b))
SIMULATOR_REDUCTION(simd_max, max(a, b))
SIMULATOR_REDUCTION(simd_and, a & b)
SIMULATOR_REDUCTION(simd_or, a | b)
SIMULATOR_REDUCTION(simd_xor, a ^ b)
#undef SIMULATOR_REDUCTION

inline bool simd_any(bool value, SIMULATOR_SITE) { return simd_max(int(value), file, line) != 0; }
inline bool simd_all(bool value, SIMULATOR_SITE) { return simd_min(int(value), file, line) != 0; }

template <class T>
inline T simd_prefix_inclusive_sum(T value, SIMULATOR_SITE) {
  simulator_exchange(SIMULATOR_HERE, value);
  T sum = simulator_peer<T>(0);
  for (uint lane = 1; lane <= simulator::this_thread().thread_index_in_simdgroup; ++lane)
    sum = sum + simulator_peer<T>(lane);
  return sum;
}
template <class T>
inline T simd_prefix_exclusive_sum(T value, SIMULATOR_SITE) {
  simulator_exchange(SIMULATOR_HERE, value);
  T sum = T(0);
  for (uint lane = 0; lane < simulator::this_thread().thread_index_in_simdgroup; ++lane)
    sum = sum + simulator_peer<T>(lane);
  return sum;
}

// SOURCE is the lane to read. Beyond the ends of the simdgroup a lane keeps its own value, as specified by Metal.
#define SIMULATOR_MOVE(NAME, SOURCE)                                                            \
  template <class T>                                                                            \
  inline T NAME(T value, ushort operand, SIMULATOR_SITE) {                                      \
    simulator_exchange(SIMULATOR_HERE, value);                                                  \
    const int self = int(simulator::this_thread().thread_index_in_simdgroup);                   \
    const int by = int(operand), source = SOURCE;                                               \
    (void)self;                                                                                 \
    return source >= 0 && source < int(simulator::SIMD_WIDTH) ? simulator_peer<T>(uint(source)) : value; \
  }
SIMULATOR_MOVE(simd_shuffle, by)
SIMULATOR_MOVE(simd_broadcast, by)
SIMULATOR_MOVE(simd_shuffle_xor, self ^ by)
SIMULATOR_MOVE(simd_shuffle_down, self + by)
SIMULATOR_MOVE(simd_shuffle_up, self - by)
#undef SIMULATOR_MOVE
template <class T>
inline T simd_broadcast_first(T value, SIMULATOR_SITE) {
  return simd_broadcast(value, 0, file, line);
}

// Threads run one after another, so plain arithmetic is atomic. Without the attribute the compiler would report these
// as ordinary stores, and two threads that add to one element as a fault.
template <class T>
struct atomic {
  T value;
};
enum memory_order { memory_order_relaxed };
#define SIMULATOR_ATOMIC(NAME, COMBINED)                                                                        \
  template <class T, class V>                                                                                   \
  __attribute__((no_sanitize("thread"), noinline)) T NAME(atomic<T>* object, V operand, memory_order) {         \
    simulator::atomic_access(object, sizeof(T));                                                                \
    const T a = object->value, b = T(operand);                                                                  \
    object->value = COMBINED;                                                                                   \
    return a;                                                                                                   \
  }
SIMULATOR_ATOMIC(atomic_exchange_explicit, b)
SIMULATOR_ATOMIC(atomic_store_explicit, b)
SIMULATOR_ATOMIC(atomic_fetch_add_explicit, a + b)
SIMULATOR_ATOMIC(atomic_fetch_sub_explicit, a - b)
SIMULATOR_ATOMIC(atomic_fetch_min_explicit, min(a, b))
SIMULATOR_ATOMIC(atomic_fetch_max_explicit, max(a, b))
#undef SIMULATOR_ATOMIC
#undef SIMULATOR_SITE
#undef SIMULATOR_HERE

}  // namespace metal
