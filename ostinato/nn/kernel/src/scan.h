// Layers whose gates depend on the input alone, so that the state is a linear recurrence, each unit by itself:
//   h' = keep·h + (1 - keep)·candidate
// One pass per direction, group of units and sequence computes the input projection, the gates and the recurrence while
// the steps are in cache. Backward does the same in reverse, then dx and dW. Included inside a variant's namespace.

constexpr int64_t kStepsOfAChunk = 64;

// g(s) = s + 0.5 for s ≥ 0, else sigmoid(s): positive, continuous, and unbounded above.
// Source: Feng et al. 2024, appendix B.
inline Vec positive(Vec s) { return where_greater(all(0.0f), s, sigmoid(s), s + all(0.5f)); }
inline Vec positive_slope(Vec s) {
  const Vec squashed = sigmoid(s);
  return where_greater(all(0.0f), s, squashed * (all(1.0f) - squashed), all(1.0f));
}

// keep = 1 - z with z = sigmoid(s₀), candidate = g(s₁).
struct MinGru {
  static constexpr int kGates = 2;

  static Vec keep(const Vec (&s)[kGates]) { return sigmoid(all(0.0f) - s[0]); }

  // ds₀ from dkeep; z' = z·(1 - z).
  static void keep_backward(const Vec (&s)[kGates], Vec keep, Vec dkeep, Vec (&ds)[kGates]) {
    ds[0] = all(0.0f) - dkeep * keep * sigmoid(s[0]);
  }
};

// keep = f / (f + i) with f = sigmoid(s₀), i = sigmoid(s₁), candidate = g(s₂). With F = e^-s₀, I = e^-s₁ that is
// (1 + I) / ((1 + I) + (1 + F)). Below -40 a sigmoid equals e^s in float32, and `keep` depends only on s₀ - s₁: both
// sums are shifted up to where F and I are finite.
struct MinLstm {
  static constexpr int kGates = 3;

  static Vec keep(const Vec (&s)[kGates]) {
    const Vec up = max(all(0.0f), all(-40.0f) - max(s[0], s[1])), one = all(1.0f);
    const Vec one_over_i = one + exp(all(0.0f) - (s[1] + up)), one_over_f = one + exp(all(0.0f) - (s[0] + up));
    return one_over_i / (one_over_i + one_over_f);
  }

  static void keep_backward(const Vec (&s)[kGates], Vec keep, Vec dkeep, Vec (&ds)[kGates]) {
    const Vec slope = dkeep * keep * (all(1.0f) - keep);
    ds[0] = slope * sigmoid(all(0.0f) - s[0]);                // 1 - f
    ds[1] = all(0.0f) - slope * sigmoid(all(0.0f) - s[1]);    // 1 - i
  }
};

template <class Cell> struct ScanPlan {
  static constexpr int kGates = Cell::kGates;
  const OstinatoScan &scan;
  int64_t D, H, N, B, directions, vectors, groups;
  int64_t width;      // floats per gate in `sums`: H rounded up to whole vectors
  int64_t row;        // floats per step in `sums`: the gates of all directions
  int64_t *offsets;   // (B,)
  int threads;

  ScanPlan(const OstinatoScan &call, Arena &arena, int most_threads)
      : scan(call),
        D(call.input_size),
        H(call.hidden_size),
        N(call.num_steps),
        B(call.batch_size),
        directions(call.num_directions),
        vectors((H + W - 1) / W),
        groups((vectors + 3) / 4),
        width(vectors * W),
        row(directions * kGates * width) {
    threads = double(N) * double(D + 8) * double(row) < 2e6 ? 1 : most_threads;
    offsets = arena.take<int64_t>(B);
    int64_t steps = 0;
    for (int64_t b = 0; b < B; b++) offsets[b] = steps, steps += call.lengths[b];
  }

  int64_t tasks() const { return directions * groups * B; }
};

// What a task computes: one direction, group of units and sequence; steps are counted in the direction of reading.
template <class Cell> struct ScanTask {
  int64_t direction, sequence, vector, first, steps;
  bool reverse;

  ScanTask(const ScanPlan<Cell> &plan, int64_t task) {
    const int64_t rest = task / plan.B;
    sequence = task % plan.B;
    direction = rest / plan.groups, vector = rest % plan.groups * 4;
    first = plan.offsets[sequence], steps = plan.scan.lengths[sequence];
    reverse = direction == 1;
  }

  int64_t flat_step(int64_t step) const { return first + (reverse ? steps - 1 - step : step); }

  template <class F> static void with_width(int64_t vectors, F f) {
    switch (vectors) {
      case 1: return f(std::integral_constant<int, 1>());
      case 2: return f(std::integral_constant<int, 2>());
      case 3: return f(std::integral_constant<int, 3>());
      default: return f(std::integral_constant<int, 4>());
    }
  }
};

