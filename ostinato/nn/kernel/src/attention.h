// Additive attention pooling, each sequence by itself: u = tanh(W h + b), s = v · u, a = softmax(s), out = Σ a·h.
// Included inside a variant's namespace.

struct AttentionPlan {
  const OstinatoAttention &a;
  int64_t H, N, padded;       // padded: H rounded up to whole vectors
  int64_t *offsets;           // (B,)
  const float *v;             // (padded,)
  int threads;

  AttentionPlan(const OstinatoAttention &attention, Arena &arena, int most_threads)
      : a(attention), H(attention.hidden_size), N(attention.num_steps), padded((H + W - 1) / W * W) {
    threads = double(N) * double(H) * double(H) < 4e6 ? 1 : most_threads;
    offsets = arena.take<int64_t>(a.batch_size);
    int64_t steps = 0;
    for (int64_t b = 0; b < a.batch_size; b++) offsets[b] = steps, steps += a.lengths[b];
    float *copy = arena.take_zeroed<float>(padded);
    std::memcpy(copy, a.score, sizeof(float) * size_t(H));
    v = copy;
  }
};

// u and s of some steps; u is saved only for backward.
struct ScoreJob {
  const AttentionPlan &plan;
  Linear map;
  float *scores;

  void run(int64_t task) const {
    const int64_t first = task * kRowsOfATask, count = std::min(kRowsOfATask, plan.N - first);
    alignas(64) float sums[kRowsOfATask * W] = {};
    map.tiles(first, count, [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++) {
        float *sum = sums + (row - first + r) * W;
        for (int k = 0; k < V; k++) {
          const Vec u = tanh(tile[r][k]);
          store(sum, fma(u, load(plan.v + (vector + k) * W), load(sum)));
          if (plan.a.u) store(plan.a.u + (row + r) * plan.padded + (vector + k) * W, u);
        }
      }
    });
    for (int64_t row = 0; row < count; row++) {
      float total = 0;
      for (int lane = 0; lane < W; lane++) total += sums[row * W + lane];
      scores[first + row] = total;
    }
  }
};

// a and out of one sequence; out is zero without steps. Overwrites the scores with a.
struct PoolJob {
  const AttentionPlan &plan;
  float *scores;

  void run(int64_t sequence) const {
    const int64_t steps = plan.a.lengths[sequence], H = plan.H;
    const float *h = plan.a.h + plan.offsets[sequence] * H;
    float *weights = scores + plan.offsets[sequence], largest = steps ? weights[0] : 0, total = 0;
    for (int64_t t = 1; t < steps; t++) largest = weights[t] > largest ? weights[t] : largest;
    for (int64_t t = 0; t < steps; t += W)
      store_up_to(weights + t, exp(load_up_to(weights + t, steps - t) - all(largest)), steps - t);
    for (int64_t t = 0; t < steps; t++) total += weights[t];
    for (int64_t t = 0; t < steps; t++) weights[t] /= total;
    for (int64_t unit = 0; unit < H; unit += W) {
      Vec sum = all(0.0f);
      for (int64_t t = 0; t < steps; t++) sum = fma(all(weights[t]), load_up_to(h + t * H + unit, H - unit), sum);
      store_up_to(plan.a.out + sequence * H + unit, sum, H - unit);
    }
  }
};

// The same, step by step: every step costs the same, and a sequence that comes in pieces gives the bits of the whole.
// The state is rescaled whenever a score exceeds all before it. Source: Milakov & Gimelshein (2018), arXiv:1805.02867.
struct RunningPoolJob {
  const AttentionPlan &plan;
  const float *scores;

  void run(int64_t sequence) const {
    const int64_t first = plan.offsets[sequence], H = plan.H;
    float *largest = plan.a.running + sequence * (H + 2), *total = largest + 1, *sum = largest + 2;
    for (int64_t t = first; t < first + plan.a.lengths[sequence]; t++) {
      if (scores[t] > *largest) {
        const float shrunk = power(*largest - scores[t]);
        for (int64_t unit = 0; unit < H; unit++) sum[unit] *= shrunk;
        *total *= shrunk;
        *largest = scores[t];
      }
      const float weight = power(scores[t] - *largest);
      *total += weight;
      for (int64_t unit = 0; unit < H; unit += W) {
        const Vec h = load_up_to(plan.a.h + t * H + unit, H - unit);
        store_up_to(sum + unit, fma(all(weight), h, load_up_to(sum + unit, H - unit)), H - unit);
      }
    }
    float *out = plan.a.out + sequence * H;
    for (int64_t unit = 0; unit < H; unit++) out[unit] = *total > 0 ? sum[unit] / *total : 0;
  }

  static float power(float x) {
    float lanes[W];
    store(lanes, exp(all(x)));
    return lanes[0];
  }
};

void attend(const OstinatoAttention &attention, int threads) {
  Arena arena;
  const AttentionPlan plan(attention, arena, threads);
  float *scores = attention.a ? attention.a : arena.take<float>(plan.N);
  const Linear map{
      attention.h, Linear::pack(attention.project, plan.H, 1, attention.bias, plan.H, plan.H, arena), plan.H, plan.H};
  const ScoreJob score{plan, map, scores};
  const PoolJob pool{plan, scores};
  const RunningPoolJob running{plan, scores};
  Stage stages[2] = {stage_of(score, row_tasks(plan.N)),
      attention.running ? stage_of(running, attention.batch_size) : stage_of(pool, attention.batch_size)};
  stages[1].need(&stages[0]);
  run_stages(stages, 2, plan.threads);
}

