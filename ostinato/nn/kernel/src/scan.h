// Layers whose state is a linear recurrence, each unit by itself: the factor of the state and what is added to it
// depend on the input alone. One pass per direction, group of units and sequence computes the input projection, the
// gates and the recurrence while the steps are in cache. Backward does the same in reverse, then dx and dW.
// Included inside a variant's namespace.

template <class Cell> struct ScanJob {
  static constexpr int kGates = Cell::kGates, kStates = Cell::kStates, kOwn = Cell::kOwn;
  const ScanPlan &plan;
  const float *packed[2][kGates];  // for each direction and gate, packed by Linear::pack

  void run(int64_t task) const {
    const ScanTask at(plan, task);
    with_width(at.vectors(), [&](auto width) { pass<decltype(width)::value>(at); });
  }

  template <int V> void pass(const ScanTask &at) const {
    alignas(64) float local[kStepsOfAChunk * kGates * V * W];
    Vec h[V][kStates], f[V][kOwn + 1];
    at.load_factors(f);
    const float *h0 =
        plan.scan.h0 ? plan.scan.h0 + (at.direction * plan.B + at.sequence) * kStates * plan.H : nullptr;
    UNROLL for (int v = 0; v < V; v++)
      UNROLL for (int k = 0; k < kStates; k++)
        h[v][k] = h0 ? load_up_to(h0 + k * plan.H + at.unit(v), at.left(v)) : all(0.0f);
    for (int64_t from = 0; from < at.steps; from += kStepsOfAChunk) {
      const int64_t count = std::min(kStepsOfAChunk, at.steps - from),
                    lowest = at.reverse ? at.flat_step(from + count - 1) : at.flat_step(from);
      float *sums = plan.scan.sums
                        ? plan.scan.sums + lowest * plan.row + (at.direction * kGates * plan.width) + at.vector * W
                        : local;
      const int64_t step = plan.scan.sums ? plan.row : kGates * V * W, gate = plan.scan.sums ? plan.width : V * W;
      for (int g = 0; g < kGates; g++)
        plan.product<V>(packed[at.direction][g] + at.vector * W * (plan.D + 1), lowest, count, sums + g * gate, step);
      for (int64_t k = 0; k < count; k++) {
        const int64_t n = at.flat_step(from + k);
        const float *s = sums + (n - lowest) * step;
        UNROLL for (int v = 0; v < V; v++) {
          Vec gates[kGates];
          UNROLL for (int g = 0; g < kGates; g++) gates[g] = load(s + g * gate + v * W);
          Cell::next(gates, f[v], h[v]);
          UNROLL for (int j = 0; j < kStates; j++) store_up_to(plan.h + at.at_state(n, j, v), h[v][j], at.left(v));
        }
      }
    }
  }
};

template <class Cell> void scan_with(const OstinatoScan &scan, int threads) {
  Arena arena;
  const ScanPlan plan(Cell{}, scan, arena, threads);
  ScanJob<Cell> job{plan, {}};
  for (int64_t direction = 0; direction < plan.directions; direction++) {
    const float *weight = plan.weights(direction)[0], *bias = plan.weights(direction)[1];
    for (int g = 0; g < Cell::kGates; g++) {
      job.packed[direction][g] = Linear::pack(
          weight + g * plan.H * plan.D, plan.D, 1, bias + g * plan.H, plan.D, plan.H, arena);
    }
  }
  Stage states = stage_of(job, plan.tasks());
  if constexpr (Cell::kStates > 1) {
    const ScanOutput output(plan, arena);
    const OutputJob outputs{output};
    Stage stages[2] = {states, stage_of(outputs, output.tasks())};
    stages[1].need(&stages[0]);
    run_stages(stages, 2, plan.threads);
  } else {
    run_stages(&states, 1, plan.threads);
  }
}

// Overwrites the gates' sums with their gradients, from the last step read to the first.
template <class Cell> struct ScanBackwardJob {
  static constexpr int kGates = Cell::kGates, kStates = Cell::kStates, kOwn = Cell::kOwn;
  const ScanPlan &plan;
  const float *dh_of_steps;  // (N, plan.wide)
  float *df_of_sequences;    // (B, directions, kOwn, width)

  void run(int64_t task) const {
    const ScanTask at(plan, task);
    with_width(at.vectors(), [&](auto width) { pass<decltype(width)::value>(at); });
  }

  template <int V> void pass(const ScanTask &at) const {
    Vec dh[V][kStates], f[V][kOwn + 1], df[V][kOwn + 1];
    at.load_factors(f);
    UNROLL for (int v = 0; v < V; v++) {
      UNROLL for (int j = 0; j < kStates; j++) dh[v][j] = all(0.0f);
      UNROLL for (int j = 0; j < kOwn; j++) df[v][j] = all(0.0f);
    }
    for (int64_t k = at.steps - 1; k >= 0; k--) {
      const int64_t n = at.flat_step(k), before = k ? at.flat_step(k - 1) : 0;
      float *s = plan.scan.sums + n * plan.row + at.direction * kGates * plan.width + at.vector * W;
      UNROLL for (int v = 0; v < V; v++) {
        Vec gates[kGates], gradients[kGates], h[kStates];
        UNROLL for (int g = 0; g < kGates; g++) gates[g] = load(s + g * plan.width + v * W);
        UNROLL for (int j = 0; j < kStates; j++) {
          dh[v][j] = dh[v][j] + load_up_to(dh_of_steps + at.at_state(n, j, v), at.left(v));
          h[j] = k ? load_up_to(plan.h + at.at_state(before, j, v), at.left(v)) : all(0.0f);
        }
        Cell::back(gates, f[v], h, dh[v], gradients, df[v]);
        UNROLL for (int g = 0; g < kGates; g++) store(s + g * plan.width + v * W, gradients[g]);
      }
    }
    float *to = df_of_sequences + (at.sequence * plan.directions + at.direction) * kOwn * plan.width;
    UNROLL for (int v = 0; v < V; v++)
      UNROLL for (int j = 0; j < kOwn; j++) store(to + j * plan.width + at.unit(v), df[v][j]);
  }
};

