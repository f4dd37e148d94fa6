// Small matrix products in registers. Every output has one accumulator and adds its terms in ascending order, one fused
// multiply-add each, so its bits do not depend on the tile that computes it.
// Included inside a variant's namespace.

template <int R, int V> using Tile = Vec[R][V];

// Rows of the largest tile that is V vectors wide.
template <int V> constexpr int kRows = kAccumulators / V < 8 ? kAccumulators / V : 8;

// Calls f(R, first) for rows [0, count), cut into tiles of nearly equal heights, at most kMost rows each.
template <int kMost, class F> ALWAYS_INLINE void for_tiles(int64_t count, F f) {
  const int64_t tiles = (count + kMost - 1) / kMost;
  for (int64_t tile = 0, first = 0; tile < tiles; tile++) {
    const int64_t rows = (count - first + tiles - tile - 1) / (tiles - tile);
    switch (rows) {
      case 8: if constexpr (kMost >= 8) f(std::integral_constant<int, 8>(), first); break;
      case 7: if constexpr (kMost >= 7) f(std::integral_constant<int, 7>(), first); break;
      case 6: if constexpr (kMost >= 6) f(std::integral_constant<int, 6>(), first); break;
      case 5: if constexpr (kMost >= 5) f(std::integral_constant<int, 5>(), first); break;
      case 4: if constexpr (kMost >= 4) f(std::integral_constant<int, 4>(), first); break;
      case 3: if constexpr (kMost >= 3) f(std::integral_constant<int, 3>(), first); break;
      case 2: if constexpr (kMost >= 2) f(std::integral_constant<int, 2>(), first); break;
      case 1: f(std::integral_constant<int, 1>(), first); break;
    }
    first += rows;
  }
}

// Calls f(V, first) for vectors [0, count) in groups of at most 4.
template <class F> ALWAYS_INLINE void for_vectors(int64_t count, F f) {
  for (int64_t first = 0; first < count; first += 4) {
    switch (count - first) {
      case 1: f(std::integral_constant<int, 1>(), first); break;
      case 2: f(std::integral_constant<int, 2>(), first); break;
      case 3: f(std::integral_constant<int, 3>(), first); break;
      default: f(std::integral_constant<int, 4>(), first); break;
    }
  }
}

// tile[r][v] += Σ_k a[r][k] · b[k][v], for b (K, V) vectors end to end.
template <int R, int V>
ALWAYS_INLINE void multiply(const float *const (&a)[R], const float *b, int64_t K, Tile<R, V> &tile) {
  for (int64_t k = 0; k < K; k++, b += V * W) {
    Vec column[V];
    UNROLL for (int v = 0; v < V; v++) column[v] = load(b + v * W);
    UNROLL for (int r = 0; r < R; r++) {
      const Vec x = all(a[r][k]);
      UNROLL for (int v = 0; v < V; v++) tile[r][v] = fma(x, column[v], tile[r][v]);
    }
  }
}

// tile[r][v] += Σ_k rows[k][first + r] · b[k][v], for b with `stride` floats from k to k + 1.
template <int R, int V> ALWAYS_INLINE void multiply_outer(
    const float *const *rows, int64_t first, const float *b, int64_t stride, int64_t K, Tile<R, V> &tile) {
  for (int64_t k = 0; k < K; k++, b += stride) {
    const float *a = rows[k] + first;
    Vec column[V];
    UNROLL for (int v = 0; v < V; v++) column[v] = load(b + v * W);
    UNROLL for (int r = 0; r < R; r++) {
      const Vec x = all(a[r]);
      UNROLL for (int v = 0; v < V; v++) tile[r][v] = fma(x, column[v], tile[r][v]);
    }
  }
}

template <int R, int V> ALWAYS_INLINE void clear(Tile<R, V> &tile) {
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < V; v++) tile[r][v] = all(0.0f);
}
