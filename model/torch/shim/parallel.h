// Loops over tasks on as many threads as operators have. libtorch's own parallel_for needs its
// OpenMP, which we would have to link a second time; its pool of threads is there for the asking.
#pragma once
#include <ATen/Parallel.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

namespace fnf {

// Calls task(i) for i in [0, n), each once, and returns when all are done. Tasks must not throw. A
// result that is gathered by i does not depend on the number of threads.
template <class Task>
void parallel(int64_t n, const Task& task) {
  int64_t helpers = std::min<int64_t>(at::get_num_threads(), n) - 1;
  if (helpers <= 0) {
    for (int64_t i = 0; i < n; i++) task(i);
    return;
  }
  struct Shared {
    std::atomic<int64_t> next{0}, done{0};
    std::mutex mutex;
    std::condition_variable all;
  };
  auto shared = std::make_shared<Shared>();
  auto work = [shared, n, &task] {  // task is alive while an i below n is left
    for (int64_t i; (i = shared->next++) < n;) {
      task(i);
      if (++shared->done == n) {
        std::lock_guard<std::mutex> lock(shared->mutex);
        shared->all.notify_one();
      }
    }
  };
  for (int64_t h = 0; h < helpers; h++) at::launch(work);
  work();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->all.wait(lock, [&] { return shared->done == n; });
}

}  // namespace fnf
