// Linear-chain conditional random fields, each sequence by itself. With emissions e and transitions T, step by step:
//   l_t(j) = log Σ_i exp(a_{t-1}(i) + T_ij),   a_t(j) = l_t(j) + e_t(j) minus their largest; the largest sum to log Z.
// With E_ij = exp(T_ij - m_j), m_j the largest of column j, this is a product: r_t(j) = Σ_i exp(a_{t-1}(i)) E_ij and
// l = log r + m.
// When scores lie so far apart that the terms that matter underflow in float32, a step works in logarithms (`in_logs`).
// Backward from p_T: p_{t-1}(i) = Σ_j p_t(j) · exp(a_{t-1}(i) + T_ij - l_t(j)), a mixture of distributions; the term of
// i and j is the probability of that pair of tags. Scores may be -inf. Included inside a variant's namespace.

constexpr float kInfinity = __builtin_inff();
constexpr float kLowest = -3.0e38f;      // replaces -inf where -inf - (-inf) would be NaN
constexpr float kLeast = 1e-28f;         // larger sums lost less than a rounding error: terms underflow below 1e-38
constexpr float kVanishing = 1e-37f;

inline Vec exp_or_zero(Vec x) { return where_greater(all(-87.0f), x, all(0.0f), exp(x)); }

// log x for x of 0 or above 1e-37, to about one unit in the last place; NaN stays NaN.
inline Vec log(Vec x) {
  float lanes[W], exponents[W];
  store(lanes, x);
  for (int lane = 0; lane < W; lane++) {  // x = 2ⁿ·f, f from √½ to √2
    uint32_t bits;
    std::memcpy(&bits, lanes + lane, sizeof bits);
    const int32_t n = int32_t(bits - 0x3f3504f3u) >> 23;
    exponents[lane] = float(n);
    bits -= uint32_t(n) << 23;
    std::memcpy(lanes + lane, &bits, sizeof bits);
  }
  const Vec result = log(load(exponents), load(lanes) - all(1.0f));
  return where_greater(all(kVanishing), x, all(-kInfinity), result + (x - x));
}

inline float largest_of(Vec v) {
  float lanes[W];
  store(lanes, v);
  float largest = lanes[0];
  for (int lane = 1; lane < W; lane++) largest = lanes[lane] > largest ? lanes[lane] : largest;
  return largest;
}

// Rows have `padded` floats; the values after the last tag do not change sums and maxima.
struct CrfPlan {
  const OstinatoCrf &crf;
  int64_t B, N, C, padded;
  int64_t *offsets;                      // (B,)
  const float *start, *end, *mask;       // (padded,), -inf after the last tag; the mask is 0 before
  float *from, *to;                      // (C, padded): T by rows i, and by rows j
  float *powers_from, *powers_to;        // E likewise; not for decoding
  float *columns, *least;                // (padded,): m, and the least exact r, -1 for a forbidden column
  int threads;

  CrfPlan(const OstinatoCrf &call, Arena &arena, int most_threads, bool sums)
      : crf(call), B(call.batch_size), N(call.num_steps), C(call.num_tags), padded((C + W - 1) / W * W) {
    threads = double(N) * double(C) * double(padded) < 5e5 ? 1 : most_threads;
    offsets = arena.take<int64_t>(B);
    int64_t steps = 0;
    for (int64_t b = 0; b < B; b++) offsets[b] = steps, steps += call.lengths[b];
    start = row(call.start, arena), end = row(call.end, arena);
    float *zeros = arena.take_zeroed<float>(C);
    mask = row(zeros, arena);
    from = arena.take<float>(C * padded);
    for (int64_t i = 0; i < C; i++) copy(call.transitions + i * C, from + i * padded);
    if (sums) exponentiate(arena);
  }

  void exponentiate(Arena &arena) {
    columns = arena.take<float>(padded), least = arena.take<float>(padded);
    for (int64_t k = 0; k < padded; k += W) {
      Vec largest = load(from + k);
      for (int64_t i = 1; i < C; i++) largest = max(load(from + i * padded + k), largest);
      store(columns + k, largest);
      store(least + k, where_greater(largest, all(-kInfinity), all(kLeast), all(-1.0f)));
    }
    powers_from = arena.take<float>(C * padded);
    for (int64_t i = 0; i < C; i++) {
      for (int64_t k = 0; k < padded; k += W) {
        store(powers_from + i * padded + k,
            exp_or_zero(load(from + i * padded + k) - max(all(kLowest), load(columns + k))));
      }
    }
    to = transposed(from, -kInfinity, arena), powers_to = transposed(powers_from, 0.0f, arena);
  }

