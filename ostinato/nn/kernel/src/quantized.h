// Products W h in integers: weights of int8 with one scale for each row, and states of int16 with one scale for each
// sequence and step. Sums are exact, so their bits depend on neither their order nor the tile that computes them.
// Included inside a variant's namespace.

constexpr float kLargestWeight = 127;
constexpr float kSmallestMaximum = 1e-30f;  // smaller values count as zero: their inverse could be infinite

// The largest magnitude of a rounded state for which a sum of H products fits int32.
inline float largest_state(int64_t H) { return float(std::min(int64_t(INT16_MAX), INT32_MAX / (int64_t(127) * H))); }

// A value is about its integer times `scale`. Zeros have scale 0 and inverse 0; if a value is not finite, all have scale
// NaN and inverse 0.
struct Scale {
  float scale, inverse;
};

// The scale that turns the largest of `count` magnitudes into `limit`.
inline Scale find_scale(const float *values, int64_t count, float limit) {
  Vec largest = all(0.0f), zeros = all(0.0f);
  for (int64_t k = 0; k < count; k += W) {
    const Vec v = load_up_to(values + k, count - k);
    largest = max(absolute(v), largest);
    zeros = fma(v, all(0.0f), zeros);  // NaN from NaN and infinity
  }
  float each[W], maximum = 0;
  store(each, largest);
  for (int lane = 0; lane < W; lane++) maximum = std::max(maximum, each[lane]);
  if (sum_of(zeros) != 0) return {NAN, 0};
  return maximum < kSmallestMaximum ? Scale{0, 0} : Scale{maximum / limit, limit / maximum};
}

// Rounds a row and returns its scale. `to` has room for whole vectors, and gets zeros past `count`.
inline float quantize_state(const float *h, int64_t count, float limit, int16_t *to) {
  const Scale found = find_scale(h, count, limit);
  for (int64_t k = 0; k < count; k += W) {
    const Vec v = found.inverse == 0 ? all(0.0f) : load_up_to(h + k, count - k) * all(found.inverse);
    store_rounded(to + k, v);
  }
  return found.scale;
}

// One vector of columns: each int16 at packed[k / 2 · stride + column] holds weight[column · K + k] in its low byte and
// the next one in its high byte, both rounded; zeros past the last of `columns` and past K.
inline void quantize_vector(
    const float *weight, int64_t columns, int64_t K, int16_t *packed, int64_t stride, float *scales) {
  float inverse[W];
  for (int column = 0; column < W; column++) {
    const Scale found = column < columns ? find_scale(weight + column * K, K, kLargestWeight) : Scale{0, 0};
    scales[column] = found.scale, inverse[column] = found.inverse;
  }
  for (int64_t k0 = 0; k0 < K; k0 += W) {
    Vec block[W];
    for (int column = 0; column < W; column++) {
      block[column] = inverse[column] == 0
                          ? all(0.0f)
                          : round(load_up_to(weight + column * K + k0, K - k0) * all(inverse[column]));
    }
    transpose(block);
    for (int k = 0; k < W && k0 + k < K; k += 2) {
      const Vec low_byte = block[k] + where_greater(all(0.0f), block[k], all(256.0f), all(0.0f));
      store_rounded(packed + (k0 + k) / 2 * stride, fma(block[k + 1], all(256.0f), low_byte));
    }
  }
}

// Vectors [first, first + V) of a panel, as `pack_columns`, and their scales.
template <class Cell, int V> void quantize_columns(const Panels<Cell> &panels, int64_t panel, int first,
    const float *weight, int64_t K, int16_t *packed, float *scales) {
  for (int v = 0; v < V; v++) {
    const int64_t columns = columns_of(panels, panel, first + v);
    const int64_t row = columns > 0 ? panels.row(panel, first + v, 0) : 0;
    quantize_vector(weight + row * K, columns, K, packed + v * W, V * W, scales + v * W);
  }
}

// One panel of quantized weights.
struct QuantizedPanel {
  const int16_t *weights;  // (K / 2 rounded up, vectors)
  const float *scales;     // (vectors)
  int64_t pairs;           // of weights in a column
};

// sums[r] += W h[r] of R rows: V vectors each, `stride` int16 from a row of h to the next.
template <int R, int V> ALWAYS_INLINE void add_quantized_tile(
    const QuantizedPanel &panel, const int16_t *h, int64_t stride, const float *h_scales, float *sums) {
  Sums tile[R][V];
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < V; v++) tile[r][v] = no_sums();
  const int16_t *weights = panel.weights;
  for (int64_t pair = 0; pair < panel.pairs; pair++, weights += V * W) {
    Pairs column[V];
    UNROLL for (int v = 0; v < V; v++) column[v] = load_pairs(weights + v * W);
    UNROLL for (int r = 0; r < R; r++) {
      const Pairs state = all_pairs(h + r * stride + 2 * pair);
      UNROLL for (int v = 0; v < V; v++) tile[r][v] = add_products(column[v], state, tile[r][v]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      float *sum = sums + (r * V + v) * W;
      store(sum, fma(to_floats(tile[r][v]), load(panel.scales + v * W) * all(h_scales[r]), load(sum)));
    }
  }
}

// The same for any number of rows.
template <int V> void add_quantized(const QuantizedPanel &panel, const int16_t *h, int64_t stride,
    const float *h_scales, int64_t rows, float *sums) {
  for_tiles<kSums / V < 8 ? kSums / V : 8>(rows, [&](auto height, int64_t row) {
    constexpr int R = decltype(height)::value;
    add_quantized_tile<R, V>(panel, h + row * stride, stride, h_scales + row, sums + row * V * W);
  });
}
