// Vectors and rows of which only a part exists.
// Included inside a variant's namespace.

ALWAYS_INLINE void store_up_to(float *p, Vec v, int64_t count) {  // count: floats left in p
  if (count >= W) store(p, v);
  else if (count > 0) store_first(p, v, int(count));
}

ALWAYS_INLINE Vec load_up_to(const float *p, int64_t count) { return count >= W ? load(p) : load_first(p, int(count)); }

void copy_state(const float *from, float *to, int64_t H, int64_t padded) {  // zeros if `from` is null, and past H
  if (from) std::memcpy(to, from, sizeof(float) * size_t(H));
  std::memset(from ? to + H : to, 0, sizeof(float) * size_t(from ? padded - H : padded));
}
