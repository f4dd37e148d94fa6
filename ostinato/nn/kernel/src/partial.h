// Vectors and rows of which only a part exists.
// Included inside a variant's namespace.

struct Range {
  int64_t first, end;
};

ALWAYS_INLINE void store_up_to(float *p, Vec v, int64_t count) {  // count: floats left in p
  if (count >= W) store(p, v);
  else if (count > 0) store_first(p, v, int(count));
}

ALWAYS_INLINE Vec load_up_to(const float *p, int64_t count) { return count >= W ? load(p) : load_first(p, int(count)); }

void copy_state(const float *from, float *to, int64_t H, int64_t padded) {  // zeros if `from` is null, and past H
  if (from) std::memcpy(to, from, sizeof(float) * size_t(H));
  std::memset(from ? to + H : to, 0, sizeof(float) * size_t(from ? padded - H : padded));
}

// The first kCount cell states of a sequence, from the caller's order, one after the other (state, H), to the kernel's:
// side by side in each panel (panel, state, W). Zeros if `from` is null, and past H.
template <int kCount> void copy_cells(const float *from, float *to, int64_t H) {
  for (int64_t unit = 0; unit < H; unit += W) {
    for (int k = 0; k < kCount; k++, to += W) store(to, from ? load_up_to(from + k * H + unit, H - unit) : all(0.0f));
  }
}

// And back.
template <int kCount> void return_cells(const float *from, float *to, int64_t H) {
  for (int64_t unit = 0; unit < H; unit += W) {
    for (int k = 0; k < kCount; k++, from += W) store_up_to(to + k * H + unit, load(from), H - unit);
  }
}
