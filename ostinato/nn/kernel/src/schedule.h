// Work as stages of tasks, run by however many workers start: nothing waits for a worker that may never start.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ostinato {

struct Stage {
  struct Need {
    const Stage *stage;
    bool same_task;  // task k needs the other stage's tasks up to k instead of all of them
  };

  int64_t tasks = 0;
  bool in_order = false;  // one task at a time, in order
  void (*run)(const void *job, int64_t task) = nullptr;
  const void *job = nullptr;
  Need needs[3] = {};
  int num_needs = 0;

  int64_t next = 0, done = 0;  // owned by the scheduler

  void need(const Stage *stage, bool same_task = false) { needs[num_needs++] = {stage, same_task}; }
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

}  // namespace ostinato
