// Faults are collected instead of thrown: a run lists the first few of each kind, with their threads, and counts
// the rest.
#include <dlfcn.h>
#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <map>

#include "machine.h"

namespace simulator {

std::vector<Fault> faults;
uint64_t fault_count = 0;

std::string text(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  return line;
}

std::string describe(const CallSite& site) { return text("%s line %u", site.file, site.line); }

static std::string describe_thread() {
  if (!a_thread_runs()) return "";
  const Size3 grid = this_thread().thread_position_in_grid, local = this_thread().thread_position_in_threadgroup;
  const Size3 group = this_thread().threadgroup_position_in_grid;
  return text(": thread (%u, %u, %u), which is (%u, %u, %u) of threadgroup (%u, %u, %u)", grid.x, grid.y, grid.z,
              local.x, local.y, local.z, group.x, group.y, group.z);
}

static uintptr_t offset_in_library(const void* instruction) {
  Dl_info library;
  if (!instruction || !dladdr(instruction, &library)) return NO_INSTRUCTION;
  return uintptr_t(instruction) - uintptr_t(library.dli_fbase);
}

// Messages that differ only in numbers are of one kind: one mistake appears at many elements.
static std::string kind_of(const std::string& message) {
  std::string kind;
  for (const char c : message)
    if (c < '0' || c > '9') kind += c;
  return kind;
}

void fault(const std::string& message, const void* instruction) {
  static std::map<std::string, size_t> shown;
  ++fault_count;
  if (shown[kind_of(message)]++ < MAX_FAULTS_SHOWN_OF_A_KIND)
    faults.push_back({message + describe_thread(), offset_in_library(instruction)});
}

void fatal_fault(const std::string& message, const void* instruction) {
  fault(message, instruction);
  print_report(false);
  fflush(stdout);
  _exit(0);
}

// Not async-signal-safe, since it allocates. After a crash inside malloc it would hang until the caller's timeout; a
// crash in the kernel, which it is meant for, is reported.
static void on_crash(int signal, siginfo_t* info, void*) {
  if (signal == SIGFPE) fatal_fault("integer division by zero or overflow");
  fatal_fault("access to " + describe_address(info->si_addr));
}

void report_crashes() {
  static char stack[64 * 1024];  // a separate one: the thread's may have overflowed
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE}) sigaction(signal, &action, nullptr);
}

}  // namespace simulator