  float *row(const float *values, Arena &arena) const {
    float *copied = arena.take<float>(padded);
    copy(values, copied);
    return copied;
  }

  void copy(const float *values, float *row) const {
    std::memcpy(row, values, sizeof(float) * size_t(C));
    for (int64_t k = C; k < padded; k++) row[k] = -kInfinity;
  }

  float *transposed(const float *rows, float after, Arena &arena) const {
    float *turned = arena.take<float>(C * padded);
    for (int64_t j = 0; j < C; j++) {
      for (int64_t i = 0; i < C; i++) turned[j * padded + i] = rows[i * padded + j];
      for (int64_t i = C; i < padded; i++) turned[j * padded + i] = after;
    }
    return turned;
  }

  Vec emission(int64_t step, int64_t k) const {
    return load_up_to(crf.emissions + step * C + k, C - k) + load(mask + k);
  }

  // x · M, for M of C rows.
  void multiply_row(const float *x, const float *matrix, float *out) const {
    for_vectors(padded / W, [&](auto width, int64_t vector) {
      constexpr int V = decltype(width)::value;
      Vec even[V], odd[V];  // two chains of sums: a single one would wait for itself
      UNROLL for (int v = 0; v < V; v++) even[v] = odd[v] = all(0.0f);
      const float *row = matrix + vector * W;
      int64_t i = 0;
      for (; i + 1 < C; i += 2, row += 2 * padded) {
        UNROLL for (int v = 0; v < V; v++) even[v] = fma(all(x[i]), load(row + v * W), even[v]);
        UNROLL for (int v = 0; v < V; v++) odd[v] = fma(all(x[i + 1]), load(row + padded + v * W), odd[v]);
      }
      if (i < C) UNROLL for (int v = 0; v < V; v++) even[v] = fma(all(x[i]), load(row + v * W), even[v]);
      UNROLL for (int v = 0; v < V; v++) store(out + (vector + v) * W, even[v] + odd[v]);
    });
  }
};

// What forward saves for backward: N · (2 · padded + 1) floats.
struct CrfSaved {
  float *a;        // (N, padded)
  float *sums;     // (N, padded), not for first steps: r, or l of a step in logarithms
  float *in_logs;  // (N,), 1 for a step in logarithms

  CrfSaved(float *saved, int64_t N, int64_t padded)
      : a(saved),
        sums(saved + N * padded),
        in_logs(saved + 2 * N * padded) {}
};

// The end of a sequence: p_T(i) = exp(a_T(i) + end_i - largest) / total.
struct CrfEnd {
  float largest;
  double total = 0;

  CrfEnd(const CrfPlan &plan, const float *a) {
    Vec most = all(kLowest);
    for (int64_t k = 0; k < plan.padded; k += W) most = max(load(a + k) + load(plan.end + k), most);
    largest = largest_of(most);
    for (int64_t k = 0; k < plan.padded; k += W) {
      float terms[W];
      store(terms, exp_or_zero(load(a + k) + load(plan.end + k) - all(largest)));
      for (int lane = 0; lane < W; lane++) total += double(terms[lane]);
    }
  }

  void probabilities(const CrfPlan &plan, const float *a, float *p) const {
    for (int64_t k = 0; k < plan.padded; k += W)
      store(p + k, exp_or_zero(load(a + k) + load(plan.end + k) - all(largest)) / all(float(total)));
  }
};

struct CrfForwardJob {
  const CrfPlan &plan;
  CrfSaved saved;
  bool saves;             // false: a sequence has two rows of a and one of sums
  float *scratch;         // (B, padded)
  float *log_likelihood;  // * (B,)

