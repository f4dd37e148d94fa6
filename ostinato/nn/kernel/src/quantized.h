// Products W h in integers: weights of int8 with one scale for each row, and states of int16 with one scale for each
// sequence and step. Sums are exact: their bits depend on neither their order nor the instructions that compute them.
//
// Weights are packed in groups of terms, which one instruction multiplies and adds up in each lane: four where the
// processor can, else two. The state's two bytes then have a product each: w h = 2⁸ w high + w low - 2¹⁵ w, where high
// and low are the bytes of h + 2¹⁵. Sums of them may exceed 32 bits on the way, but not at the end.
// Included inside a variant's namespace.

constexpr float kLargestWeight = 127;
constexpr float kSmallestMaximum = 1e-30f;  // smaller values count as zero: their inverse could be infinite

#if defined(OSTINATO_HAS_FOURS)
inline int64_t terms_of_a_group() { return multiplies_fours() ? 4 : 2; }
#else
constexpr int64_t terms_of_a_group() { return 2; }
#endif

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

// ---- states -------------------------------------------------------------------------------------------------------

// Rounded states (row, padded): for groups of two as int16, for groups of four a row's high bytes, then its low ones.
struct QuantizedStates {
  int16_t *values;
  float *scales;   // (row,)
  int64_t padded;  // units, in whole vectors

  // Rounds the states of one row.
  void round(int64_t row, const float *h, int64_t H) const {
    const Scale found = find_scale(h, H, largest_state(H));
    scales[row] = found.scale;
    int16_t *to = values + row * padded;
    for (int64_t k = 0; k < H; k += W) {
      const Vec v = found.inverse == 0 ? all(0.0f) : load_up_to(h + k, H - k) * all(found.inverse);
#if defined(OSTINATO_HAS_FOURS)
      if (terms_of_a_group() == 4) {
        uint8_t *high = reinterpret_cast<uint8_t *>(to);
        store_rounded(high + k, high + padded + k, v);
        continue;
      }
#endif
      store_rounded(to + k, v);
    }
  }

  QuantizedStates from(int64_t row) const { return {values + row * padded, scales + row, padded}; }
};

// ---- weights ------------------------------------------------------------------------------------------------------

// One panel: (group of terms, vectors, W, term of the group) weights, and a scale and an offset for each column.
struct QuantizedPanel {
  int8_t *weights;
  float *scales;
  int32_t *offsets;  // of groups of four
  int64_t groups;    // in a column
};

inline int64_t groups_of_a_column(int64_t K) { return (K + terms_of_a_group() - 1) / terms_of_a_group(); }

// One vector of columns, `weight` (columns, K); `stride` bytes from a group to the next. Zeros past the last column and
// past K.
inline void quantize_vector(
    const float *weight, int64_t columns, int64_t K, int8_t *packed, int64_t stride, float *scales, int32_t *offsets) {
  float inverse[W];
  int32_t totals[W] = {};
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
#if defined(OSTINATO_HAS_FOURS)
    if (terms_of_a_group() == 4) {
      for (int k = 0; k < W && k0 + k < K; k += 4) store_fours(packed + (k0 + k) / 4 * stride, block + k, totals);
      continue;
    }
#endif
    for (int k = 0; k < W && k0 + k < K; k += 2) {  // one in the low byte, the next in the high one
      const Vec low_byte = block[k] + where_greater(all(0.0f), block[k], all(256.0f), all(0.0f));
      store_rounded(reinterpret_cast<int16_t *>(packed + (k0 + k) / 2 * stride),
          fma(block[k + 1], all(256.0f), low_byte));
    }
  }
  for (int column = 0; column < W; column++) offsets[column] = int32_t(uint32_t(totals[column]) * -(1u << 15));
}

