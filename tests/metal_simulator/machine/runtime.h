// The interface between the shim, the generated kernel and the runtime.
//
// The shim includes this file in every kernel, so it only includes integer types: the headers of the C++ standard
// library take longer to compile than the kernel itself.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace simulator {

constexpr uint32_t SIMD_WIDTH = 32;
constexpr uint32_t MAX_THREADS_PER_THREADGROUP = 1024;
constexpr size_t MAX_THREADGROUP_BYTES = 32 * 1024;
constexpr size_t MAX_EXCHANGED_BYTES = 16;  // the widest value that lanes exchange: a float4

struct Size3 {
  uint32_t x, y, z;
};

// The attributes of one thread, under their Metal names.
struct Thread {
  Size3 thread_position_in_grid, thread_position_in_threadgroup, threadgroup_position_in_grid;
  Size3 threads_per_grid, threads_per_threadgroup, dispatch_threads_per_threadgroup, threadgroups_per_grid;
  Size3 grid_origin, grid_size;
  uint32_t thread_index_in_threadgroup, thread_index_in_simdgroup, thread_index_in_quadgroup;
  uint32_t simdgroup_index_in_threadgroup, quadgroup_index_in_threadgroup;
  uint32_t simdgroups_per_threadgroup, dispatch_simdgroups_per_threadgroup;
  uint32_t quadgroups_per_threadgroup, dispatch_quadgroups_per_threadgroup;
  uint32_t threads_per_simdgroup, thread_execution_width;
};

// A location in the shader, which identifies a barrier or a call of a simdgroup function.
struct CallSite {
  const char* file;
  uint32_t line;
};

const Thread& this_thread();
void* buffer(int index);  // in the order of the kernel's parameters
// Storage shared by all threads of the running threadgroup. Each thread requests it when it reaches the declaration.
void* threadgroup_variable(const char* name, size_t bytes, size_t element_bytes);

void threadgroup_barrier(CallSite site);
void simdgroup_barrier(CallSite site);
// Waits for all lanes of the simdgroup. Then `peer` returns the value of each lane, until this thread's next exchange.
void exchange(CallSite site, const void* value, size_t bytes);
bool lane_exists(uint32_t lane);
const void* peer(uint32_t lane);  // nullptr if the simdgroup has no such lane

void count_multiply_add();
void atomic_access(void* address, size_t bytes);  // checked for bounds; several threads may write

}  // namespace simulator
