// A pool of threads that share out numbered tasks.
//
// Which thread runs a task varies; what a task computes must not depend on it. Then results are the same for every
// number of threads.

#pragma once

#include <functional>

namespace lucid {

// Calls task(0), .. task(count - 1) on up to `thread_count()` threads, this one included, and waits for all of them.
// A second caller meanwhile runs its tasks by itself.
void parallel(int count, const std::function<void(int)>& task);

int thread_count();
void set_thread_count(int count);

}  // namespace lucid