// Vectors [first, first + V) of a panel.
template <class Cell, int V> void quantize_columns(
    const Panels<Cell> &panels, int64_t panel, int first, const float *weight, int64_t K, const QuantizedPanel &to) {
  const int64_t bytes = W * terms_of_a_group();
  for (int v = 0; v < V; v++) {
    const int64_t columns = columns_of(panels, panel, first + v);
    const int64_t row = columns > 0 ? panels.row(panel, first + v, 0) : 0;
    quantize_vector(weight + row * K, columns, K, to.weights + v * bytes, V * bytes, to.scales + v * W,
        to.offsets + v * W);
  }
}

// ---- products -----------------------------------------------------------------------------------------------------

ALWAYS_INLINE void add_scaled(float *sums, Vec integers, const float *scales, float state_scale) {
  store(sums, fma(integers, load(scales) * all(state_scale), load(sums)));
}

// sums[r] += W h[r] of R rows: V vectors each, in groups of two.
template <int R, int V>
ALWAYS_INLINE void add_pairs(const QuantizedPanel &panel, const QuantizedStates &states, float *sums) {
  Sums tile[R][V];
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < V; v++) tile[r][v] = no_sums();
  const int16_t *weights = reinterpret_cast<const int16_t *>(panel.weights);
  for (int64_t pair = 0; pair < panel.groups; pair++, weights += V * W) {
    Pairs column[V];
    UNROLL for (int v = 0; v < V; v++) column[v] = load_pairs(weights + v * W);
    UNROLL for (int r = 0; r < R; r++) {
      const Pairs state = all_pairs(states.values + r * states.padded + 2 * pair);
      UNROLL for (int v = 0; v < V; v++) tile[r][v] = add_products(column[v], state, tile[r][v]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++)
      add_scaled(sums + (r * V + v) * W, to_floats(tile[r][v]), panel.scales + v * W, states.scales[r]);
  }
}

#if defined(OSTINATO_HAS_FOURS)
// The same in groups of four.
template <int R, int V>
WITH_FOURS void add_fours(const QuantizedPanel &panel, const QuantizedStates &states, float *sums) {
  Fours high[R][V], low[R][V];
  UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < V; v++) high[r][v] = low[r][v] = no_fours();
  const int8_t *weights = panel.weights;
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(states.values);
  for (int64_t k = 0; k < 4 * panel.groups; k += 4, weights += 4 * V * W) {
    Fours column[V];
    UNROLL for (int v = 0; v < V; v++) column[v] = load_fours(weights + 4 * v * W);
    UNROLL for (int r = 0; r < R; r++) {
      const uint8_t *row = bytes + 2 * r * states.padded + k;
      const Fours high_bytes = all_fours(row), low_bytes = all_fours(row + states.padded);
      UNROLL for (int v = 0; v < V; v++) {
        high[r][v] = add_products(high_bytes, column[v], high[r][v]);
        low[r][v] = add_products(low_bytes, column[v], low[r][v]);
      }
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      const Vec integers = to_floats(high[r][v], low[r][v], panel.offsets + v * W);
      add_scaled(sums + (r * V + v) * W, integers, panel.scales + v * W, states.scales[r]);
    }
  }
}
#endif

// sums (row, V · W) += W h of any number of rows.
template <int V>
void add_quantized(const QuantizedPanel &panel, const QuantizedStates &states, int64_t rows, float *sums) {
#if defined(OSTINATO_HAS_FOURS)
  constexpr int kRowsOfFours = kAccumulators / (2 * V) < 8 ? kAccumulators / (2 * V) : 8;
  if (terms_of_a_group() == 4)
    return for_tiles<kRowsOfFours>(rows, [&](auto height, int64_t row) {
      add_fours<decltype(height)::value, V>(panel, states.from(row), sums + row * V * W);
    });
#endif
  for_tiles<kSums / V < 8 ? kSums / V : 8>(rows, [&](auto height, int64_t row) {
    add_pairs<decltype(height)::value, V>(panel, states.from(row), sums + row * V * W);
  });
}
