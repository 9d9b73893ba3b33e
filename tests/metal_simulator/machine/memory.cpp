// Device and threadgroup memory: its layout, and the checks of each access.
//
// All memory is in one range of reserved addresses. Each buffer and threadgroup variable has a slot of its own, with
// hundreds of megabytes of empty space around it, so that no plausible wrong index reaches another buffer. In check
// mode that space is readable and writable: the run continues, and later faults are found too. In fast mode it is not
// mapped: the first access ends the run.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "machine.h"

namespace simulator {

constexpr size_t SLOT = size_t(1) << 30;
constexpr size_t PAGE = 4096;
constexpr size_t ALIGNMENT = 16;  // of a buffer's start, for vectors of four floats
constexpr size_t MAX_THREADGROUP_VARIABLES = 64;
constexpr int UNSET_BYTE = 0xff;  // NaN in every floating-point format, -1 in every signed integer

std::vector<Buffer> buffers;
Counters counters{};
Options options{};

static uint8_t* arena = nullptr;
static size_t arena_bytes = 0;

static size_t rounded_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// The offset of the payload in its slot: a quarter, so that there is empty space before and after it.
static uint8_t* place(uint8_t* slot, size_t bytes) {
  uint8_t* start = slot + SLOT / 4;
  const size_t mapped = std::max(rounded_up(bytes, PAGE), PAGE);
  if (!options.check && mprotect(start, mapped, PROT_READ | PROT_WRITE) != 0) {
    perror("mprotect");
    exit(1);
  }
  memset(start, UNSET_BYTE, mapped);
  return options.low_guard ? start : start + (mapped - rounded_up(bytes, ALIGNMENT));
}

static size_t slots_for(size_t bytes) { return (bytes + SLOT / 2) / SLOT + 1; }

static std::vector<size_t> first_slot;  // of each buffer, then of the threadgroup variables

void place_buffers() {
  size_t slots = 0;
  for (const Buffer& buffer : buffers) {
    first_slot.push_back(slots);
    slots += slots_for(buffer.bytes);
  }
  first_slot.push_back(slots);
  arena_bytes = (slots + MAX_THREADGROUP_VARIABLES) * SLOT;
  const int protection = options.check ? PROT_READ | PROT_WRITE : PROT_NONE;
  void* reserved = mmap(nullptr, arena_bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  arena = static_cast<uint8_t*>(reserved);
  for (size_t i = 0; i < buffers.size(); ++i) {
    Buffer& buffer = buffers[i];
    buffer.data = place(arena + first_slot[i] * SLOT, buffer.bytes);
    if (options.check && buffer.is_output) buffer.writer.assign(buffer.bytes / buffer.element_bytes, NOBODY);
  }
}

void* buffer(int index) { return buffers[size_t(index)].data; }

uint64_t Buffer::unwritten() const {
  return is_output && !initialized ? uint64_t(std::count(writer.begin(), writer.end(), NOBODY)) : 0;
}

static bool in_arena(uintptr_t address) { return address - uintptr_t(arena) < arena_bytes; }

// The buffer whose slot contains the address; the address may be outside of the buffer itself.
static Buffer* buffer_near(uintptr_t address) {
  const size_t slot = (address - uintptr_t(arena)) / SLOT;
  if (slot >= first_slot.back()) return nullptr;
  const auto after = std::upper_bound(first_slot.begin(), first_slot.end(), slot);
  return &buffers[size_t(after - first_slot.begin()) - 1];
}

static std::string outside(const char* what, size_t bytes, const std::string& name, long long offset,
                           size_t element_bytes, size_t size) {
  const long long unit = (long long)element_bytes;
  const long long index = offset >= 0 ? offset / unit : -((-offset + unit - 1) / unit);
  return text("%s of %zu bytes outside '%s': element %lld of %zu", what, bytes, name.c_str(), index,
              size / element_bytes);
}

static bool inside(const uint8_t* data, size_t size, uintptr_t address, size_t bytes) {
  return address >= uintptr_t(data) && address + bytes <= uintptr_t(data) + size;
}

// ------------------------------------------------------------------------------------------------ device memory

static void load_device(Buffer& buffer, uintptr_t address, size_t bytes, const void* instruction) {
  const size_t offset = address - uintptr_t(buffer.data);
  if (!inside(buffer.data, buffer.bytes, address, bytes))
    return fault(outside("load", bytes, buffer.name, (long long)offset, buffer.element_bytes, buffer.bytes),
                 instruction);
  ++buffer.loads;
  buffer.loaded_bytes += bytes;
  note_lines(buffer, false, offset, bytes, instruction);
  if (!buffer.is_output) return;
  const size_t element = offset / buffer.element_bytes;
  const uint32_t writer = buffer.writer[element];
  if (writer == NOBODY && !buffer.initialized)
    fault(text("load of element %zu of output '%s', which no thread has written", element, buffer.name.c_str()),
          instruction);
  else if (writer != NOBODY && writer != this_thread_number())
    fault(text("load of element %zu of output '%s', which another thread wrote", element, buffer.name.c_str()),
          instruction);
}

static void store_device(Buffer& buffer, uintptr_t address, size_t bytes, const void* instruction) {
  const size_t offset = address - uintptr_t(buffer.data);
  if (!inside(buffer.data, buffer.bytes, address, bytes))
    return fault(outside("store", bytes, buffer.name, (long long)offset, buffer.element_bytes, buffer.bytes),
                 instruction);
  ++buffer.stores;
  buffer.stored_bytes += bytes;
  note_lines(buffer, true, offset, bytes, instruction);
  if (!buffer.is_output)
    return fault(text("store to input '%s', element %zu", buffer.name.c_str(), offset / buffer.element_bytes),
                 instruction);
  const size_t last = (offset + bytes - 1) / buffer.element_bytes;
  for (size_t element = offset / buffer.element_bytes; element <= last; ++element) {
    uint32_t& writer = buffer.writer[element];
    if (writer == this_thread_number())
      ++buffer.rewritten;
    else if (writer != NOBODY)
      fault(text("element %zu of output '%s' is written by two threads", element, buffer.name.c_str()), instruction);
    writer = this_thread_number();
  }
}

void atomic_access(void* address, size_t bytes) {
  if (!options.check) return;
  Buffer* buffer = in_arena(uintptr_t(address)) ? buffer_near(uintptr_t(address)) : nullptr;
  if (!buffer || !buffer->is_output) return fault("atomic operation outside the outputs");
  const size_t offset = uintptr_t(address) - uintptr_t(buffer->data);
  if (!inside(buffer->data, buffer->bytes, uintptr_t(address), bytes))
    return fault(outside("atomic operation", bytes, buffer->name, (long long)offset, buffer->element_bytes,
                         buffer->bytes));
  ++buffer->stores;
  buffer->stored_bytes += bytes;
  buffer->writer[offset / buffer->element_bytes] = this_thread_number();
}

// ------------------------------------------------------------------------------------------------ threadgroup memory
// If two threads access a byte and one of the accesses is a store, there must be a barrier in between. `epoch` counts
// threadgroup barriers, `simd_epochs` those of each simdgroup, which only order its own threads.

struct Moment {
  uint64_t epoch = 0, simd_epoch = 0;
  uint32_t simdgroup = 0;
};

struct ByteHistory {
  bool written = false, loaded = false;
  Moment store, load;
  uint32_t store_thread = 0;
  uint32_t load_thread = 0;          // NOBODY: several threads
  bool several_simdgroups_loaded = false;
};

struct ThreadgroupVariable {
  std::string name;
  uint8_t* data;
  size_t bytes, element_bytes;
  bool declared;  // in the running threadgroup
  std::vector<ByteHistory> history;
};
static std::vector<ThreadgroupVariable> variables;
static uint64_t epoch = 0;
static std::vector<uint64_t> simd_epochs(MAX_THREADS_PER_THREADGROUP / SIMD_WIDTH, 0);

void order_threadgroup_memory() { ++epoch; }
void order_simdgroup_memory(uint32_t simdgroup) { ++simd_epochs[simdgroup]; }
void forget_threadgroup_memory() {
  ++epoch;
  for (ThreadgroupVariable& variable : variables) variable.declared = false;
}

size_t threadgroup_bytes() {
  size_t total = 0;
  for (const ThreadgroupVariable& variable : variables) total += variable.bytes;
  return total;
}

void* threadgroup_variable(const char* name, size_t bytes, size_t element_bytes) {
  auto found = std::find_if(variables.begin(), variables.end(), [&](const ThreadgroupVariable& variable) {
    return variable.name == name && variable.bytes == bytes;
  });
  if (found == variables.end()) {
    if (variables.size() == MAX_THREADGROUP_VARIABLES) fatal_fault("more than 64 threadgroup variables");
    uint8_t* slot = arena + (first_slot.back() + variables.size()) * SLOT;
    variables.push_back({name, place(slot, bytes), bytes, element_bytes, false, {}});
    found = variables.end() - 1;
    if (threadgroup_bytes() > MAX_THREADGROUP_BYTES)
      fault(text("%zu bytes of threadgroup memory, more than the available %zu", threadgroup_bytes(),
                 MAX_THREADGROUP_BYTES));
  }
  if (!found->declared) {
    found->declared = true;
    memset(found->data, UNSET_BYTE, bytes);
    if (options.check) found->history.assign(bytes, ByteHistory());
  }
  return found->data;
}

static ThreadgroupVariable* variable_near(uintptr_t address) {
  const size_t slot = (address - uintptr_t(arena)) / SLOT - first_slot.back();
  return slot < variables.size() ? &variables[slot] : nullptr;
}

static Moment now() {
  const uint32_t simdgroup = this_thread().simdgroup_index_in_threadgroup;
  return {epoch, simd_epochs[simdgroup], simdgroup};
}

// True if there is no barrier between `then` and `present`. `one_simdgroup`: all accesses came from one simdgroup.
static bool unordered(const Moment& then, const Moment& present, bool one_simdgroup) {
  if (then.epoch != present.epoch) return false;
  return !(one_simdgroup && then.simdgroup == present.simdgroup && then.simd_epoch != present.simd_epoch);
}

static void load_threadgroup(ThreadgroupVariable& variable, size_t offset, size_t bytes, const void* instruction) {
  ++counters.threadgroup_loads;
  counters.threadgroup_loaded_bytes += bytes;
  const uint32_t self = this_thread().thread_index_in_threadgroup;
  const Moment present = now();
  const size_t element = offset / variable.element_bytes;
  bool uninitialized = false, race = false;
  for (size_t at = offset; at < offset + bytes; ++at) {
    ByteHistory& byte = variable.history[at];
    if (!byte.written)
      uninitialized = true;
    else if (byte.store_thread != self && unordered(byte.store, present, true))
      race = true;
    if (!byte.loaded || !unordered(byte.load, present, !byte.several_simdgroups_loaded)) {
      byte.load_thread = self;
      byte.several_simdgroups_loaded = false;
    } else if (byte.load_thread != self) {
      byte.load_thread = NOBODY;
      byte.several_simdgroups_loaded |= byte.load.simdgroup != present.simdgroup;
    }
    byte.loaded = true;
    byte.load = present;
  }
  if (uninitialized)
    fault(text("load of uninitialized threadgroup memory: '%s', element %zu", variable.name.c_str(), element),
          instruction);
  if (race)
    fault(text("race on threadgroup memory: '%s', element %zu is loaded after another thread's store without a "
               "barrier", variable.name.c_str(), element), instruction);
}

static void store_threadgroup(ThreadgroupVariable& variable, size_t offset, size_t bytes, const void* instruction) {
  ++counters.threadgroup_stores;
  counters.threadgroup_stored_bytes += bytes;
  const uint32_t self = this_thread().thread_index_in_threadgroup;
  const Moment present = now();
  const size_t element = offset / variable.element_bytes;
  bool after_store = false, after_load = false;
  for (size_t at = offset; at < offset + bytes; ++at) {
    ByteHistory& byte = variable.history[at];
    if (byte.written && byte.store_thread != self && unordered(byte.store, present, true)) after_store = true;
    if (byte.loaded && byte.load_thread != self && unordered(byte.load, present, !byte.several_simdgroups_loaded))
      after_load = true;
    byte.written = true;
    byte.store = present;
    byte.store_thread = self;
  }
  if (after_store)
    fault(text("race on threadgroup memory: '%s', element %zu is stored by two threads without a barrier",
               variable.name.c_str(), element), instruction);
  if (after_load)
    fault(text("race on threadgroup memory: '%s', element %zu is stored after another thread's load without a "
               "barrier", variable.name.c_str(), element), instruction);
}

// ------------------------------------------------------------------------------------------------ both

// The compiler reports every access that may reach shared memory. Accesses to the thread's own stack are ignored.
static void note(bool is_store, const void* address, size_t bytes, const void* instruction) {
  const uintptr_t at = uintptr_t(address);
  if (!in_arena(at) || !a_thread_runs()) return;
  if (Buffer* buffer = buffer_near(at))
    return (is_store ? store_device : load_device)(*buffer, at, bytes, instruction);
  ThreadgroupVariable* variable = variable_near(at);
  if (!variable) return fault("access to " + describe_address(address), instruction);
  if (!inside(variable->data, variable->bytes, at, bytes))
    return fault(outside(is_store ? "store" : "load", bytes, variable->name,
                         (long long)(at - uintptr_t(variable->data)), variable->element_bytes, variable->bytes),
                 instruction);
  (is_store ? store_threadgroup : load_threadgroup)(*variable, at - uintptr_t(variable->data), bytes, instruction);
}

void note_load(const void* address, size_t bytes, const void* instruction) { note(false, address, bytes, instruction); }
void note_store(const void* address, size_t bytes, const void* instruction) { note(true, address, bytes, instruction); }

std::string describe_address(const void* address) {
  const uintptr_t at = uintptr_t(address);
  if (!in_arena(at)) return text("address %p, which belongs to no buffer (or the thread's stack is full)", address);
  if (const Buffer* buffer = buffer_near(at)) {
    const std::string place =
        outside("", 0, buffer->name, (long long)(at - uintptr_t(buffer->data)), buffer->element_bytes, buffer->bytes);
    return "memory" + place.substr(place.find(" outside"));
  }
  if (const ThreadgroupVariable* variable = variable_near(at))
    return text("memory outside threadgroup variable '%s'", variable->name.c_str());
  return "memory outside every threadgroup variable";
}

}  // namespace simulator
