// The workers: torch's OpenMP pool where torch computes on several threads, too, else our own threads.
#include "schedule.h"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <memory>
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
#include <sys/mman.h>
#include <cstring>
#endif
#if defined(_WIN32)
#include <malloc.h>
#endif

namespace ostinato {
namespace {

// ---- torch's pool ---------------------------------------------------------------------------------------------

// libgomp's entry for a parallel region; LLVM's and Intel's libraries offer the same names.
struct OpenMp {
  void (*parallel)(void (*)(void *), void *, unsigned, unsigned) = nullptr;
  int (*max_threads)() = nullptr;
};

#if defined(__linux__)
int find_openmp(dl_phdr_info *info, size_t, void *found) {
  for (const char *name : {"libgomp", "libomp", "libiomp5"}) {
    if (!info->dlpi_name || !std::strstr(info->dlpi_name, name)) continue;
    void *library = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!library) continue;
    OpenMp *openmp = static_cast<OpenMp *>(found);
    *reinterpret_cast<void **>(&openmp->parallel) = dlsym(library, "GOMP_parallel");
    *reinterpret_cast<void **>(&openmp->max_threads) = dlsym(library, "omp_get_max_threads");
    if (openmp->parallel && openmp->max_threads) return 1;
    *openmp = {};
  }
  return 0;
}
#endif

std::atomic<bool> forked{false};  // an OpenMP pool does not survive a fork: libgomp hangs in the child

const OpenMp &openmp() {
#if defined(__linux__)
  static const OpenMp library = [] {
    OpenMp found;
    dl_iterate_phdr(find_openmp, &found);
    return found;
  }();
  static const OpenMp none;
  return forked ? none : library;
#else
  static const OpenMp none;
  return none;
#endif
}

// ---- the scheduler --------------------------------------------------------------------------------------------

class Schedule {
 public:
  Schedule(Stage *stages, int count) : stages_(stages), count_(count) {
    for (int s = 0; s < count; s++) left_ += stages[s].tasks;
  }

  void operator()() {
    const FlushDenormals flush;  // each thread has its own control register
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
      if (need.stage->done < (need.all ? need.stage->tasks : stage.next + 1 - need.behind)) return false;
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

// ---- our own pool ---------------------------------------------------------------------------------------------

// Sleeping threads that help with the work of any number of callers at once. A caller returns when its tasks are done:
// it never waits for a helper that has not started, as on a machine whose cores other programs use.
class Helpers {
 public:
  void share(const std::shared_ptr<Schedule> &work, int wanted) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (started_ < wanted && start()) started_++;
    open_.push_back({work, wanted});
    wanted < 2 ? opened_.notify_one() : opened_.notify_all();
  }

  void withdraw(const std::shared_ptr<Schedule> &work) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (size_t k = 0; k < open_.size(); k++) {
      if (open_[k].work == work) return void(open_.erase(open_.begin() + ptrdiff_t(k)));
    }
  }

 private:
  struct Offer {
    std::shared_ptr<Schedule> work;  // its helpers may return after its caller
    int wanted;
  };

  bool start() {
    try {
      std::thread([this] { help(); }).detach();
      return true;
    } catch (const std::system_error &) {
      return false;  // the system has no more threads: those that started do the work
    }
  }

  void help() {
    for (;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      opened_.wait(lock, [this] { return !open_.empty(); });
      const std::shared_ptr<Schedule> work = open_.front().work;
      if (--open_.front().wanted == 0) open_.erase(open_.begin());
      lock.unlock();
      (*work)();
    }
  }

