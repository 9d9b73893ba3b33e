// Threadgroups run one after another. Their threads are fibers: each runs until it ends or waits for others. Barriers
// and simdgroup functions therefore behave as on a GPU, and runs with the same order are identical.
//
// A fiber runs thread after thread as long as none of them waits: a kernel without barriers needs one fiber and never
// switches.
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "machine.h"

namespace simulator {

constexpr size_t STACK_BYTES = 256 * 1024;
constexpr size_t STACK_GUARD_BYTES = 4096;

enum class State { NEW, READY, AT_BARRIER, AT_SIMDGROUP, DONE };

struct Fiber {
  ucontext_t context;
};

struct RunningThread {
  Thread attributes;
  uint32_t number;  // in the grid
  State state;
  CallSite site;    // where it waits
  bool at_simdgroup_barrier;  // orders memory, unlike other simdgroup functions
  Fiber* fiber;
  // Its values in the last two exchanges: a fast lane may provide the next value while a slow one still reads.
  uint8_t brought[2][MAX_EXCHANGED_BYTES];
  uint32_t exchanges;
};

static std::vector<RunningThread> threads;  // of the running threadgroup
static std::vector<uint32_t> order;         // of execution
static size_t next_in_order = 0;            // the first that has not started
static std::vector<std::unique_ptr<Fiber>> all_fibers;
static std::vector<Fiber*> idle_fibers;
static ucontext_t scheduler;
static RunningThread* running = nullptr;
static void (*entry)() = nullptr;
static std::mt19937 random_numbers;

bool a_thread_runs() { return running != nullptr; }
const Thread& this_thread() { return running->attributes; }
uint32_t this_thread_number() { return running->number; }

// ------------------------------------------------------------------------------------------------ fibers

static Fiber* current_fiber = nullptr;

static void run_new_threads() {
  for (;;) {
    while (next_in_order < order.size()) {
      running = &threads[order[next_in_order++]];
      running->fiber = current_fiber;
      entry();
      running->state = State::DONE;
      running = nullptr;
    }
    idle_fibers.push_back(current_fiber);
    swapcontext(&current_fiber->context, &scheduler);
  }
}

static Fiber* idle_fiber() {
  if (idle_fibers.empty()) {
    all_fibers.push_back(std::make_unique<Fiber>());
    Fiber* fiber = all_fibers.back().get();
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void* stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, kind, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, STACK_GUARD_BYTES, PROT_NONE) != 0) {
      perror("mmap of a thread's stack");
      exit(1);
    }
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack;
    fiber->context.uc_stack.ss_size = STACK_BYTES;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, run_new_threads, 0);
    idle_fibers.push_back(fiber);
  }
  Fiber* fiber = idle_fibers.back();
  idle_fibers.pop_back();
  return fiber;
}

static void resume(Fiber* fiber) {
  current_fiber = fiber;
  swapcontext(&scheduler, &fiber->context);
  running = nullptr;
}

static void wait(State state, CallSite site) {
  RunningThread* self = running;
  self->state = state;
  self->site = site;
  swapcontext(&self->fiber->context, &scheduler);
  running = self;
}

void threadgroup_barrier(CallSite site) { wait(State::AT_BARRIER, site); }

void simdgroup_barrier(CallSite site) {
  running->at_simdgroup_barrier = true;
  wait(State::AT_SIMDGROUP, site);
}

void exchange(CallSite site, const void* value, size_t bytes) {
  memcpy(running->brought[running->exchanges % 2], value, bytes);
  ++running->exchanges;
  running->at_simdgroup_barrier = false;
  wait(State::AT_SIMDGROUP, site);
}

static RunningThread* lane_of_this_simdgroup(uint32_t lane) {
  const size_t index = running->attributes.simdgroup_index_in_threadgroup * SIMD_WIDTH + lane;
  return lane < SIMD_WIDTH && index < threads.size() ? &threads[index] : nullptr;
}

// A lane that returned before this exchange has no value in it; one that has continued still has.
bool lane_exists(uint32_t lane) {
  const RunningThread* other = lane_of_this_simdgroup(lane);
  return other && other->exchanges >= running->exchanges;
}

const void* peer(uint32_t lane) {
  return lane_exists(lane) ? lane_of_this_simdgroup(lane)->brought[(running->exchanges - 1) % 2] : nullptr;
}

void count_multiply_add() { ++counters.multiply_adds; }

// ------------------------------------------------------------------------------------------------ one threadgroup

static bool same(const CallSite& a, const CallSite& b) { return a.line == b.line && strcmp(a.file, b.file) == 0; }

// What the waiting threads of [first, last) have in common.
struct Waiting {
  size_t waiting = 0, alive = 0;
  const RunningThread* one = nullptr;
  const RunningThread* elsewhere = nullptr;  // waits at a different location than `one`
};

static Waiting look(size_t first, size_t last, State state) {
  Waiting found;
  for (size_t i = first; i < last; ++i) {
    const RunningThread& thread = threads[i];
    if (thread.state != State::DONE) ++found.alive;
    if (thread.state != state) continue;
    ++found.waiting;
    if (!found.one) found.one = &thread;
    if (!same(found.one->site, thread.site)) found.elsewhere = &thread;
  }
  return found;
}

static void blame(const RunningThread* thread) { running = const_cast<RunningThread*>(thread); }

