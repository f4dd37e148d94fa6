// Work cut into stages of tasks, run by as many workers as come: nobody waits for a worker that may never start.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ostinato {

struct Stage {
  struct Need {
    const Stage *stage;
    bool same_task;  // task k needs the other's tasks up to k, and not all of them
  };

  int64_t tasks = 0;
  bool in_order = false;  // one task at a time, each after the one before
  void (*run)(const void *what, int64_t task) = nullptr;
  const void *what = nullptr;
  Need needs[3] = {};
  int num_needs = 0;

  int64_t next = 0, done = 0;  // the scheduler's own

  void need(const Stage *stage, bool same_task = false) { needs[num_needs++] = {stage, same_task}; }
};

// Runs all tasks; an earlier stage of the array is preferred where several are ready.
void run_stages(Stage *stages, int count, int threads);

// "openmp" where the process has an OpenMP pool that can be shared, else "threads".
const char *pool_name();

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;  // every block is exactly as large as asked for, and new, so that a step beyond it is seen
#else
constexpr bool kSanitized = false;
#endif

// A block of at least `bytes` at a multiple of 64, from a small store of blocks used before; null without memory.
void *take_block(std::size_t bytes);
void give_block(void *block);

}  // namespace ostinato