template <class Cell> struct ScanJob {
  static constexpr int kGates = Cell::kGates;
  const ScanPlan<Cell> &plan;
  const float *packed[2][kGates];  // for each direction and gate, packed by Linear::pack

  void run(int64_t task) const {
    const ScanTask<Cell> at(plan, task);
    ScanTask<Cell>::with_width(
        std::min(plan.vectors - at.vector, int64_t(4)), [&](auto width) { pass<decltype(width)::value>(at); });
  }

  template <int V> void pass(const ScanTask<Cell> &at) const {
    alignas(64) float local[kStepsOfAChunk * kGates * V * W];
    Vec h[V];
    const float *h0 = plan.scan.h0 ? plan.scan.h0 + (at.direction * plan.B + at.sequence) * plan.H : nullptr;
    UNROLL for (int v = 0; v < V; v++) {
      const int64_t unit = (at.vector + v) * W;
      h[v] = h0 ? load_up_to(h0 + unit, plan.H - unit) : all(0.0f);
    }
    for (int64_t from = 0; from < at.steps; from += kStepsOfAChunk) {
      const int64_t count = std::min(kStepsOfAChunk, at.steps - from),
                    lowest = at.reverse ? at.flat_step(from + count - 1) : at.flat_step(from);
      float *sums = plan.scan.sums
                        ? plan.scan.sums + lowest * plan.row + (at.direction * kGates * plan.width) + at.vector * W
                        : local;
      const int64_t step = plan.scan.sums ? plan.row : kGates * V * W, gate = plan.scan.sums ? plan.width : V * W;
      for (int g = 0; g < kGates; g++)
        product<V>(packed[at.direction][g] + at.vector * W * (plan.D + 1), lowest, count, sums + g * gate, step);
      for (int64_t k = 0; k < count; k++) {
        const int64_t n = at.flat_step(from + k);
        const float *s = sums + (n - lowest) * step;
        float *y = plan.scan.y + n * plan.directions * plan.H + at.direction * plan.H;
        UNROLL for (int v = 0; v < V; v++) {
          Vec gates[kGates];
          UNROLL for (int g = 0; g < kGates; g++) gates[g] = load(s + g * gate + v * W);
          const Vec candidate = positive(gates[kGates - 1]);
          h[v] = fma(Cell::keep(gates), h[v] - candidate, candidate);
          store_up_to(y + (at.vector + v) * W, h[v], plan.H - (at.vector + v) * W);
        }
      }
    }
  }

  template <int V> void product(const float *columns, int64_t first, int64_t count, float *to, int64_t stride) const {
    for_tiles<kRows<V>>(count, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      Tile<R, V> tile;
      const float *x[R];
      UNROLL for (int r = 0; r < R; r++) {
        x[r] = plan.scan.x + (first + i + r) * plan.D;
        UNROLL for (int v = 0; v < V; v++) tile[r][v] = load(columns + v * W);
      }
      multiply<R, V>(x, columns + V * W, plan.D, tile);
      UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) store(to + (i + r) * stride + v * W, tile[r][v]);
    });
  }
};

template <class Cell> void scan_with(const OstinatoScan &scan, int threads) {
  Arena arena;
  const ScanPlan<Cell> plan(scan, arena, threads);
  ScanJob<Cell> job{plan, {}};
  for (int64_t direction = 0; direction < plan.directions; direction++) {
    const float *weight = scan.weights[2 * direction], *bias = scan.weights[2 * direction + 1];
    for (int g = 0; g < Cell::kGates; g++) {
      job.packed[direction][g] =
          Linear::pack(weight + g * plan.H * plan.D, plan.D, 1, bias + g * plan.H, plan.D, plan.H, arena);
    }
  }
  Stage stage = stage_of(job, plan.tasks());
  run_stages(&stage, 1, plan.threads);
}

// Overwrites the gates' sums with their gradients, from the last step read to the first; dh flows on as keep·dh.
template <class Cell> struct ScanBackwardJob {
  static constexpr int kGates = Cell::kGates;
  const ScanPlan<Cell> &plan;
  const float *dy;

  void run(int64_t task) const {
    const ScanTask<Cell> at(plan, task);
    ScanTask<Cell>::with_width(
        std::min(plan.vectors - at.vector, int64_t(4)), [&](auto width) { pass<decltype(width)::value>(at); });
  }

  template <int V> void pass(const ScanTask<Cell> &at) const {
    const int64_t wide = plan.directions * plan.H;
    Vec dh[V];
    UNROLL for (int v = 0; v < V; v++) dh[v] = all(0.0f);
    for (int64_t k = at.steps - 1; k >= 0; k--) {
      const int64_t n = at.flat_step(k);
      float *s = plan.scan.sums + n * plan.row + at.direction * kGates * plan.width + at.vector * W;
      const int64_t here = n * wide + at.direction * plan.H,
                    before = k ? at.flat_step(k - 1) * wide + at.direction * plan.H : 0;
      UNROLL for (int v = 0; v < V; v++) {
        const int64_t unit = (at.vector + v) * W, left = plan.H - unit;
        Vec gates[kGates], gradients[kGates];
        UNROLL for (int g = 0; g < kGates; g++) gates[g] = load(s + g * plan.width + v * W);
        const Vec gradient = dh[v] + load_up_to(dy + here + unit, left),
                  h = k ? load_up_to(plan.scan.y + before + unit, left) : all(0.0f);
        const Vec keep = Cell::keep(gates), candidate = positive(gates[kGates - 1]);
        Cell::keep_backward(gates, keep, gradient * (h - candidate), gradients);
        gradients[kGates - 1] = gradient * (all(1.0f) - keep) * positive_slope(gates[kGates - 1]);
        dh[v] = gradient * keep;
        UNROLL for (int g = 0; g < kGates; g++) store(s + g * plan.width + v * W, gradients[g]);
      }
    }
  }
};