  void run(int64_t sequence) const {
    const int64_t first = plan.offsets[sequence], steps = plan.crf.lengths[sequence], padded = plan.padded;
    if (steps == 0) {
      if (log_likelihood) log_likelihood[sequence] = 0;
      return;
    }
    float *powers = scratch + sequence * padded;
    double log_z = 0;
    for (int64_t t = 0; t < steps; t++) {
      const int64_t here = saves ? first + t : 2 * sequence + t % 2,
                    before = saves ? here - 1 : 2 * sequence + (t + 1) % 2;
      float *a = saved.a + here * padded, *sums = saved.sums + (saves ? here : sequence) * padded;
      const float *l =
          t ? step(saved.a + before * padded, powers, sums, a, saves ? saved.in_logs + here : nullptr) : plan.start;
      log_z += advance(l, first + t, a);
    }
    if (!log_likelihood) return;
    const CrfEnd end(plan, saved.a + (saves ? first + steps - 1 : 2 * sequence + (steps + 1) % 2) * padded);
    log_likelihood[sequence] = float(score(first, steps) - (log_z + double(end.largest) + std::log(end.total)));
  }

  // l of a step, from the a before it; stored in `l`, or in `sums` for a step in logarithms.
  const float *step(const float *before, float *powers, float *sums, float *l, float *in_logs) const {
    const int64_t padded = plan.padded;
    for (int64_t k = 0; k < padded; k += W) store(powers + k, exp_or_zero(load(before + k)));
    plan.multiply_row(powers, plan.powers_from, sums);
    Vec missing = all(-1.0f);
    for (int64_t k = 0; k < padded; k += W) missing = max(load(plan.least + k) - load(sums + k), missing);
    const bool uses_logs = largest_of(missing) > 0;
    if (in_logs) *in_logs = uses_logs ? 1.0f : 0.0f;
    if (uses_logs) {
      add_logarithms(before, sums);
      return sums;
    }
    for (int64_t k = 0; k < padded; k += W) store(l + k, log(load(sums + k)) + load(plan.columns + k));
    return l;
  }

  void add_logarithms(const float *before, float *l) const {
    for (int64_t k = 0; k < plan.padded; k += W) {
      const float *column = plan.from + k;
      Vec largest = all(kLowest), total = all(0.0f);
      for (int64_t i = 0; i < plan.C; i++) largest = max(all(before[i]) + load(column + i * plan.padded), largest);
      for (int64_t i = 0; i < plan.C; i++)
        total = total + exp_or_zero(all(before[i]) + load(column + i * plan.padded) - largest);
      store(l + k, log(total) + largest);
    }
  }

  // a = l + e minus the largest, which is returned. Subtracts the largest emission first: the rest is small and exact.
  double advance(const float *l, int64_t n, float *a) const {
    Vec most = all(kLowest);
    for (int64_t k = 0; k < plan.padded; k += W) most = max(plan.emission(n, k), most);
    const float emission = largest_of(most);
    most = all(kLowest);
    for (int64_t k = 0; k < plan.padded; k += W) {
      const Vec sum = plan.emission(n, k) - all(emission) + load(l + k);
      store(a + k, sum);
      most = max(sum, most);
    }
    const float largest = largest_of(most);
    for (int64_t k = 0; k < plan.padded; k += W) store(a + k, load(a + k) - all(largest));
    return double(emission) + double(largest);
  }

  double score(int64_t first, int64_t steps) const {
    const OstinatoCrf &crf = plan.crf;
    const int64_t *y = crf.tags + first;
    double total = double(crf.start[y[0]]) + double(crf.end[y[steps - 1]]);
    for (int64_t t = 0; t < steps; t++) total += double(crf.emissions[(first + t) * plan.C + y[t]]);
    for (int64_t t = 1; t < steps; t++) total += double(crf.transitions[y[t - 1] * plan.C + y[t]]);
    return total;
  }
};

void crf_forward(const OstinatoCrf &crf, float *log_likelihood, int threads) {
  Arena arena;
  const CrfPlan plan(crf, arena, threads, true);
  float *saved = crf.saved ? crf.saved : arena.take<float>(3 * plan.B * plan.padded);
  CrfSaved parts(saved, plan.N, plan.padded);
  if (!crf.saved) parts.sums = saved + 2 * plan.B * plan.padded;
  const CrfForwardJob job{plan, parts, crf.saved != nullptr, arena.take<float>(plan.B * plan.padded), log_likelihood};
  Stage stage = stage_of(job, plan.B);
  run_stages(&stage, 1, plan.threads);
}

