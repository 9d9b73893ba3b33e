// The simulated machine, shared by the files of the runtime. Kernels do not include this header.
#pragma once
#include <string>
#include <vector>

#include "runtime.h"

namespace simulator {

// ---------------------------------------------------------------------------------------------- options of a run
enum class Order { FORWARD, REVERSE, RANDOM };

struct Options {
  bool check;          // exact bounds, races, unwritten outputs, counters; otherwise guard pages only
  bool low_guard;      // fast mode: the guard page comes before each buffer instead of after it
  bool round_up_grid;  // launch whole threadgroups, as CUDA does
  bool lines;          // count the cache lines of each access
  Order order;         // of the threads of a threadgroup between two barriers
  uint32_t seed;
};
extern Options options;

// ---------------------------------------------------------------------------------------------- faults (faults.cpp)
constexpr size_t MAX_FAULTS_SHOWN_OF_A_KIND = 3;
constexpr uintptr_t NO_INSTRUCTION = 0;

struct Fault {
  std::string message;
  uintptr_t instruction;  // offset in the kernel's library, which addr2line maps to a line of the shader
};
extern std::vector<Fault> faults;  // the first few of each kind
extern uint64_t fault_count;       // all of them

void fault(const std::string& message, const void* instruction = nullptr);
[[noreturn]] void fatal_fault(const std::string& message, const void* instruction = nullptr);
std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string describe(const CallSite& site);
void report_crashes();  // a bad address or a stack overflow ends in fatal_fault

// ---------------------------------------------------------------------------------------------- memory (memory.cpp)
constexpr uint32_t NOBODY = ~0u;

struct Buffer {
  std::string name;
  bool is_output, initialized;
  size_t element_bytes, bytes;
  uint8_t* data;
  std::vector<uint32_t> writer;  // of each element of an output: the number of a thread, or NOBODY
  uint64_t loads = 0, loaded_bytes = 0, stores = 0, stored_bytes = 0;
  uint64_t rewritten = 0;  // stores of a thread to an element that it wrote before
  uint64_t load_accesses = 0, load_lines = 0, store_accesses = 0, store_lines = 0;  // of simdgroups
  uint64_t unwritten() const;
};
extern std::vector<Buffer> buffers;

struct Counters {
  uint64_t multiply_adds, threads, threadgroups, partial_threadgroups, barriers, simd_operations;
  uint64_t threadgroup_loads, threadgroup_loaded_bytes, threadgroup_stores, threadgroup_stored_bytes;
};
extern Counters counters;

void place_buffers();  // gives each buffer its guarded address; contents follow
void note_load(const void* address, size_t bytes, const void* instruction);
void note_store(const void* address, size_t bytes, const void* instruction);
std::string describe_address(const void* address);
size_t threadgroup_bytes();
void forget_threadgroup_memory();      // at the start of a threadgroup
void order_threadgroup_memory();       // at a threadgroup barrier
void order_simdgroup_memory(uint32_t simdgroup);  // at a simdgroup barrier

// ---------------------------------------------------------------------------------------------- lines (lines.cpp)
constexpr size_t LINE_BYTES = 128;

void note_lines(Buffer& buffer, bool is_store, size_t offset, size_t bytes, const void* instruction);
void count_lines();  // at the end of a threadgroup

// ---------------------------------------------------------------------------------------------- threads (threads.cpp)
bool a_thread_runs();
uint32_t this_thread_number();  // in the grid, x fastest
void run_grid(Size3 grid, Size3 threadgroup, void (*kernel_entry)());

// ---------------------------------------------------------------------------------------------- end (main.cpp)
void print_report(bool completed);

}  // namespace simulator
