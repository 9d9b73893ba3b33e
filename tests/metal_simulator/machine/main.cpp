// One run: `machine kernel.so`, a job on standard input, a report and the outputs on standard output.
//
// The job is little-endian: grid (3 x u32), threadgroup (3 x u32), flags, seed, the number of buffers (u32 each); then
// for each buffer: length and text of its name, is_output, has_contents, element_bytes (u32 each), bytes (u64); then
// the contents of those that have any. The output is one line of JSON, then the contents of the outputs in order.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "machine.h"

namespace simulator {

enum Flag : uint32_t { CHECK = 1, LOW_GUARD = 2, ROUND_UP_GRID = 4, REVERSE_ORDER = 8, RANDOM_ORDER = 16, LINES = 32 };

static void read_bytes(void* into, size_t bytes) {
  if (bytes && fread(into, bytes, 1, stdin) != 1) {
    fprintf(stderr, "the job is truncated\n");
    exit(1);
  }
}

template <class T>
static T read() {
  T value;
  read_bytes(&value, sizeof value);
  return value;
}

static Size3 read_size() {
  const uint32_t x = read<uint32_t>(), y = read<uint32_t>(), z = read<uint32_t>();
  return {x, y, z};
}

static void read_buffers() {
  buffers.resize(read<uint32_t>());
  for (Buffer& buffer : buffers) {
    buffer.name.resize(read<uint32_t>());
    read_bytes(&buffer.name[0], buffer.name.size());
    buffer.is_output = read<uint32_t>() != 0;
    buffer.initialized = read<uint32_t>() != 0;
    buffer.element_bytes = read<uint32_t>();
    buffer.bytes = read<uint64_t>();
  }
  place_buffers();
  for (Buffer& buffer : buffers)
    if (buffer.initialized) read_bytes(buffer.data, buffer.bytes);
}

static std::string quoted(const std::string& plain) {
  std::string result = "\"";
  for (const char c : plain) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

static void print_number(const char* name, uint64_t value) {
  printf(", \"%s\": %llu", name, (unsigned long long)value);
}

void print_report(bool completed) {
  printf("{\"completed\": %s", completed ? "true" : "false");
  print_number("fault_count", fault_count);
  printf(", \"faults\": [");
  for (size_t i = 0; i < faults.size(); ++i)
    printf("%s[%s, %llu]", i ? ", " : "", quoted(faults[i].message).c_str(), (unsigned long long)faults[i].instruction);
  printf("]");
  print_number("threads", counters.threads);
  print_number("threadgroups", counters.threadgroups);
  print_number("partial_threadgroups", counters.partial_threadgroups);
  print_number("barriers", counters.barriers);
  print_number("simd_operations", counters.simd_operations);
  print_number("multiply_adds", counters.multiply_adds);
  print_number("threadgroup_bytes", threadgroup_bytes());
  print_number("threadgroup_loads", counters.threadgroup_loads);
  print_number("threadgroup_loaded_bytes", counters.threadgroup_loaded_bytes);
  print_number("threadgroup_stores", counters.threadgroup_stores);
  print_number("threadgroup_stored_bytes", counters.threadgroup_stored_bytes);
  printf(", \"buffers\": {");
  const char* separator = "";
  for (const Buffer& buffer : buffers) {
    printf("%s%s: {\"is_output\": %s", separator, quoted(buffer.name).c_str(), buffer.is_output ? "true" : "false");
    print_number("loads", buffer.loads);
    print_number("loaded_bytes", buffer.loaded_bytes);
    print_number("stores", buffer.stores);
    print_number("stored_bytes", buffer.stored_bytes);
    print_number("load_accesses", buffer.load_accesses);
    print_number("load_lines", buffer.load_lines);
    print_number("store_accesses", buffer.store_accesses);
    print_number("store_lines", buffer.store_lines);
    print_number("rewritten", buffer.rewritten);
    print_number("unwritten", buffer.unwritten());
    printf("}");
    separator = ", ";
  }
  printf("}}\n");
}

static int run(const char* library) {
  void* loaded = dlopen(library, RTLD_NOW);
  void* entry = loaded ? dlsym(loaded, "simulator_kernel_entry") : nullptr;
  if (!entry) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  const Size3 grid = read_size(), threadgroup = read_size();
  const uint32_t flags = read<uint32_t>();
  options.check = flags & CHECK;
  options.low_guard = flags & LOW_GUARD;
  options.round_up_grid = flags & ROUND_UP_GRID;
  options.lines = flags & LINES;
  options.order = flags & RANDOM_ORDER ? Order::RANDOM : flags & REVERSE_ORDER ? Order::REVERSE : Order::FORWARD;
  options.seed = read<uint32_t>();
  read_buffers();
  report_crashes();
  run_grid(grid, threadgroup, reinterpret_cast<void (*)()>(entry));
  for (const Buffer& buffer : buffers)
    if (options.check && buffer.unwritten())
      fault(text("%llu of %zu elements of output '%s' are never written", (unsigned long long)buffer.unwritten(),
                 buffer.bytes / buffer.element_bytes, buffer.name.c_str()));
  print_report(true);
  for (const Buffer& buffer : buffers)
    if (buffer.is_output) fwrite(buffer.data, 1, buffer.bytes, stdout);
  return 0;
}

}  // namespace simulator

int main(int count, char** arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: machine kernel.so < job > answer\n");
    return 2;
  }
  return simulator::run(arguments[1]);
}