// From the last step of a sequence to its first: p. With a gradient g of the log-likelihood also de = g·(1[y] - p) and
// the inputs of the transitions' gradient: exp(a_i) and w = g·p / r of all steps for E_ij · Σ exp(a_i) · w_j, and the
// terms of steps in logarithms.
struct CrfBackwardJob {
  const CrfPlan &plan;
  CrfSaved saved;
  float *out;              // (N, C): de, or p without a gradient
  const float *gradient;   // * (B,)
  float *scratch;          // (B, 3, padded)
  const float **a_rows;    // * (N,) exp(a) of the step before; zeros for first steps and steps in logarithms
  const float *zeros;      // (C,)
  const int64_t *log_index;    // * (N,) for steps in logarithms, their index in `log_terms`
  float *log_terms;              // * (…, 2, padded): l and w of terms exp(a_i + T_ij - l_j) · w_j, zeros where p is 0

  void run(int64_t sequence) const {
    const int64_t first = plan.offsets[sequence], steps = plan.crf.lengths[sequence], padded = plan.padded;
    if (steps == 0) return;
    const float g = gradient ? gradient[sequence] : 1;
    float *p = scratch + 3 * sequence * padded, *w = p + padded, *mixed = w + padded;
    const float *last = saved.a + (first + steps - 1) * padded;
    CrfEnd(plan, last).probabilities(plan, last, p);
    for (int64_t n = first + steps - 1;; n--) {
      write(n, p, g);
      if (n == first) break;
      float *a = saved.a + (n - 1) * padded, *sums = saved.sums + n * padded;
      saved.in_logs[n] != 0 ? step_in_logs(n, a, sums, p, w, mixed, g) : step(n, a, sums, p, w, mixed, g);
      normalise(mixed, p);
    }
    if (!a_rows) return;
    a_rows[first] = zeros;
    std::memset(saved.sums + first * padded, 0, sizeof(float) * size_t(padded));
  }

  void write(int64_t n, const float *p, float g) const {
    float *to = out + n * plan.C;
    if (!gradient) {
      std::memcpy(to, p, sizeof(float) * size_t(plan.C));
      return;
    }
    for (int64_t k = 0; k < plan.padded; k += W) store_up_to(to + k, all(0.0f) - all(g) * load(p + k), plan.C - k);
    const int64_t y = plan.crf.tags[n];
    to[y] = g * (1.0f - p[y]);
  }

  void step(int64_t n, float *a, float *sums, const float *p, float *w, float *mixed, float g) const {
    for (int64_t k = 0; k < plan.padded; k += W) {
      const Vec sum = load(sums + k), share = where_greater(all(kVanishing), sum, all(0.0f), load(p + k) / sum);
      store(w + k, share);
      store(sums + k, all(g) * share);
    }
    plan.multiply_row(w, plan.powers_to, mixed);
    for (int64_t k = 0; k < plan.padded; k += W) {
      const Vec power = exp_or_zero(load(a + k));
      store(a + k, power);
      store(mixed + k, power * load(mixed + k));
    }
    if (a_rows) a_rows[n] = a;
  }

  void step_in_logs(int64_t n, const float *a, float *l, const float *p, float *terms, float *mixed, float g) const {
    const int64_t padded = plan.padded;
    float *l_saved = a_rows ? log_terms + 2 * log_index[n] * padded : nullptr,
          *w_saved = a_rows ? l_saved + padded : nullptr;
    if (a_rows) std::memset(l_saved, 0, 2 * sizeof(float) * size_t(padded));
    std::memset(mixed, 0, sizeof(float) * size_t(padded));
    for (int64_t j = 0; j < plan.C; j++) {
      if (p[j] == 0) continue;
      const float *transitions = plan.to + j * padded;
      Vec sum = all(0.0f);
      for (int64_t k = 0; k < padded; k += W) {
        const Vec term = exp_or_zero(load(a + k) + load(transitions + k) - all(l[j]));
        store(terms + k, term);
        sum = sum + term;
      }
      const float weight = p[j] / sum_of(sum);  // a large logarithm is less exact than its terms: rescale them
      for (int64_t k = 0; k < padded; k += W) store(mixed + k, fma(all(weight), load(terms + k), load(mixed + k)));
      if (a_rows) l_saved[j] = l[j], w_saved[j] = g * weight;
    }
    if (!a_rows) return;
    a_rows[n] = zeros;
    std::memset(l, 0, sizeof(float) * size_t(padded));
  }

  // Makes p sum to 1 again, so that rounding errors do not accumulate over the steps.
  void normalise(const float *mixed, float *p) const {
    Vec sum = all(0.0f);
    for (int64_t k = 0; k < plan.padded; k += W) sum = sum + load(mixed + k);
    const Vec total = all(sum_of(sum));
    for (int64_t k = 0; k < plan.padded; k += W) store(p + k, load(mixed + k) / total);
  }