  std::mutex mutex_;
  std::condition_variable opened_;
  std::vector<Offer> open_;
  int started_ = 0;
};

// Neither is ever destroyed: threads may outlive static objects. A forked child has none of the threads: it starts anew.
std::atomic<Helpers *> helpers_{new Helpers};

std::mutex &store_mutex() {
  static std::mutex *mutex = new std::mutex;
  return *mutex;
}

#if defined(__linux__) || defined(__APPLE__)
[[maybe_unused]] const int watching_forks = pthread_atfork(
    [] { store_mutex().lock(); }, [] { store_mutex().unlock(); },
    [] {
      store_mutex().unlock();
      forked = true;
      helpers_ = new Helpers;
    });
#endif

// ---- the store of blocks --------------------------------------------------------------------------------------

constexpr size_t kHeader = 64, kMostStored = size_t(256) << 20;  // bytes; new memory costs a page fault per 4 KiB

std::vector<void *> &stored_blocks() {  // where each starts: at a header that holds its size
  static auto *blocks = new std::vector<void *>;
  return *blocks;
}

size_t stored_bytes = 0;  // of the blocks

size_t &size_of(void *start) { return *static_cast<size_t *>(start); }

void *allocate(size_t bytes) {
#if defined(_WIN32)
  return _aligned_malloc(bytes, kHeader);
#else
  void *start = nullptr;
  return posix_memalign(&start, kHeader, bytes) ? nullptr : start;
#endif
}

void release(void *start) {
#if defined(_WIN32)
  _aligned_free(start);
#else
  std::free(start);
#endif
}

}  // namespace

void run_stages(Stage *stages, int count, int threads) {
  if (threads <= 1) return Schedule(stages, count)();
  if (const OpenMp &pool = openmp(); pool.parallel && pool.max_threads() > 1) {
    Schedule schedule(stages, count);
    return pool.parallel([](void *work) { (*static_cast<Schedule *>(work))(); }, &schedule, unsigned(threads), 0);
  }
  const auto schedule = std::make_shared<Schedule>(stages, count);
  Helpers &helpers = *helpers_;
  helpers.share(schedule, threads - 1);
  (*schedule)();
  helpers.withdraw(schedule);
}

const char *pool_name() { return openmp().parallel ? "openmp" : "threads"; }

void prefer_huge_pages([[maybe_unused]] void *start, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  constexpr uintptr_t kHugePage = uintptr_t(2) << 20;
  const uintptr_t at = reinterpret_cast<uintptr_t>(start);
  const uintptr_t first = (at + kHugePage - 1) / kHugePage * kHugePage, end = (at + bytes) / kHugePage * kHugePage;
  if (first < end) madvise(reinterpret_cast<void *>(first), end - first, MADV_HUGEPAGE);
#endif
}

void *take_block(std::size_t bytes) {
  if (!kSanitized) {
    std::lock_guard<std::mutex> lock(store_mutex());
    std::vector<void *> &blocks = stored_blocks();
    auto best = blocks.end();  // the smallest that fits, unless it is far too large
    for (auto at = blocks.begin(); at != blocks.end(); ++at) {
      const bool fits = size_of(*at) >= bytes && size_of(*at) / 4 <= bytes + 65536;
      if (fits && (best == blocks.end() || size_of(*at) <= size_of(*best))) best = at;
    }
    if (best != blocks.end()) {
      void *start = *best;
      blocks.erase(best);
      stored_bytes -= size_of(start);
      return static_cast<char *>(start) + kHeader;
    }
  }
  const size_t size = kSanitized ? bytes : bytes + bytes / 8;  // some spare room, so that the next batch also fits
  void *start = allocate(size + kHeader);
  if (!start) return nullptr;
  prefer_huge_pages(start, size + kHeader);
  size_of(start) = size;
  return static_cast<char *>(start) + kHeader;
}

void give_block(void *block) {
  if (!block) return;
  void *start = static_cast<char *>(block) - kHeader;
  std::lock_guard<std::mutex> lock(store_mutex());
  std::vector<void *> &blocks = stored_blocks();
  if (kSanitized || size_of(start) > kMostStored) return release(start);
  while (stored_bytes + size_of(start) > kMostStored) {  // the oldest first
    stored_bytes -= size_of(blocks.front());
    release(blocks.front());
    blocks.erase(blocks.begin());
  }
  stored_bytes += size_of(start);
  blocks.push_back(start);
}

}  // namespace ostinato
