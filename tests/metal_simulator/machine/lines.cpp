// Cache lines: how many of them the lanes of a simdgroup request together.
//
// Lanes run one after another here. The n-th time that a lane executes an instruction is taken for one access with the
// n-th time of the other lanes, as on a GPU if they all take the same branches. Lines are counted from the start of the
// buffer, which a GPU aligns.
#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "machine.h"

namespace simulator {

struct Instruction {
  std::array<uint32_t, SIMD_WIDTH> times{};       // that each lane has executed it
  std::vector<std::vector<uint64_t>> accesses;    // the lines of each access
};

using Key = std::tuple<uint32_t, const void*, Buffer*, bool>;  // simdgroup, address, buffer, whether it is a store
static std::map<Key, Instruction> instructions;                // of the running threadgroup

void note_lines(Buffer& buffer, bool is_store, size_t offset, size_t bytes, const void* instruction) {
  if (!options.lines) return;
  const Thread& thread = this_thread();
  Instruction& found = instructions[{thread.simdgroup_index_in_threadgroup, instruction, &buffer, is_store}];
  const uint32_t time = found.times[thread.thread_index_in_simdgroup]++;
  if (time == found.accesses.size()) found.accesses.emplace_back();
  std::vector<uint64_t>& lines = found.accesses[time];
  for (size_t line = offset / LINE_BYTES; line <= (offset + bytes - 1) / LINE_BYTES; ++line)
    if (std::find(lines.rbegin(), lines.rend(), line) == lines.rend()) lines.push_back(line);
}

void count_lines() {
  for (const auto& [key, instruction] : instructions) {
    Buffer& buffer = *std::get<2>(key);
    const bool is_store = std::get<3>(key);
    (is_store ? buffer.store_accesses : buffer.load_accesses) += instruction.accesses.size();
    for (const auto& lines : instruction.accesses) (is_store ? buffer.store_lines : buffer.load_lines) += lines.size();
  }
  instructions.clear();
}

}  // namespace simulator