// Resumes every simdgroup whose lanes all wait at the same location. False if there is none.
static bool release_simdgroups() {
  bool released = false;
  for (size_t first = 0; first < threads.size(); first += SIMD_WIDTH) {
    const size_t last = std::min(threads.size(), first + SIMD_WIDTH);
    const Waiting found = look(first, last, State::AT_SIMDGROUP);
    if (found.waiting == 0) continue;
    blame(found.one);
    if (found.elsewhere)
      fatal_fault("lanes of one simdgroup wait in different simdgroup functions: " + describe(found.one->site) +
                  " and " + describe(found.elsewhere->site));
    // If the other lanes have ended, the function is still defined for the rest.
    const std::string missing = "a simdgroup function is not reached by every lane: " + describe(found.one->site);
    if (found.waiting != found.alive) fatal_fault(missing);
    if (found.alive != last - first) fault(missing);
    running = nullptr;
    ++counters.simd_operations;
    if (found.one->at_simdgroup_barrier) order_simdgroup_memory(found.one->attributes.simdgroup_index_in_threadgroup);
    for (size_t i = first; i < last; ++i)
      if (threads[i].state == State::AT_SIMDGROUP) threads[i].state = State::READY;
    released = true;
  }
  return released;
}

// Resumes all threads that wait at the barrier. False if all have ended.
static bool release_barrier() {
  const Waiting found = look(0, threads.size(), State::AT_BARRIER);
  if (found.waiting == 0) return false;
  blame(found.one);
  if (found.elsewhere)
    fatal_fault("threads wait at different threadgroup barriers: " + describe(found.one->site) + " and " +
                describe(found.elsewhere->site));
  if (found.waiting != threads.size())
    fatal_fault("a threadgroup barrier is not reached by every thread: " + describe(found.one->site));
  running = nullptr;
  ++counters.barriers;
  order_threadgroup_memory();
  for (RunningThread& thread : threads) thread.state = State::READY;
  return true;
}

static void run_threadgroup() {
  order.resize(threads.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = uint32_t(options.order == Order::REVERSE ? order.size() - 1 - i : i);
  if (options.order == Order::RANDOM) std::shuffle(order.begin(), order.end(), random_numbers);
  for (next_in_order = 0; next_in_order < order.size();) resume(idle_fiber());
  while (release_simdgroups() || release_barrier()) {
    if (options.order == Order::RANDOM) std::shuffle(order.begin(), order.end(), random_numbers);
    for (const uint32_t index : order)
      if (threads[index].state == State::READY) resume(threads[index].fiber);
  }
}

// ------------------------------------------------------------------------------------------------ the grid

static uint32_t ceil_div(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

static void fill_threadgroup(Size3 grid, Size3 full, Size3 groups, Size3 at) {
  // On Metal the last threadgroup of a row is smaller if the grid is not a multiple of it.
  const Size3 size{std::min(full.x, grid.x - at.x * full.x), std::min(full.y, grid.y - at.y * full.y),
                   std::min(full.z, grid.z - at.z * full.z)};
  const uint32_t count = size.x * size.y * size.z, full_count = full.x * full.y * full.z;
  counters.threads += count;
  ++counters.threadgroups;
  if (count != full_count) ++counters.partial_threadgroups;
  threads.assign(count, RunningThread());
  for (uint32_t i = 0; i < count; ++i) {
    Thread& thread = threads[i].attributes;
    const Size3 local{i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    const Size3 position{at.x * full.x + local.x, at.y * full.y + local.y, at.z * full.z + local.z};
    thread.thread_position_in_grid = position;
    thread.thread_position_in_threadgroup = local;
    thread.threadgroup_position_in_grid = at;
    thread.threads_per_grid = thread.grid_size = grid;
    thread.threads_per_threadgroup = size;
    thread.dispatch_threads_per_threadgroup = full;
    thread.threadgroups_per_grid = groups;
    thread.thread_index_in_threadgroup = i;
    thread.thread_index_in_simdgroup = i % SIMD_WIDTH;
    thread.simdgroup_index_in_threadgroup = i / SIMD_WIDTH;
    thread.thread_index_in_quadgroup = i % 4;
    thread.quadgroup_index_in_threadgroup = i / 4;
    thread.simdgroups_per_threadgroup = ceil_div(count, SIMD_WIDTH);
    thread.dispatch_simdgroups_per_threadgroup = ceil_div(full_count, SIMD_WIDTH);
    thread.quadgroups_per_threadgroup = ceil_div(count, 4);
    thread.dispatch_quadgroups_per_threadgroup = ceil_div(full_count, 4);
    thread.threads_per_simdgroup = thread.thread_execution_width = SIMD_WIDTH;
    threads[i].number = (position.z * grid.y + position.y) * grid.x + position.x;
  }
}

void run_grid(Size3 grid, Size3 threadgroup, void (*kernel_entry)()) {
  entry = kernel_entry;
  random_numbers.seed(options.seed);
  // MLX does the same before it dispatches.
  const Size3 full{std::min(threadgroup.x, grid.x), std::min(threadgroup.y, grid.y), std::min(threadgroup.z, grid.z)};
  const Size3 groups{ceil_div(grid.x, full.x), ceil_div(grid.y, full.y), ceil_div(grid.z, full.z)};
  if (options.round_up_grid) grid = {groups.x * full.x, groups.y * full.y, groups.z * full.z};
  for (uint32_t z = 0; z < groups.z; ++z)
    for (uint32_t y = 0; y < groups.y; ++y)
      for (uint32_t x = 0; x < groups.x; ++x) {
        fill_threadgroup(grid, full, groups, {x, y, z});
        forget_threadgroup_memory();
        run_threadgroup();
        count_lines();
      }
}

}  // namespace simulator
