// Work as stages of tasks, run by however many workers start: nothing waits for a worker that may never start.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ostinato {

// Tells the processor that this thread waits for another.
inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// While it lives, this thread computes with denormal numbers (below 1.2e-38 in magnitude) as zeros: the processor takes
// some hundred times as long for each of them, and a gradient that vanishes through time is full of them.
class FlushDenormals {
 public:
  FlushDenormals() : before_(read()) { write(before_ | kFlush); }
  ~FlushDenormals() { write(before_); }
  FlushDenormals(const FlushDenormals &) = delete;
  FlushDenormals &operator=(const FlushDenormals &) = delete;

 private:
#if defined(__x86_64__)
  using Control = unsigned;
  static constexpr Control kFlush = 0x8040;  // of MXCSR: flush to zero (results), denormals are zero (operands)
  static Control read() { return _mm_getcsr(); }
  static void write(Control control) { _mm_setcsr(control); }
#elif defined(__aarch64__)
  using Control = uint64_t;
  static constexpr Control kFlush = uint64_t(1) << 24;  // FPCR.FZ: operands and results
  static Control read() {
    Control control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
  static void write(Control control) { __asm__ volatile("msr fpcr, %0" : : "r"(control)); }
#else
  using Control = int;
  static constexpr Control kFlush = 0;
  static Control read() { return 0; }
  static void write(Control) {}
#endif
  Control before_;
};

struct Stage {
  struct Need {
    const Stage *stage;
    bool all;        // of its tasks; else task k needs the other stage's tasks up to k - behind
    int64_t behind;
  };

  int64_t tasks = 0;
  bool in_order = false;  // one task at a time, in order
  void (*run)(const void *job, int64_t task) = nullptr;
  const void *job = nullptr;
  Need needs[3] = {};
  int num_needs = 0;

  int64_t next = 0, done = 0;  // owned by the scheduler

  void need(const Stage *stage) { needs[num_needs++] = {stage, true, 0}; }
  void need_same_task(const Stage *stage, int64_t behind = 0) { needs[num_needs++] = {stage, false, behind}; }
};

// Runs all tasks. When several stages are ready, the first in the array goes first.
void run_stages(Stage *stages, int count, int threads);

// "openmp" when the process has an OpenMP pool to share, else "threads".
const char *pool_name();

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized =
    true;  // every block is new and exactly as large as requested, so that an overrun is detected
#else
constexpr bool kSanitized = false;
#endif

// A block of at least `bytes`, aligned to 64, from a small store of used blocks; null when out of memory.
void *take_block(std::size_t bytes);
void give_block(void *block);

// Asks Linux for pages of 2 MiB instead of 4 KiB, so that the processor translates fewer addresses. A hint: the system
// may not have them, and pages that are in use stay as they are.
void prefer_huge_pages(void *start, std::size_t bytes);

}  // namespace ostinato