// dx = Σ over directions and gates of ds · W.
template <class Cell> struct ScanInputJob {
  const ScanPlan<Cell> &plan;
  Linear map;
  float *dx;

  void run(int64_t task) const {
    const int64_t first = task * kRowsOfATask;
    map.tiles(first, std::min(kRowsOfATask, plan.N - first), [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++)
          store_up_to(dx + (row + r) * plan.D + (vector + v) * W, tile[r][v], plan.D - (vector + v) * W);
      }
    });
  }
};

// dW = dsᵀ · x and db = Σ ds for one direction's gate: four vectors of units and some columns of x.
template <class Cell> struct ScanWeightJob {
  static constexpr int kGates = Cell::kGates;
  const ScanPlan<Cell> &plan;
  const float *const *x_rows;
  float *const *to;  // as `weights`, each *

  int64_t column_blocks() const { return (plan.D + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t tasks() const { return plan.directions * kGates * plan.groups * column_blocks(); }

  void run(int64_t task) const {
    const int64_t first = task % column_blocks() * kColumnsOfASum, block = task / column_blocks();
    const int64_t vector = block % plan.groups * 4, gate = block / plan.groups;
    ScanTask<Cell>::with_width(std::min(plan.vectors - vector, int64_t(4)),
        [&](auto width) { sum<decltype(width)::value>(gate, vector, first); });
  }

  template <int V> void sum(int64_t gate, int64_t vector, int64_t first) const {
    float *weight = to[2 * (gate / kGates)], *bias = to[2 * (gate / kGates) + 1];
    const int64_t columns = std::min(kColumnsOfASum, plan.D - first), top = gate % kGates * plan.H;
    const float *ds = plan.scan.sums + gate * plan.width + vector * W;
    alignas(64) float total[kColumnsOfASum * V * W], steps[V * W];
    if (weight) sum_outer<V>(x_rows, first, columns, ds, plan.row, plan.N, total);
    if (bias && first == 0) sum_steps<V>(ds, plan.row, plan.N, steps);
    for (int64_t lane = 0; lane < std::min(int64_t(V * W), plan.H - vector * W); lane++) {
      const int64_t unit = top + vector * W + lane;
      for (int64_t column = 0; weight && column < columns; column++)
        weight[unit * plan.D + first + column] = total[column * V * W + lane];
      if (bias && first == 0) bias[unit] = steps[lane];
    }
  }
};

template <class Cell>
void scan_backward_with(const OstinatoScan &scan, const OstinatoScanGradients &gradients, int threads) {
  constexpr int kGates = Cell::kGates;
  Arena arena;
  const ScanPlan<Cell> plan(scan, arena, threads);
  const float **x_rows = arena.take<const float *>(plan.N);
  for (int64_t n = 0; n < plan.N; n++) x_rows[n] = scan.x + n * plan.D;
  float *stacked =
      arena.take_zeroed<float>(plan.row * plan.D);  // the rows of the weights in the order of a step's sums
  for (int64_t direction = 0; direction < plan.directions; direction++) {
    for (int g = 0; g < kGates; g++) {
      std::memcpy(stacked + (direction * kGates + g) * plan.width * plan.D,
          scan.weights[2 * direction] + g * plan.H * plan.D, sizeof(float) * size_t(plan.H * plan.D));
    }
  }
  const ScanBackwardJob<Cell> gates{plan, gradients.y};
  const Linear map{scan.sums,
      gradients.x ? Linear::pack(stacked, 1, plan.D, nullptr, plan.row, plan.D, arena) : nullptr, plan.row, plan.D};
  const ScanInputJob<Cell> inputs{plan, map, gradients.x};
  const ScanWeightJob<Cell> weights{plan, x_rows, gradients.weights};
  Stage stages[3] = {
      stage_of(gates, plan.tasks()), stage_of(weights, weights.tasks()), stage_of(inputs, row_tasks(plan.N))};
  stages[1].need(&stages[0]);
  stages[2].need(&stages[0]);
  run_stages(stages, gradients.x ? 3 : 2, plan.threads);
}

void scan(const OstinatoScan &call, int threads) {
  call.cell == OSTINATO_MIN_GRU ? scan_with<MinGru>(call, threads) : scan_with<MinLstm>(call, threads);
}

void scan_backward(const OstinatoScan &call, const OstinatoScanGradients &gradients, int threads) {
  call.cell == OSTINATO_MIN_GRU ? scan_backward_with<MinGru>(call, gradients, threads)
                                : scan_backward_with<MinLstm>(call, gradients, threads);
}