  static float sum_of(Vec v) {
    float lanes[W], total = 0;
    store(lanes, v);
    for (int lane = 0; lane < W; lane++) total += lanes[lane];
    return total;
  }
};

// dT = -expected, for four vectors of tags j and some tags i; the steps in order.
struct CrfTransitionsJob {
  const CrfPlan &plan;
  CrfSaved saved;
  const float *const *a_rows;
  const int64_t *log_steps;  // the step of each index in `log_terms`
  int64_t num_log_steps;
  const float *log_terms;
  float *to;                 // (C, C)

  int64_t blocks() const { return (plan.C + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t tasks() const { return (plan.padded / W + 3) / 4 * blocks(); }

  void run(int64_t task) const {
    const int64_t first = task % blocks() * kColumnsOfASum, vector = task / blocks() * 4;
    switch (std::min(plan.padded / W - vector, int64_t(4))) {
      case 1: return sum<1>(vector, first);
      case 2: return sum<2>(vector, first);
      case 3: return sum<3>(vector, first);
      default: return sum<4>(vector, first);
    }
  }

  template <int V> void sum(int64_t vector, int64_t first) const {
    const int64_t padded = plan.padded, count = std::min(kColumnsOfASum, plan.C - first);
    alignas(64) float total[kColumnsOfASum * V * W];
    sum_outer<V>(a_rows, first, count, saved.sums + vector * W, padded, plan.N, total);
    for (int64_t i = 0; i < count; i++) {
      for (int v = 0; v < V; v++) {
        const int64_t at = (first + i) * padded + (vector + v) * W, left = plan.C - (vector + v) * W;
        Vec expected = load(total + (i * V + v) * W) * load(plan.powers_from + at);
        for (int64_t k = 0; k < num_log_steps; k++) {
          const float *l = log_terms + 2 * k * padded + (vector + v) * W;
          const Vec before = all(saved.a[(log_steps[k] - 1) * padded + first + i]);
          expected = fma(exp_or_zero(before + load(plan.from + at) - load(l)), load(l + padded), expected);
        }
        store_up_to(to + (first + i) * plan.C + (vector + v) * W, all(0.0f) - expected, left);
      }
    }
  }
};

// Adds the observed transitions, and computes the gradients of start and end, over sequences and steps in order.
struct CrfObservedJob {
  const CrfPlan &plan;
  const OstinatoCrfGradients &gradients;

  void run(int64_t) const {
    const int64_t C = plan.C;
    std::memset(gradients.start, 0, sizeof(float) * size_t(C));
    std::memset(gradients.end, 0, sizeof(float) * size_t(C));
    for (int64_t b = 0; b < plan.B; b++) {
      const int64_t first = plan.offsets[b], steps = plan.crf.lengths[b];
      if (steps == 0) continue;
      const float *at_first = gradients.emissions + first * C, *at_last = at_first + (steps - 1) * C;
      for (int64_t c = 0; c < C; c++) gradients.start[c] += at_first[c], gradients.end[c] += at_last[c];
      const int64_t *y = plan.crf.tags + first;
      for (int64_t t = 1; t < steps; t++) gradients.transitions[y[t - 1] * C + y[t]] += gradients.log_likelihood[b];
    }
  }
};

void crf_backward(const OstinatoCrf &crf, const OstinatoCrfGradients &gradients, int threads) {
  Arena arena;
  const CrfPlan plan(crf, arena, threads, true);
  const CrfSaved saved(crf.saved, plan.N, plan.padded);
  int64_t num_log_steps = 0, *log_index = arena.take<int64_t>(plan.N), *log_steps = arena.take<int64_t>(plan.N);
  for (int64_t b = 0; b < plan.B; b++) {
    for (int64_t n = plan.offsets[b] + 1; n < plan.offsets[b] + crf.lengths[b]; n++) {
      if (saved.in_logs[n] != 0) log_index[n] = num_log_steps, log_steps[num_log_steps++] = n;
    }
  }
  float *log_terms = arena.take<float>(num_log_steps * 2 * plan.padded),
        *scratch = arena.take<float>(3 * plan.B * plan.padded);
  const float **a_rows = arena.take<const float *>(plan.N), *zeros = arena.take_zeroed<float>(plan.C);
  const CrfBackwardJob steps{
      plan, saved, gradients.emissions, gradients.log_likelihood, scratch, a_rows, zeros, log_index, log_terms};
  const CrfTransitionsJob transitions{plan, saved, a_rows, log_steps, num_log_steps, log_terms, gradients.transitions};
  const CrfObservedJob observed{plan, gradients};
  Stage stages[3] = {stage_of(steps, plan.B), stage_of(transitions, transitions.tasks()), stage_of(observed, 1)};
  stages[1].need(&stages[0]);
  stages[2].need(&stages[1]);
  run_stages(stages, 3, plan.threads);
}

void crf_marginals(const OstinatoCrf &crf, float *out, int threads) {
  Arena arena;
  const CrfPlan plan(crf, arena, threads, true);
  const CrfSaved saved(arena.take<float>(plan.N * (2 * plan.padded + 1)), plan.N, plan.padded);
  float *scratch = arena.take<float>(3 * plan.B * plan.padded);
  const CrfForwardJob forward{plan, saved, true, scratch, nullptr};
  const CrfBackwardJob backward{plan, saved, out, nullptr, scratch, nullptr, nullptr, nullptr, nullptr};
  Stage stages[2] = {stage_of(forward, plan.B), stage_of(backward, plan.B)};
  stages[1].need(&stages[0]);
  run_stages(stages, 2, plan.threads);
}

// Viterbi: v_t(j) = max_i (v_{t-1}(i) + T_ij) + e_t(j), minus the largest; ties go to the lowest i. Tags are stored as
// floats.
struct CrfDecodeJob {
  const CrfPlan &plan;
  float *pointers;  // (N, padded)
  float *scratch;   // (B, 2, padded)
  int64_t *out;     // (N,)

  void run(int64_t sequence) const {
    const int64_t first = plan.offsets[sequence], steps = plan.crf.lengths[sequence], padded = plan.padded;
    if (steps == 0) return;
    float *value = scratch + 2 * sequence * padded, *next = value + padded;
    for (int64_t t = 0; t < steps; t++) {
      t ? step(value, pointers + (first + t) * padded, next)
        : void(std::memcpy(next, plan.start, sizeof(float) * size_t(padded)));
      Vec most = all(kLowest);
      for (int64_t k = 0; k < padded; k += W) {
        const Vec sum = load(next + k) + plan.emission(first + t, k);
        store(next + k, sum);
        most = max(sum, most);
      }
      const Vec largest = all(largest_of(most));
      for (int64_t k = 0; k < padded; k += W) store(next + k, load(next + k) - largest);
      std::swap(value, next);
    }
    int64_t tag = 0;
    for (int64_t i = 1; i < plan.C; i++) tag = value[i] + plan.end[i] > value[tag] + plan.end[tag] ? i : tag;
    for (int64_t t = steps - 1;; t--) {
      out[first + t] = tag;
      if (t == 0) break;
      tag = int64_t(pointers[(first + t) * padded + tag]);
    }
  }

  void step(const float *value, float *pointer, float *next) const {
    for_vectors(plan.padded / W, [&](auto width, int64_t vector) {
      constexpr int V = decltype(width)::value;
      Vec best[V], from[V];
      UNROLL for (int v = 0; v < V; v++)
        best[v] = all(value[0]) + load(plan.from + (vector + v) * W), from[v] = all(0.0f);
      for (int64_t i = 1; i < plan.C; i++) {
        const Vec before = all(value[i]), number = all(float(i));
        UNROLL for (int v = 0; v < V; v++) {
          const Vec sum = before + load(plan.from + i * plan.padded + (vector + v) * W);
          from[v] = where_greater(sum, best[v], number, from[v]);
          best[v] = max(sum, best[v]);
        }
      }
      UNROLL for (int v = 0; v < V; v++)
        store(next + (vector + v) * W, best[v]), store(pointer + (vector + v) * W, from[v]);
    });
  }
};

void crf_decode(const OstinatoCrf &crf, int64_t *out, int threads) {
  Arena arena;
  const CrfPlan plan(crf, arena, threads, false);
  const CrfDecodeJob job{
      plan, arena.take<float>(plan.N * plan.padded), arena.take<float>(2 * plan.B * plan.padded), out};
  Stage stage = stage_of(job, plan.B);
  run_stages(&stage, 1, plan.threads);
}
