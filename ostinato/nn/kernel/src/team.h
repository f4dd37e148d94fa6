// Workers that go through phases together, each with its own part of every phase.
#pragma once
#include <atomic>
#include <cstdint>
#include <new>
#include <thread>

#include "schedule.h"

namespace ostinato {

// A phase begins when all parts of the phase before are done. A worker takes its own part first, so that what the part
// reads stays in its cache, and then those whose workers have not begun them: nothing waits for a worker that may never
// start. Any number of workers may come, at any time.
class Team {
 public:
  // `begun` holds a number for each part.
  Team(int parts, std::atomic<int64_t> *begun) : parts_(parts), begun_(begun) {
    for (int part = 0; part < parts; part++) new (begun + part) std::atomic<int64_t>(0);
  }

  int parts() const { return parts_; }

  // Calls run(phase, part) for parts of all phases; returns when all are done.
  template <class Run> void work(int own, int64_t phases, Run run) {
    for (int64_t phase = done_.load(std::memory_order_acquire) / parts_; phase < phases; phase++) {
      for (int k = 0; k < parts_; k++) {
        const int part = (own + k) % parts_;
        int64_t expected = phase;
        if (!begun_[part].compare_exchange_strong(expected, phase + 1, std::memory_order_acq_rel)) continue;
        run(phase, part);
        done_.fetch_add(1, std::memory_order_release);
      }
      for (int look = 0; done_.load(std::memory_order_acquire) < (phase + 1) * parts_; look++)
        look < 4000 ? pause() : std::this_thread::yield();
    }
  }

 private:
  int parts_;
  std::atomic<int64_t> *begun_;   // phases whose part has been begun
  std::atomic<int64_t> done_{0};  // parts of all phases
};

}  // namespace ostinato