// The gradients of the own weights of one direction, from the sequences' sums.
template <class Cell> struct ScanOwnJob {
  static constexpr int kOwn = Cell::kOwn;
  const ScanPlan &plan;
  const float *df_of_sequences;
  float *const *to;  // as `weights`, each *

  void run(int64_t direction) const {
    float *const *own = to + plan.weights_each() * direction + 2;
    for (int64_t unit = 0; unit < plan.H; unit++) {
      double df[kOwn + 1] = {}, d[kOwn + 1];
      for (int64_t b = 0; b < plan.B; b++) {
        for (int k = 0; k < kOwn; k++)
          df[k] += df_of_sequences[((b * plan.directions + direction) * kOwn + k) * plan.width + unit];
      }
      Cell::factors_backward(plan.weights(direction) + 2, unit, df, d);
      for (int k = 0; k < kOwn; k++)
        if (own[k]) own[k][unit] = float(d[k]);
    }
  }
};

// dx = Σ over directions and gates of ds · W.
struct ScanInputJob {
  const ScanPlan &plan;
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
struct ScanWeightJob {
  const ScanPlan &plan;
  const float *const *x_rows;
  float *const *to;  // as `weights`, each *

  int64_t column_blocks() const { return (plan.D + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t tasks() const { return plan.directions * plan.gates * plan.groups * column_blocks(); }

  void run(int64_t task) const {
    const int64_t first = task % column_blocks() * kColumnsOfASum, block = task / column_blocks();
    const int64_t vector = block % plan.groups * 4, gate = block / plan.groups;
    with_width(std::min(plan.vectors - vector, int64_t(4)),
        [&](auto width) { sum<decltype(width)::value>(gate, vector, first); });
  }

  template <int V> void sum(int64_t gate, int64_t vector, int64_t first) const {
    float *const *of_direction = to + plan.weights_each() * (gate / plan.gates);
    float *weight = of_direction[0], *bias = of_direction[1];
    const int64_t columns = std::min(kColumnsOfASum, plan.D - first), top = gate % plan.gates * plan.H;
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
  const ScanPlan plan(Cell{}, scan, arena, threads);
  const float *dh = gradients.y;
  if constexpr (Cell::kStates > 1) dh = output_backward(plan, gradients, arena);
  const float **x_rows = arena.take<const float *>(plan.N);
  for (int64_t n = 0; n < plan.N; n++) x_rows[n] = scan.x + n * plan.D;
  float *stacked =
      arena.take_zeroed<float>(plan.row * plan.D);  // the rows of the weights in the order of a step's sums
  for (int64_t direction = 0; direction < plan.directions; direction++) {
    for (int g = 0; g < kGates; g++) {
      std::memcpy(stacked + (direction * kGates + g) * plan.width * plan.D,
          plan.weights(direction)[0] + g * plan.H * plan.D, sizeof(float) * size_t(plan.H * plan.D));
    }
  }
  float *df = arena.take<float>(plan.B * plan.directions * Cell::kOwn * plan.width);
  const ScanBackwardJob<Cell> gates{plan, dh, df};
  const ScanOwnJob<Cell> own{plan, df, gradients.weights};
  const Linear map{scan.sums,
      gradients.x ? Linear::pack(stacked, 1, plan.D, nullptr, plan.row, plan.D, arena) : nullptr, plan.row, plan.D};
  const ScanInputJob inputs{plan, map, gradients.x};
  const ScanWeightJob weights{plan, x_rows, gradients.weights};
  Stage stages[4] = {stage_of(gates, plan.tasks()), stage_of(weights, weights.tasks()),
      stage_of(own, Cell::kOwn ? plan.directions : 0), stage_of(inputs, row_tasks(plan.N))};
  for (int k = 1; k < 4; k++) stages[k].need(&stages[0]);
  run_stages(stages, gradients.x ? 4 : 3, plan.threads);
}

template <class F> void with_scan_cell(const OstinatoScan &call, F f) {
  switch (call.cell) {
    case OSTINATO_MIN_GRU: return f(Mix<MinGru>());
    case OSTINATO_MIN_LSTM: return f(Mix<MinLstm>());
    case OSTINATO_MIN_GRU_SIGNED: return f(Mix<MinGruSigned>());
    case OSTINATO_MIN_LSTM_SIGNED: return f(Mix<MinLstmSigned>());
    case OSTINATO_RG_LRU: return f(RgLru());
    default: return f(Lru());
  }
}

void scan(const OstinatoScan &call, int threads) {
  with_scan_cell(call, [&](auto cell) { scan_with<decltype(cell)>(call, threads); });
}

void scan_backward(const OstinatoScan &call, const OstinatoScanGradients &gradients, int threads) {
  with_scan_cell(call, [&](auto cell) { scan_backward_with<decltype(cell)>(call, gradients, threads); });
}
