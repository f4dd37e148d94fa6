// The workers: torch's OpenMP pool if there is one, else our own threads.
#include "schedule.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__) || defined(__APPLE__)
#include <dlfcn.h>
#include <pthread.h>
#endif
#if defined(__linux__)
#include <link.h>
#include <cstring>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ostinato {
namespace {

// ---- the pool -------------------------------------------------------------------------------------------------

// libgomp's entry for a parallel region; LLVM's and Intel's libraries offer the same name.
using Region = void (*)(void (*)(void *), void *, unsigned, unsigned);

#if defined(__linux__)
int find_openmp(dl_phdr_info *info, size_t, void *found) {
  for (const char *name : {"libgomp", "libomp", "libiomp5"}) {
    if (!info->dlpi_name || !std::strstr(info->dlpi_name, name)) continue;
    void *library = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!library) continue;
    *static_cast<void **>(found) = dlsym(library, "GOMP_parallel");
    if (*static_cast<void **>(found)) return 1;
  }
  return 0;
}
#endif

std::atomic<bool> forked{false};  // an OpenMP pool does not survive a fork: libgomp hangs in the child

std::mutex &store_mutex() {
  static std::mutex *mutex = new std::mutex;  // never destroyed: threads may outlive static objects
  return *mutex;
}

#if defined(__linux__) || defined(__APPLE__)
[[maybe_unused]] const int watching_forks = pthread_atfork(
    [] { store_mutex().lock(); }, [] { store_mutex().unlock(); },
    [] {
      store_mutex().unlock();
      forked = true;
    });
#endif

Region openmp_region() {
#if defined(__linux__)
  static Region region = [] {
    void *found = nullptr;
    dl_iterate_phdr(find_openmp, &found);
    return reinterpret_cast<Region>(found);
  }();
  return forked ? nullptr : region;
#else
  return nullptr;
#endif
}

// Runs worker() on this thread and up to threads - 1 others; returns when all that started are done.
template <class Worker> void parallel(int threads, Worker &worker) {
  if (threads <= 1) return worker();
  if (Region region = openmp_region()) {
    region([](void *w) { (*static_cast<Worker *>(w))(); }, &worker, unsigned(threads), 0);
    return;
  }
  std::vector<std::thread> others;
  others.reserve(size_t(threads - 1));
  try {
    for (int k = 1; k < threads; k++) others.emplace_back([&worker] { worker(); });
  } catch (const std::system_error &) {
    // the system has no more threads: those that started do the work
  }
  worker();
  for (std::thread &other : others) other.join();
}

// ---- the scheduler --------------------------------------------------------------------------------------------

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

class Schedule {
 public:
  Schedule(Stage *stages, int count) : stages_(stages), count_(count) {
    for (int s = 0; s < count; s++) left_ += stages[s].tasks;
  }

  void operator()() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (left_ > 0) {
      Stage *stage = ready();
      if (!stage) {
        wait(lock);
        continue;
      }
      int64_t task = stage->next++;
      lock.unlock();
      stage->run(stage->job, task);
      lock.lock();
      stage->done++;
      left_--;
      changes_.fetch_add(1, std::memory_order_relaxed);
      if (sleepers_ > 0) changed_.notify_all();
    }
  }

 private:
  Stage *ready() {
    while (first_ < count_ && stages_[first_].next == stages_[first_].tasks) first_++;
    for (int s = first_; s < count_; s++) {
      if (is_ready(stages_[s])) return &stages_[s];
    }
    return nullptr;
  }

  static bool is_ready(const Stage &stage) {
    if (stage.next == stage.tasks || (stage.in_order && stage.done < stage.next)) return false;
    for (int n = 0; n < stage.num_needs; n++) {
      const Stage::Need &need = stage.needs[n];
      if (need.stage->done < (need.same_task ? stage.next + 1 : need.stage->tasks)) return false;
    }
    return true;
  }

  // Spin briefly before sleeping: a task takes tens of microseconds, and so does waking a sleeper.
  void wait(std::unique_lock<std::mutex> &lock) {
    const int64_t seen = changes_.load(std::memory_order_relaxed);
    lock.unlock();
    for (int look = 0; look < 4000 && changes_.load(std::memory_order_relaxed) == seen; look++) pause();
    lock.lock();
    sleepers_++;
    changed_.wait(lock, [&] { return changes_.load(std::memory_order_relaxed) != seen; });
    sleepers_--;
  }

  Stage *stages_;
  int count_, first_ = 0, sleepers_ = 0;
  int64_t left_ = 0;
  std::atomic<int64_t> changes_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// ---- the store of blocks --------------------------------------------------------------------------------------

constexpr size_t kHeader = 64, kMostStored = 8, kLargestStored = size_t(64) << 20;

std::vector<void *> &stored_blocks() {  // where each starts: at a header that holds its size
  static auto *blocks = new std::vector<void *>;
  return *blocks;
}

size_t &size_of(void *start) { return *static_cast<size_t *>(start); }

}  // namespace

void run_stages(Stage *stages, int count, int threads) {
  Schedule schedule(stages, count);
  parallel(threads, schedule);
}

const char *pool_name() { return openmp_region() ? "openmp" : "threads"; }

void *take_block(std::size_t bytes) {
  if (!kSanitized) {
    std::lock_guard<std::mutex> lock(store_mutex());
    std::vector<void *> &blocks = stored_blocks();
    for (size_t k = blocks.size(); k-- > 0;) {
      if (size_of(blocks[k]) >= bytes && size_of(blocks[k]) / 4 <= bytes + 65536) {
        void *start = blocks[k];
        blocks.erase(blocks.begin() + ptrdiff_t(k));
        return static_cast<char *>(start) + kHeader;
      }
    }
  }
  const size_t size = kSanitized ? bytes : bytes + bytes / 8;  // some spare room, so that the next batch also fits
  void *start = nullptr;
  if (posix_memalign(&start, 64, size + kHeader)) return nullptr;
  size_of(start) = size;
  return static_cast<char *>(start) + kHeader;
}

void give_block(void *block) {
  if (!block) return;
  void *start = static_cast<char *>(block) - kHeader;
  std::lock_guard<std::mutex> lock(store_mutex());
  std::vector<void *> &blocks = stored_blocks();
  if (kSanitized || size_of(start) > kLargestStored) return std::free(start);
  if (blocks.size() == kMostStored) {
    std::free(blocks.front());
    blocks.erase(blocks.begin());
  }
  blocks.push_back(start);
}

}  // namespace ostinato
