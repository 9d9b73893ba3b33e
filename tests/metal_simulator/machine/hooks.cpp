// The functions that g++ calls from instrumented kernels, in place of its own libraries.
//
// -fsanitize=thread calls a function for every load and store that might access shared memory; libtsan is not linked,
// these functions replace it. -fsanitize=bounds,shift,... calls a handler on undefined behavior; these handlers report
// the thread.
#include "machine.h"

using simulator::note_load;
using simulator::note_store;

#define CALLER __builtin_return_address(0)
#define ACCESS(BYTES)                                                              \
  void __tsan_read##BYTES(void* address) { note_load(address, BYTES, CALLER); }    \
  void __tsan_write##BYTES(void* address) { note_store(address, BYTES, CALLER); }
#define UNALIGNED_ACCESS(BYTES)                                                              \
  void __tsan_unaligned_read##BYTES(void* address) { note_load(address, BYTES, CALLER); }    \
  void __tsan_unaligned_write##BYTES(void* address) { note_store(address, BYTES, CALLER); }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
UNALIGNED_ACCESS(2)
UNALIGNED_ACCESS(4)
UNALIGNED_ACCESS(8)
UNALIGNED_ACCESS(16)
void __tsan_read_range(void* address, size_t bytes) { note_load(address, bytes, CALLER); }
void __tsan_write_range(void* address, size_t bytes) { note_store(address, bytes, CALLER); }
}

// Every record that the compiler passes to one of these handlers begins with the source location.
struct UndefinedBehaviour {
  const char* file;
  uint32_t line, column;
};

#define HANDLER(NAME, MESSAGE)                                                                   \
  extern "C" [[noreturn]] void __ubsan_handle_##NAME(UndefinedBehaviour* where) {                \
    simulator::fatal_fault(MESSAGE + (", " + simulator::describe({where->file, where->line})));  \
  }
HANDLER(out_of_bounds_abort, "index outside an array")
HANDLER(add_overflow_abort, "signed integer overflow in an addition")
HANDLER(sub_overflow_abort, "signed integer overflow in a subtraction")
HANDLER(mul_overflow_abort, "signed integer overflow in a multiplication")
HANDLER(negate_overflow_abort, "signed integer overflow in a negation")
HANDLER(divrem_overflow_abort, "integer division by zero or overflow")
HANDLER(shift_out_of_bounds_abort, "shift by a negative or too large amount")
HANDLER(missing_return, "a function ended without returning a value")
