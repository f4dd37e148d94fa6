// What the stages of a scan share: sizes, offsets, factors, and the part of the work that is one task.
// Included inside a variant's namespace.

constexpr int64_t kStepsOfAChunk = 64;

struct ScanPlan {
  const OstinatoScan &scan;
  int64_t D, H, N, B, directions, vectors, groups;
  int64_t gates, states, own;  // kGates, kStates and kOwn of the cell
  int64_t width;      // floats per gate in `sums`: H rounded up to whole vectors
  int64_t row;        // floats per step in `sums`: the gates of all directions
  int64_t wide;       // floats per step in `h`: the states of all directions
  float *h;           // (N, wide)
  float *factors;     // (directions, own, width); null without own weights
  int64_t *offsets;   // (B,)
  int threads;

  template <class Cell>
  ScanPlan(Cell, const OstinatoScan &call, Arena &arena, int most_threads)
      : scan(call),
        D(call.input_size),
        H(call.hidden_size),
        N(call.num_steps),
        B(call.batch_size),
        directions(call.num_directions),
        vectors((H + W - 1) / W),
        groups((vectors + 3) / 4),
        gates(Cell::kGates),
        states(Cell::kStates),
        own(Cell::kOwn),
        width(vectors * W),
        row(directions * gates * width),
        wide(directions * states * H),
        h(states > 1 ? call.states : call.y) {
    threads = double(N) * double(D + 8) * double(row) < 2e6 ? 1 : most_threads;
    offsets = arena.take<int64_t>(B);
    int64_t steps = 0;
    for (int64_t b = 0; b < B; b++) offsets[b] = steps, steps += call.lengths[b];
    factors = own ? arena.take_zeroed<float>(directions * own * width) : nullptr;
    for (int64_t direction = 0; direction < directions; direction++) {
      for (int64_t unit = 0; unit < H; unit++) {
        double of_unit[Cell::kOwn + 1];
        Cell::factors(weights(direction) + 2, unit, of_unit);
        for (int64_t k = 0; k < own; k++) factors[(direction * own + k) * width + unit] = float(of_unit[k]);
      }
    }
  }

  int64_t tasks() const { return directions * groups * B; }

  // Of a direction: weight_ih, bias_ih, the cell's own, and weight_ho if there is a read-out.
  const float *const *weights(int64_t direction) const { return scan.weights + direction * weights_each(); }
  int64_t weights_each() const { return 2 + own + (states > 1); }

  // to = x · Wᵀ + b for some steps, V vectors of units.
  template <int V>
  void product(const float *columns, int64_t first, int64_t count, float *to, int64_t stride) const {
    for_tiles<kRows<V>>(count, [&](auto height, int64_t i) {
      constexpr int R = decltype(height)::value;
      Tile<R, V> tile;
      const float *x[R];
      UNROLL for (int r = 0; r < R; r++) {
        x[r] = scan.x + (first + i + r) * D;
        UNROLL for (int v = 0; v < V; v++) tile[r][v] = load(columns + v * W);
      }
      multiply<R, V>(x, columns + V * W, D, tile);
      UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++) store(to + (i + r) * stride + v * W, tile[r][v]);
    });
  }
};

// Calls f(V) for the vectors of a group.
template <class F> void with_width(int64_t vectors, F f) {
  switch (vectors) {
    case 1: return f(std::integral_constant<int, 1>());
    case 2: return f(std::integral_constant<int, 2>());
    case 3: return f(std::integral_constant<int, 3>());
    default: return f(std::integral_constant<int, 4>());
  }
}

// What a task computes: one direction, group of units and sequence; steps are counted in the direction of reading.
struct ScanTask {
  const ScanPlan &plan;
  int64_t direction, sequence, vector, first, steps;
  bool reverse;

  ScanTask(const ScanPlan &plan, int64_t task) : plan(plan) {
    const int64_t rest = task / plan.B;
    sequence = task % plan.B;
    direction = rest / plan.groups, vector = rest % plan.groups * 4;
    first = plan.offsets[sequence], steps = plan.scan.lengths[sequence];
    reverse = direction == 1;
  }

  int64_t flat_step(int64_t step) const { return first + (reverse ? steps - 1 - step : step); }
  int64_t vectors() const { return std::min(plan.vectors - vector, int64_t(4)); }
  int64_t unit(int v) const { return (vector + v) * W; }
  int64_t left(int v) const { return plan.H - unit(v); }

  // Of state k of a step, in `h` or its gradient: the first unit of a vector.
  int64_t at_state(int64_t n, int k, int v) const {
    return n * plan.wide + (direction * plan.states + k) * plan.H + unit(v);
  }

  template <int V, int P> void load_factors(Vec (&f)[V][P]) const {  // the last of P is no factor: kOwn may be 0
    UNROLL for (int v = 0; v < V; v++) {
      UNROLL for (int k = 0; k < P - 1; k++)
        f[v][k] = load(plan.factors + (direction * plan.own + k) * plan.width + unit(v));
    }
  }
};
