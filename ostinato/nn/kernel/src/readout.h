// From the output of a stack to one vector for each sequence: poolings side by side, dropout, and a linear layer, which
// sums each row by itself. A sequence without steps pools to zeros. Its bits do not depend on the other sequences.
// Included inside a variant's namespace.

struct ReadoutPlan {
  const OstinatoStack &stack;
  const OstinatoReadout &r;
  int64_t B, H, P, padded;  // H: of all directions; P: of all poolings; padded: P rounded up to whole vectors
  int64_t *offsets;         // (B,)
  int threads;              // of the linear layer

  ReadoutPlan(const OstinatoStack &s, const OstinatoReadout &readout, Arena &arena)
      : stack(s),
        r(readout),
        B(s.batch_size),
        H(s.num_directions * s.hidden_size),
        P(r.num_poolings * H),
        padded((P + 15) / 16 * 16) {
    threads = double(B) * double(P) * double(r.size) < 1e7 ? 1 : s.threads;
    offsets = arena.take<int64_t>(B);
    int64_t steps = 0;
    for (int64_t b = 0; b < B; b++) offsets[b] = steps, steps += s.lengths[b];
  }

  bool has_attention() const {
    return std::find(r.poolings, r.poolings + r.num_poolings, OSTINATO_ATTENTION) != r.poolings + r.num_poolings;
  }

  // The attention pooling alone, from the stack's output to `out` (B, H).
  OstinatoAttention attention(float *out, float *running) const {
    return {B, stack.num_steps, H, stack.lengths, stack.y, r.project, r.project_bias, r.score, out, r.a, r.u, running};
  }

  // The vectors that the linear layer reads, (B, padded): those pooled, times the factors.
  const float *factored(Arena &arena) const {
    if (!r.factors) return r.pooled;
    float *product = arena.take_zeroed<float>(B * padded);
    for (int64_t b = 0; b < B; b++)
      for (int64_t k = 0; k < P; k++) product[b * padded + k] = r.pooled[b * padded + k] * r.factors[b * P + k];
    return product;
  }
};

// One pooling of one sequence, forward and backward. `first`, `end`: of the sequence's steps. Backward adds to dh.
struct PoolSteps {
  const float *h;  // (N, H)
  int64_t H, split, first, end;  // split: units of the forward direction

  void last(float *to) const {
    for (int64_t unit = 0; unit < H; unit++) to[unit] = h[(unit < split ? end - 1 : first) * H + unit];
  }

  void last_backward(const float *gradient, float *dh) const {
    for (int64_t unit = 0; unit < H; unit++) dh[(unit < split ? end - 1 : first) * H + unit] += gradient[unit];
  }

  void mean(float *to) const {
    for (int64_t n = first; n < end; n++)
      for (int64_t unit = 0; unit < H; unit++) to[unit] += h[n * H + unit];
    for (int64_t unit = 0; unit < H; unit++) to[unit] /= float(end - first);
  }

  void mean_backward(const float *gradient, float *dh) const {
    for (int64_t n = first; n < end; n++)
      for (int64_t unit = 0; unit < H; unit++) dh[n * H + unit] += gradient[unit] / float(end - first);
  }

  void max(float *to) const {  // NaN if a step has one
    std::memcpy(to, h + first * H, sizeof(float) * size_t(H));
    for (int64_t n = first + 1; n < end; n++) {
      for (int64_t unit = 0; unit < H; unit++) {
        const float value = h[n * H + unit];
        to[unit] = value > to[unit] || value != value ? value : to[unit];
      }
    }
  }

  // Steps that share the maximum share its gradient.
  void max_backward(const float *pooled, const float *gradient, float *dh) const {
    for (int64_t unit = 0; unit < H; unit++) {
      int64_t count = 0;
      for (int64_t n = first; n < end; n++) count += h[n * H + unit] == pooled[unit];
      for (int64_t n = first; n < end; n++)
        if (h[n * H + unit] == pooled[unit]) dh[n * H + unit] += gradient[unit] / float(count);
    }
  }
};

void read_out(const OstinatoStack &stack, const OstinatoReadout &readout) {
  Arena arena;
  const ReadoutPlan plan(stack, readout, arena);
  const int64_t B = plan.B, H = plan.H;
  float *attended = nullptr;  // (B, H)
  if (plan.has_attention()) {
    attended = arena.take<float>(B * H);
    float *running = readout.by_step ? arena.take_zeroed<float>(B * (H + 2)) : nullptr;
    for (int64_t b = 0; running && b < B; b++) running[b * (H + 2)] = -INFINITY;  // the largest score so far
    attend(plan.attention(attended, running), stack.threads);
  }
  std::memset(readout.pooled, 0, sizeof(float) * size_t(B * plan.padded));
  for (int64_t b = 0; b < B; b++) {
    const int64_t first = plan.offsets[b], end = first + stack.lengths[b];
    if (first == end) continue;
    const PoolSteps steps{stack.y, H, stack.hidden_size, first, end};
    for (int64_t k = 0; k < readout.num_poolings; k++) {
      float *to = readout.pooled + b * plan.padded + k * H;
      switch (readout.poolings[k]) {
        case OSTINATO_LAST: steps.last(to); break;
        case OSTINATO_MEAN: steps.mean(to); break;
        case OSTINATO_MAX: steps.max(to); break;
        case OSTINATO_ATTENTION: std::memcpy(to, attended + b * H, sizeof(float) * size_t(H)); break;
      }
    }
  }
  const float *packed = Linear::pack(readout.weight, plan.P, 1, readout.bias, plan.P, readout.size, arena);
  const LinearJob job{{plan.factored(arena), packed, plan.P, readout.size, plan.padded}, readout.out, B};
  Stage stage = stage_of(job, row_tasks(B));
  run_stages(&stage, 1, plan.threads);
}

