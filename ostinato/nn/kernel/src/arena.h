// Memory for one call of the kernel.
// Included inside a variant's namespace.

// Memory for one call, released at its end.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena &) = delete;
  ~Arena() {
    while (blocks_) {
      void *block = blocks_;
      blocks_ = *static_cast<void **>(block);
      give_block(block);
    }
  }

  template <class T> T *take(int64_t count) {
    const size_t exact = size_t(count) * sizeof(T), bytes = kSanitized ? exact : (exact + 63) / 64 * 64;
    if (bytes > left_) {
      const size_t fresh = bytes > kBlock ? bytes : kBlock;
      void *block = take_block(fresh + 64);
      if (!block) throw NoMemory();
      *static_cast<void **>(block) = blocks_;
      blocks_ = block;
      if (fresh == bytes) return reinterpret_cast<T *>(static_cast<char *>(block) + 64);
      at_ = static_cast<char *>(block) + 64;
      left_ = fresh;
    }
    T *taken = reinterpret_cast<T *>(at_);
    at_ += bytes;
    left_ -= bytes;
    return taken;
  }

  template <class T> T *take_zeroed(int64_t count) {
    T *taken = take<T>(count);
    std::memset(taken, 0, size_t(count) * sizeof(T));
    return taken;
  }

 private:
  static constexpr size_t kBlock = kSanitized ? 0 : 1 << 18;
  void *blocks_ = nullptr;
  char *at_ = nullptr;
  size_t left_ = 0;
};
