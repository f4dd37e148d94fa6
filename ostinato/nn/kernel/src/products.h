// The matrix products of a layer, built from tiles. They do not depend on the cell: a panel is some vectors per step.
// Included inside a variant's namespace.

struct StepMoments;

// The memory of one step in the forward pass.
struct StepRow {
  const float *x;
  float *gates;  // of the first panel
  float *c;      // saved cell state; may be null
  float *y;
  float *saved_y;    // a copy of y for backward; may be null
  StepMoments *moments;  // may be null
};

// gates = x: the products of one panel of all `step_rows` are already there, V vectors at x + from.
template <int V> void copy_panel(const StepRow *step_rows, int64_t count, int64_t from, int64_t offset) {
  for (int64_t i = 0; i < count; i++) {
    UNROLL for (int v = 0; v < V; v++) store(step_rows[i].gates + offset + v * W, load(step_rows[i].x + from + v * W));
  }
}

// gates = bias + W x for one panel of all `step_rows`: V vectors at gates + offset.
template <int V> void project_panel(
    const StepRow *step_rows, int64_t count, const float *bias, const float *packed, int64_t K, int64_t offset) {
  for_tiles<kRows<V>>(count, [&](auto height, int64_t i) {
    constexpr int R = decltype(height)::value;
    Tile<R, V> tile;
    const float *x[R];
    UNROLL for (int r = 0; r < R; r++) {
      x[r] = step_rows[i + r].x;
      UNROLL for (int v = 0; v < V; v++) tile[r][v] = load(bias + v * W);
    }
    multiply<R, V>(x, packed, K, tile);
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < V; v++) store(step_rows[i + r].gates + offset + v * W, tile[r][v]);
    }
  });
}

// gates = W h for one panel of `rows` sequences, whose h are `padded` floats apart: V vectors at gates + offset.
template <int V> void multiply_hidden(const StepRow *step_rows, int64_t rows, const float *h, int64_t padded,
    const float *packed, int64_t K, int64_t offset) {
  for_tiles<kRows<V>>(rows, [&](auto height, int64_t row) {
    constexpr int R = decltype(height)::value;
    Tile<R, V> tile;
    clear<R, V>(tile);
    const float *from[R];
    UNROLL for (int r = 0; r < R; r++) from[r] = h + (row + r) * padded;
    multiply<R, V>(from, packed, K, tile);
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < V; v++) store(step_rows[row + r].gates + offset + v * W, tile[r][v]);
    }
  });
}

// One product of the gates' gradients: K floats of each step in each panel times weights packed by rows.
struct PanelFactor {
  const float *gates;   // of step 0 in the first panel
  const float *packed;
};

struct PanelShape {
  int64_t panels, panel_stride;  // floats from a step in one panel to the same step in the next
  int64_t step_floats, K;
  int64_t head = 0, units = 0;   // of block-diagonal weights: columns of a block, units of a panel

  // The panels whose weights are not all zero in columns first to end - 1.
  Range panels_of(int64_t first, int64_t end) const {
    if (head == 0) return {0, panels};
    return {first / head * head / units, (((end - 1) / head + 1) * head + units - 1) / units};
  }
};

// out[r] (+)= Σ over factors and panels of gates[steps[r]] · W, for `columns` columns.
template <bool kAdd> void multiply_panels(const PanelFactor *factors, int num_factors, const PanelShape &shape,
    const int64_t *steps, int64_t rows, float *const *out, int64_t columns) {
  for_vectors((columns + W - 1) / W, [&](auto width, int64_t vector) {
    constexpr int V = decltype(width)::value;
    const Range range = shape.panels_of(vector * W, std::min((vector + V) * W, columns));
    for_tiles<kRows<V>>(rows, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      Tile<R, V> tile;
      clear<R, V>(tile);
      for (int factor = 0; factor < num_factors; factor++) {
        const float *packed =
            factors[factor].packed + (vector * shape.panels + range.first * V) * W * shape.K;
        const float *gates[R];
        UNROLL for (int r = 0; r < R; r++)
          gates[r] = factors[factor].gates + range.first * shape.panel_stride + steps[i + r] * shape.step_floats;
        for (int64_t panel = range.first; panel < range.end; panel++, packed += shape.K * V * W) {
          multiply<R, V>(gates, packed, shape.K, tile);
          UNROLL for (int r = 0; r < R; r++) gates[r] += shape.panel_stride;
        }
      }
      UNROLL for (int r = 0; r < R; r++) {
        UNROLL for (int v = 0; v < V; v++) {
          float *to = out[i + r] + (vector + v) * W;
          const int64_t left = columns - (vector + v) * W;
          store_up_to(to, kAdd ? load_up_to(to, left) + tile[r][v] : tile[r][v], left);
        }
      }
    });
  });
}

// Summed before they are added to the total: fewer rounding errors, and the gradients of 64 gates fit the L1 cache.
constexpr int64_t kStepsOfASum = 128;
constexpr int64_t kColumnsOfASum = 48;

// total[column] += Σ over steps of rows[step][first + column] · gradients[step], V vectors each.
template <int V> void add_outer(const float *const *rows, int64_t first, int64_t columns, const float *gradients,
    int64_t stride, int64_t steps, float *total) {
  for_tiles<kRows<V>>(columns, [&](auto height, int64_t column) {
    constexpr int R = decltype(height)::value;
    Tile<R, V> tile;
    clear<R, V>(tile);
    multiply_outer<R, V>(rows, first + column, gradients, stride, steps, tile);
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < V; v++) {
        float *sum = total + ((column + r) * V + v) * W;
        store(sum, load(sum) + tile[r][v]);
      }
    }
  });
}

// total[column] = Σ over steps of rows[step][first + column] · gradients[step], V vectors each, for at most
// kColumnsOfASum columns.
template <int V> void sum_outer(const float *const *rows, int64_t first, int64_t columns, const float *gradients,
    int64_t stride, int64_t steps, float *total) {
  std::memset(total, 0, sizeof(float) * size_t(columns * V * W));
  for (int64_t n = 0; n < steps; n += kStepsOfASum) {
    add_outer<V>(
        rows + n, first, columns, gradients + n * stride, stride, std::min(kStepsOfASum, steps - n), total);
  }
}

// total = Σ over steps of gradients[step], V vectors.
template <int V> void sum_steps(const float *gradients, int64_t stride, int64_t steps, float *total) {
  Vec whole[V], part[V];
  UNROLL for (int v = 0; v < V; v++) whole[v] = all(0.0f);
  for (int64_t n = 0; n < steps; n += kStepsOfASum) {
    UNROLL for (int v = 0; v < V; v++) part[v] = all(0.0f);
    for (int64_t k = n; k < std::min(n + kStepsOfASum, steps); k++) {
      UNROLL for (int v = 0; v < V; v++) part[v] = part[v] + load(gradients + k * stride + v * W);
    }
    UNROLL for (int v = 0; v < V; v++) whole[v] = whole[v] + part[v];
  }
  UNROLL for (int v = 0; v < V; v++) store(total + v * W, whole[v]);
}
