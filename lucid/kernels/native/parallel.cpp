#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

namespace lucid {
namespace {

// Kernels follow each other closely: waiting this many rounds for the next one is shorter than waking up (about 50 us).
constexpr int SPINS = 2000;

std::atomic<int> wanted_threads{1};

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Pool {
 public:
  void run(int count, const std::function<void(int)>& task) {
    const int helpers = std::min(wanted_threads.load() - 1, count - 1);
    std::unique_lock<std::mutex> only_one(running_, std::try_to_lock);
    if (helpers < 1 || !only_one.owns_lock()) {
      for (int i = 0; i < count; ++i) task(i);
      return;
    }
    start(helpers);
    {
      std::lock_guard<std::mutex> guard(mutex_);
      task_ = &task;
      count_ = count;
      next_ = 0;
      places_ = helpers;
      jobs_.fetch_add(1);
    }
    wake_.notify_all();
    take();
    {
      // Nobody joins from here on: threads that are still waking up are not waited for.
      std::lock_guard<std::mutex> guard(mutex_);
      places_ = 0;
    }
    for (int spins = 0; working_.load() > 0; ++spins) {
      pause();
      if (spins > SPINS) std::this_thread::yield();
    }
  }

 private:
  void start(int helpers) {
    try {
      for (; started_ < helpers; ++started_) std::thread([this] { work(); }).detach();
    } catch (const std::system_error&) {
      // The system allows no more threads: those that there are do the work.
    }
  }

  void take() {
    for (int i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) (*task_)(i);
  }

  void work() {
    for (unsigned seen = 0;;) {
      for (int spins = 0; spins < SPINS && jobs_.load() == seen; ++spins) pause();
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return jobs_.load() != seen; });
        seen = jobs_.load();
        if (places_ == 0) continue;
        --places_;
        working_.fetch_add(1);
      }
      take();
      working_.fetch_sub(1);
    }
  }

  std::mutex running_, mutex_;
  std::condition_variable wake_;
  std::atomic<unsigned> jobs_{0};
  std::atomic<int> next_{0}, working_{0};
  const std::function<void(int)>* task_ = nullptr;
  int count_ = 0, places_ = 0, started_ = 0;
};

// Never destroyed: its threads run until the process ends.
Pool& pool() {
  static Pool* const only = new Pool;
  return *only;
}

}  // namespace

void parallel(int count, const std::function<void(int)>& task) {
  pool().run(count, task);
}

int thread_count() {
  return wanted_threads;
}

void set_thread_count(int count) {
  wanted_threads = std::max(count, 1);
}

}  // namespace lucid