// ds = a·(da - Σ a·da) with da = dout · h; overwrites u with dz = ds·v·(1 - u²); this sequence's share of dv.
struct ScoreBackwardJob {
  const AttentionPlan &plan;
  const float *dout;
  float *dv_shares;         // (B, padded)
  const float **dout_rows;  // (N,) for each step, the row of its sequence

  void run(int64_t sequence) const {
    const int64_t steps = plan.a.lengths[sequence], first = plan.offsets[sequence], H = plan.H;
    const float *h = plan.a.h + first * H, *weights = plan.a.a + first, *gradient = dout + sequence * H;
    const float *out = plan.a.out + sequence * H;
    float *share = dv_shares + sequence * plan.padded;
    std::memset(share, 0, sizeof(float) * size_t(plan.padded));
    const float mean = dot(gradient, out, H);  // Σ a·da = dout · out
    for (int64_t t = 0; t < steps; t++) {
      dout_rows[first + t] = gradient;
      const Vec ds = all(weights[t] * (dot(gradient, h + t * H, H) - mean));
      float *u = plan.a.u + (first + t) * plan.padded;
      for (int64_t unit = 0; unit < plan.padded; unit += W) {
        const Vec value = load(u + unit);
        store(share + unit, fma(ds, value, load(share + unit)));
        store(u + unit, ds * load(plan.v + unit) * fnma(value, value, all(1.0f)));
      }
    }
  }

  static float dot(const float *x, const float *y, int64_t count) {
    Vec sum = all(0.0f);
    for (int64_t k = 0; k < count; k += W) sum = fma(load_up_to(x + k, count - k), load_up_to(y + k, count - k), sum);
    float lanes[W], total = 0;
    store(lanes, sum);
    for (int lane = 0; lane < W; lane++) total += lanes[lane];
    return total;
  }
};

// dh = a·dout + dz · W
struct StepBackwardJob {
  const AttentionPlan &plan;
  Linear map;
  const float *const *dout_rows;
  float *dh;

  void run(int64_t task) const {
    const int64_t first = task * kRowsOfATask;
    map.tiles(first, std::min(kRowsOfATask, plan.N - first), [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++) {
        const Vec weight = all(plan.a.a[row + r]);
        for (int k = 0; k < V; k++) {
          const int64_t unit = (vector + k) * W, left = plan.H - unit;
          store_up_to(dh + (row + r) * plan.H + unit,
              fma(weight, load_up_to(dout_rows[row + r] + unit, left), tile[r][k]), left);
        }
      }
    });
  }
};

// dW = dzᵀ · h and db = Σ dz for four vectors of units and some columns; then dv = Σ over sequences.
struct WeightBackwardJob {
  const AttentionPlan &plan;
  const float *const *h_rows;
  const float *dv_shares;
  const OstinatoAttentionGradients &to;

  int64_t column_blocks() const { return (plan.H + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t tasks() const { return (plan.padded / W + 3) / 4 * column_blocks(); }

  void run(int64_t task) const {
    const int64_t first = task % column_blocks() * kColumnsOfASum, vector = task / column_blocks() * 4;
    switch (std::min(plan.padded / W - vector, int64_t(4))) {
      case 1: return sum<1>(vector, first);
      case 2: return sum<2>(vector, first);
      case 3: return sum<3>(vector, first);
      default: return sum<4>(vector, first);
    }
  }

  template <int V> void sum(int64_t vector, int64_t first) const {
    const int64_t columns = std::min(kColumnsOfASum, plan.H - first);
    const float *dz = plan.a.u + vector * W;
    alignas(64) float total[kColumnsOfASum * V * W], bias[V * W];
    sum_outer<V>(h_rows, first, columns, dz, plan.padded, plan.N, total);
    if (first == 0) sum_steps<V>(dz, plan.padded, plan.N, bias);
    for (int64_t lane = 0; lane < std::min(int64_t(V * W), plan.H - vector * W); lane++) {
      const int64_t unit = vector * W + lane;
      for (int64_t column = 0; column < columns; column++)
        to.project[unit * plan.H + first + column] = total[column * V * W + lane];
      if (first > 0) continue;
      to.bias[unit] = bias[lane];
      to.score[unit] = 0;
      for (int64_t b = 0; b < plan.a.batch_size; b++) to.score[unit] += dv_shares[b * plan.padded + unit];
    }
  }
};

void attend_backward(const OstinatoAttention &attention, const OstinatoAttentionGradients &gradients, int threads) {
  Arena arena;
  const AttentionPlan plan(attention, arena, threads);
  float *dv_shares = arena.take<float>(attention.batch_size * plan.padded);
  const float **dout_rows = arena.take<const float *>(plan.N), **h_rows = arena.take<const float *>(plan.N);
  for (int64_t n = 0; n < plan.N; n++) h_rows[n] = attention.h + n * plan.H;
  const ScoreBackwardJob scores{plan, gradients.out, dv_shares, dout_rows};
  const Linear map{attention.u, Linear::pack(attention.project, 1, plan.H, nullptr, plan.H, plan.H, arena), plan.H,
      plan.H, plan.padded};
  const StepBackwardJob steps{plan, map, dout_rows, gradients.h};
  const WeightBackwardJob weights{plan, h_rows, dv_shares, gradients};
  Stage stages[3] = {
      stage_of(scores, attention.batch_size), stage_of(steps, row_tasks(plan.N)), stage_of(weights, weights.tasks())};
  stages[1].need(&stages[0]);
  stages[2].need(&stages[0]);
  run_stages(stages, 3, plan.threads);
}