// dW = doutᵀ · pooled for four vectors of columns and some outputs; db = Σ dout.
struct OutputWeightJob {
  const ReadoutPlan &plan;
  const float *pooled;      // times the factors
  const float *const *dout;  // (B,) rows
  const OstinatoReadoutGradients &to;

  int64_t output_blocks() const { return (plan.r.size + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t tasks() const { return (plan.padded / W + 3) / 4 * output_blocks(); }

  void run(int64_t task) const {
    const int64_t first = task % output_blocks() * kColumnsOfASum, vector = task / output_blocks() * 4;
    switch (std::min(plan.padded / W - vector, int64_t(4))) {
      case 1: return sum<1>(vector, first);
      case 2: return sum<2>(vector, first);
      case 3: return sum<3>(vector, first);
      default: return sum<4>(vector, first);
    }
  }

  template <int V> void sum(int64_t vector, int64_t first) const {
    const int64_t outputs = std::min(kColumnsOfASum, plan.r.size - first);
    const int64_t columns = std::min(int64_t(V * W), plan.P - vector * W);
    alignas(64) float total[kColumnsOfASum * V * W];
    sum_outer<V>(dout, first, outputs, pooled + vector * W, plan.padded, plan.B, total);
    for (int64_t k = 0; k < outputs; k++) {
      for (int64_t column = 0; column < columns; column++)
        to.weight[(first + k) * plan.P + vector * W + column] = total[k * V * W + column];
      if (vector > 0) continue;
      to.bias[first + k] = 0;
      for (int64_t b = 0; b < plan.B; b++) to.bias[first + k] += dout[b][first + k];
    }
  }
};

// Writes the gradient of the stack's output, (N, H), to `dh`.
void differentiate_readout(
    const OstinatoStack &stack, const OstinatoReadout &readout, const OstinatoReadoutGradients &to, float *dh) {
  Arena arena;
  const ReadoutPlan plan(stack, readout, arena);
  const int64_t B = plan.B, H = plan.H, P = plan.P;
  const float **dout = arena.take<const float *>(B);
  for (int64_t b = 0; b < B; b++) dout[b] = to.out + b * readout.size;
  const OutputWeightJob weights{plan, plan.factored(arena), dout, to};
  float *dpooled = arena.take<float>(B * P);
  const float *packed = Linear::pack(readout.weight, 1, P, nullptr, readout.size, P, arena);
  const LinearJob pooled{{to.out, packed, readout.size, P}, dpooled, B};
  Stage stages[2] = {stage_of(weights, weights.tasks()), stage_of(pooled, row_tasks(B))};
  run_stages(stages, 2, plan.threads);
  for (int64_t k = 0; readout.factors && k < B * P; k++) dpooled[k] *= readout.factors[k];

  if (plan.has_attention()) {
    const int64_t at = std::find(readout.poolings, readout.poolings + readout.num_poolings, OSTINATO_ATTENTION) -
                       readout.poolings;
    float *attended = arena.take<float>(B * H), *gradient = arena.take<float>(B * H);
    for (int64_t b = 0; b < B; b++) {
      std::memcpy(attended + b * H, readout.pooled + b * plan.padded + at * H, sizeof(float) * size_t(H));
      std::memcpy(gradient + b * H, dpooled + b * P + at * H, sizeof(float) * size_t(H));
    }
    attend_backward(plan.attention(attended, nullptr), {gradient, dh, to.project, to.project_bias, to.score},
        stack.threads);
  } else {
    std::memset(dh, 0, sizeof(float) * size_t(stack.num_steps * H));
  }
  for (int64_t b = 0; b < B; b++) {
    const int64_t first = plan.offsets[b], end = first + stack.lengths[b];
    if (first == end) continue;
    const PoolSteps steps{stack.y, H, stack.hidden_size, first, end};
    for (int64_t k = 0; k < readout.num_poolings; k++) {
      const float *gradient = dpooled + b * P + k * H;
      switch (readout.poolings[k]) {
        case OSTINATO_LAST: steps.last_backward(gradient, dh); break;
        case OSTINATO_MEAN: steps.mean_backward(gradient, dh); break;
        case OSTINATO_MAX: steps.max_backward(readout.pooled + b * plan.padded + k * H, gradient, dh); break;
      }
    }
  }
}
