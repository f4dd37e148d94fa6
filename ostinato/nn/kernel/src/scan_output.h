// What the LRU returns: a map of its complex states, forward and backward.
// Included inside a variant's namespace.

// y = gelu(h · Cᵀ) for the rows of one direction, and its backward, which computes the sums again. gelu is the
// approximation by tanh: gelu(s) = s·sigmoid(q), q = 2·sqrt(2/π)·(s + 0.044715·s³).
struct ScanOutput {
  const ScanPlan &plan;
  const float *packed[2];  // Cᵀ of each direction

  ScanOutput(const ScanPlan &plan, Arena &arena) : plan(plan), packed{} {
    for (int64_t direction = 0; direction < plan.directions; direction++)
      packed[direction] = Linear::pack(weight(direction), in(), 1, nullptr, in(), plan.H, arena);
  }

  int64_t in() const { return 2 * plan.H; }
  const float *weight(int64_t direction) const { return plan.weights(direction)[2 + plan.own]; }

  // Calls f(sums, row, unit, direction) for vectors of the sums h · Cᵀ of a task's rows; `unit` is the vector's first.
  int64_t tasks() const { return plan.directions * row_tasks(plan.N); }
  template <class F> void each(int64_t task, F f) const {
    const int64_t direction = task % plan.directions, first = task / plan.directions * kRowsOfATask;
    const Linear map{plan.h + direction * in(), packed[direction], in(), plan.H, plan.wide};
    map.tiles(first, std::min(kRowsOfATask, plan.N - first), [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) f(tile[r][v], row + r, (vector + v) * W, direction);
    });
  }

  static Vec gate(Vec s) { return sigmoid(all(1.59576912f) * fma(all(0.044715f) * s * s, s, s)); }
  static Vec gelu(Vec s) { return s * gate(s); }
  static Vec gelu_slope(Vec s) {
    const Vec open = gate(s), dq = all(1.59576912f) * fma(all(0.134145f) * s, s, all(1.0f));
    return fma(s * open, (all(1.0f) - open) * dq, open);
  }
};

struct OutputJob {
  const ScanOutput &output;

  void run(int64_t task) const {
    const auto &plan = output.plan;
    output.each(task, [&](Vec sums, int64_t row, int64_t unit, int64_t direction) {
      store_up_to(
          plan.scan.y + (row * plan.directions + direction) * plan.H + unit, ScanOutput::gelu(sums), plan.H - unit);
    });
  }
};

// The gradient of the output's sums: ds = dy·gelu'(s), (N, directions, width).
struct OutputBackwardJob {
  const ScanOutput &output;
  const float *dy;
  float *ds;

  void run(int64_t task) const {
    const auto &plan = output.plan;
    output.each(task, [&](Vec sums, int64_t row, int64_t unit, int64_t direction) {
      const int64_t n = row * plan.directions + direction;
      store(ds + n * plan.width + unit,
          load_up_to(dy + n * plan.H + unit, plan.H - unit) * ScanOutput::gelu_slope(sums));
    });
  }
};

// dh = ds · C for some rows of one direction.
struct ReadoutInputJob {
  const ScanOutput &output;
  const float *ds, *packed[2];
  float *dh;  // (N, plan.wide)

  void run(int64_t task) const {
    const auto &plan = output.plan;
    const int64_t direction = task % plan.directions, first = task / plan.directions * kRowsOfATask;
    const Linear map{
        ds + direction * plan.width, packed[direction], plan.H, output.in(), plan.directions * plan.width};
    map.tiles(first, std::min(kRowsOfATask, plan.N - first), [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++)
          store_up_to(dh + (row + r) * plan.wide + direction * output.in() + (vector + v) * W, tile[r][v],
              output.in() - (vector + v) * W);
      }
    });
  }
};

// dC = dsᵀ · h for one direction: four vectors of units and some columns of C.
struct ReadoutWeightJob {
  const ScanOutput &output;
  const float *ds;
  const float *const *h_rows;  // (directions, N)
  float *const *to;            // as `weights`, each *

  int64_t column_blocks() const { return (output.in() + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t tasks() const { return output.plan.directions * output.plan.groups * column_blocks(); }

  void run(int64_t task) const {
    const auto &plan = output.plan;
    const int64_t first = task % column_blocks() * kColumnsOfASum, block = task / column_blocks();
    const int64_t vector = block % plan.groups * 4, direction = block / plan.groups;
    float *weight = to[plan.weights_each() * direction + 2 + plan.own];
    if (!weight) return;
    const int64_t columns = std::min(kColumnsOfASum, output.in() - first);
    with_width(std::min(plan.vectors - vector, int64_t(4)), [&](auto width) {
      constexpr int V = decltype(width)::value;
      alignas(64) float total[kColumnsOfASum * V * W];
      sum_outer<V>(h_rows + direction * plan.N, first, columns, ds + direction * plan.width + vector * W,
          plan.directions * plan.width, plan.N, total);
      for (int64_t lane = 0; lane < std::min(int64_t(V * W), plan.H - vector * W); lane++) {
        for (int64_t column = 0; column < columns; column++)
          weight[(vector * W + lane) * output.in() + first + column] = total[column * V * W + lane];
      }
    });
  }
};

// The output's backward: the gradient of its weights, and dh (N, plan.wide), which lives in the arena.
const float *output_backward(const ScanPlan &plan, const OstinatoScanGradients &gradients, Arena &arena) {
  const ScanOutput output(plan, arena);
  float *ds = arena.take<float>(plan.N * plan.directions * plan.width), *dh = arena.take<float>(plan.N * plan.wide);
  const float **h_rows = arena.take<const float *>(plan.directions * plan.N);
  ReadoutInputJob inputs{output, ds, {}, dh};
  for (int64_t direction = 0; direction < plan.directions; direction++) {
    inputs.packed[direction] =
        Linear::pack(output.weight(direction), 1, output.in(), nullptr, plan.H, output.in(), arena);
    for (int64_t n = 0; n < plan.N; n++)
      h_rows[direction * plan.N + n] = plan.h + n * plan.wide + direction * output.in();
  }
  const OutputBackwardJob sums{output, gradients.y, ds};
  const ReadoutWeightJob weights{output, ds, h_rows, gradients.weights};
  Stage stages[3] = {
      stage_of(sums, output.tasks()), stage_of(inputs, output.tasks()), stage_of(weights, weights.tasks())};
  stages[1].need(&stages[0]);
  stages[2].need(&stages[0]);
  run_stages(stages, 3, plan.threads);
  return dh;
}
