// LSTM with layer norm. With norm(v) = (v - mean) / sqrt(variance + ε):
//   i, f, g, o from the sums gain_ih·norm(W_ih x) + gain_hh·norm(W_hh h) + b: i, f, o by sigmoid, g by tanh
//   c' = f·c + i·g; h' = o·tanh(gain_c·norm(c') + b_c)
// A norm spans the units of all panels, so a step comes in two parts: W_hh h panel by panel, then the rest row by row.
// Source: Ba, Kiros & Hinton 2016, equations 20 to 22 of the supplement. Included inside a variant's namespace.

// Instead of the gates there are two planes of (panel, step, 4 vectors): of W_ih x and of W_hh h. In training they are
// normalised, and after backward they hold their gradients.
struct LnLstm {
  static constexpr int kVectors = 4, kInput = 0, kInputVectors = 4, kHidden = 0, kHiddenVectors = 4, kUnitVectors = 1;
  static constexpr int kCells = 1, kSavedCells = 1, kHeads = 1, kWeights = 7;
  static constexpr bool kSeparateHiddenBias = false, kNorm = true;
  static int gate(int vector) { return vector; }  // torch's order: i f g o
};

constexpr float kNormEpsilon = 1e-5f;  // as in torch's layer_norm
constexpr int kNormVectors = 14;       // of all gains and biases, in a panel

// The gains and biases of one direction, as vectors of the panels: zeros past the last unit.
struct NormWeights {
  Panels<LnLstm> panels;
  float *bias, *gain_ih, *gain_hh;  // (panel, 4 vectors)
  float *bias_c, *gain_c;           // (panel, 1 vector)
  float *is_unit;                   // (1 vector) of the last panel: 1 for a unit, 0 past the last one

  NormWeights(int64_t hidden_size, const float *const *weights, Arena &arena) : panels(hidden_size) {
    bias = gates(weights[2], arena), gain_ih = gates(weights[3], arena), gain_hh = gates(weights[4], arena);
    bias_c = units(weights[5], arena), gain_c = units(weights[6], arena);
    is_unit = arena.take<float>(W);
    for (int lane = 0; lane < W; lane++) is_unit[lane] = panels.row(panels.count - 1, 0, lane) < 0 ? 0.0f : 1.0f;
  }

 private:
  float *gates(const float *from, Arena &arena) const {
    float *to = arena.take_zeroed<float>(4 * panels.padded);
    for (int64_t panel = 0; panel < panels.count; panel++)
      add_bias<LnLstm, 4>(panels, panel, 0, from, to + panel * 4 * W);
    return to;
  }

  float *units(const float *from, Arena &arena) const {
    float *to = arena.take<float>(panels.padded);
    copy_state(from, to, panels.H, panels.padded);
    return to;
  }
};

// A norm's mean as a vector of a panel: zero past the last unit, so that zeros there stay zeros.
struct Mean {
  Vec inside, last;
  int64_t last_panel;

  Mean(float mean, const NormWeights &weights)
      : inside(all(mean)),
        last(all(mean) * load(weights.is_unit)),
        last_panel(weights.panels.count - 1) {}
  Vec at(int64_t panel) const { return panel == last_panel ? last : inside; }
};

// The moments of a row of V vectors in each panel, the variance from the differences to the mean.
template <int V> Moments moments_of(const float *row, int64_t panel_stride, const NormWeights &weights) {
  const Panels<LnLstm> &panels = weights.panels;
  const float count = float(V * panels.H);
  Vec sum[V], squares[V];
  UNROLL for (int v = 0; v < V; v++) sum[v] = squares[v] = all(0.0f);
  for (int64_t panel = 0; panel < panels.count; panel++) {
    UNROLL for (int v = 0; v < V; v++) sum[v] = sum[v] + load(row + panel * panel_stride + v * W);
  }
  UNROLL for (int v = 1; v < V; v++) sum[0] = sum[0] + sum[v];
  const float average = sum_of(sum[0]) / count;
  const Mean mean(average, weights);
  for (int64_t panel = 0; panel < panels.count; panel++) {
    UNROLL for (int v = 0; v < V; v++) {
      const Vec difference = load(row + panel * panel_stride + v * W) - mean.at(panel);
      squares[v] = fma(difference, difference, squares[v]);
    }
  }
  UNROLL for (int v = 1; v < V; v++) squares[0] = squares[0] + squares[v];
  return {average, 1.0f / std::sqrt(sum_of(squares[0]) / count + kNormEpsilon)};
}

// The four sums of a panel's units from the normalised products.
ALWAYS_INLINE void add_norms(
    const NormWeights &weights, int64_t panel, const Vec (&x)[4], const Vec (&h)[4], Vec (&sum)[4]) {
  const int64_t first = panel * 4 * W;
  UNROLL for (int v = 0; v < 4; v++) {
    sum[v] = fma(load(weights.gain_ih + first + v * W), x[v],
        fma(load(weights.gain_hh + first + v * W), h[v], load(weights.bias + first + v * W)));
  }
}

// One step of one sequence after its products: everything row by row.
template <bool kTraining> struct LnLstmStep {
  const NormWeights &weights;
  int64_t panel_stride, plane;  // floats from a panel, and from W_ih x, to the next

  // c' and the gate o, which is left in `o`.
  void update(float *gates, float *c, float *saved_c, StepMoments &moments, float *o) const {
    const Moments x = moments_of<4>(gates, panel_stride, weights);
    const Moments h = moments_of<4>(gates + plane, panel_stride, weights);
    const Mean mean_x(x.mean, weights), mean_h(h.mean, weights);
    moments.scale_x = x.scale, moments.scale_h = h.scale;
    for (int64_t panel = 0; panel < weights.panels.count; panel++) {
      float *at_x = gates + panel * panel_stride, *at_h = at_x + plane;
      Vec from_x[4], from_h[4], sum[4];
      UNROLL for (int v = 0; v < 4; v++) {
        from_x[v] = (load(at_x + v * W) - mean_x.at(panel)) * all(x.scale);
        from_h[v] = (load(at_h + v * W) - mean_h.at(panel)) * all(h.scale);
        if constexpr (kTraining) store(at_x + v * W, from_x[v]), store(at_h + v * W, from_h[v]);
      }
      add_norms(weights, panel, from_x, from_h, sum);
      const Vec next = fma(sigmoid(sum[1]), load(c + panel * W), sigmoid(sum[0]) * tanh(sum[2]));
      store(c + panel * W, next);
      store(o + panel * W, sigmoid(sum[3]));
      if constexpr (kTraining) store(saved_c + panel * W, next);
    }
  }

  // h', in place of the gate o.
  void output(const float *c, StepMoments &moments, float *h, float *y, float *saved_y) const {
    moments.c = moments_of<1>(c, W, weights);
    const Mean mean(moments.c.mean, weights);
    for (int64_t panel = 0; panel < weights.panels.count; panel++) {
      const int64_t unit = panel * W;
      const Vec normed = (load(c + unit) - mean.at(panel)) * all(moments.c.scale);
      const Vec next = load(h + unit) * tanh(fma(load(weights.gain_c + unit), normed, load(weights.bias_c + unit)));
      store(h + unit, next);
      store_up_to(y + unit, next, weights.panels.H - unit);
      if (kTraining && saved_y) store_up_to(saved_y + unit, next, weights.panels.H - unit);
    }
  }
};

// The backward of one step of one sequence.
struct LnLstmBackward {
  const NormWeights &weights;
  int64_t panel_stride, plane;
  float *scratch;  // (panel, 5 vectors)

  // Replaces the normalised products by the gradients of W_ih x and W_hh h. dh, dc: in: gradients of this step's h and
  // c; out: what flows directly to the previous ones. `sums` (panel, kNormVectors): the gradients of the gains and
  // biases are added to them.
  void run(float *gates, const float *c, const float *c_prev, const StepMoments &moments, float *dh, float *dc,
      float *sums) const {
    differentiate_output(gates, c, moments, dh, sums);
    differentiate_gates(gates, c, c_prev, moments, dc, sums);
  }

 private:
  // The gradient of a norm's argument is scale·(d - mean(d) - n·mean(d·n)), with d the gradient of its result n.
  struct NormGradient {
    Vec sum = all(0.0f), sum_of_products = all(0.0f);

    ALWAYS_INLINE void add(Vec d, Vec n) { sum = sum + d, sum_of_products = fma(d, n, sum_of_products); }
  };
  struct NormMeans {
    Mean d;
    Vec product, scale;

    NormMeans(const NormGradient &found, int vectors, float scale, const NormWeights &weights)
        : d(sum_of(found.sum) / float(vectors * weights.panels.H), weights),
          product(all(sum_of(found.sum_of_products) / float(vectors * weights.panels.H))),
          scale(all(scale)) {}
    ALWAYS_INLINE Vec gradient(int64_t panel, Vec d_n, Vec n) const {
      return scale * fnma(n, product, d_n - d.at(panel));
    }
  };

  static Vec load_normed(const float *c, int64_t panel, const Mean &mean, float scale) {
    return (load(c + panel * W) - mean.at(panel)) * all(scale);
  }

  ALWAYS_INLINE static void add_to(float *sum, Vec v) { store(sum, load(sum) + v); }

  // Through h' = o·tanh(norm(c')). Leaves i, f, g, the gradient of o's sum and that of norm(c') in `scratch`.
  void differentiate_output(
      const float *gates, const float *c, const StepMoments &moments, float *dh, float *sums) const {
    const Vec one = all(1.0f);
    const Mean mean(moments.c.mean, weights);
    for (int64_t panel = 0; panel < weights.panels.count; panel++) {
      const float *at_x = gates + panel * panel_stride, *at_h = at_x + plane;
      float *left = scratch + panel * 5 * W, *own = sums + panel * kNormVectors * W;
      Vec x[4], h[4], sum[4];
      UNROLL for (int v = 0; v < 4; v++) x[v] = load(at_x + v * W), h[v] = load(at_h + v * W);
      add_norms(weights, panel, x, h, sum);
      const Vec o = sigmoid(sum[3]), gain = load(weights.gain_c + panel * W), d = load(dh + panel * W);
      const Vec normed = load_normed(c, panel, mean, moments.c.scale);
      const Vec squashed = tanh(fma(gain, normed, load(weights.bias_c + panel * W)));
      const Vec d_sum = d * o * fnma(squashed, squashed, one);
      add_to(own + 12 * W, d_sum), add_to(own + 13 * W, d_sum * normed);
      store(left, sigmoid(sum[0])), store(left + W, sigmoid(sum[1])), store(left + 2 * W, tanh(sum[2]));
      store(left + 3 * W, d * squashed * (o * (one - o)));
      store(left + 4 * W, d_sum * gain);
      store(dh + panel * W, all(0.0f));
    }
  }

  // Through c' = f·c + i·g and the norms of the sums.
  void differentiate_gates(float *gates, const float *c, const float *c_prev, const StepMoments &moments, float *dc,
      float *sums) const {
    const Vec one = all(1.0f);
    const Mean mean(moments.c.mean, weights);
    NormGradient of_c, of_x, of_h;
    for (int64_t panel = 0; panel < weights.panels.count; panel++)
      of_c.add(load(scratch + (panel * 5 + 4) * W), load_normed(c, panel, mean, moments.c.scale));
    const NormMeans means_c(of_c, 1, moments.c.scale, weights);
    for (int64_t panel = 0; panel < weights.panels.count; panel++) {
      const float *at_x = gates + panel * panel_stride, *at_h = at_x + plane;
      float *left = scratch + panel * 5 * W, *own = sums + panel * kNormVectors * W;
      const Vec i = load(left), f = load(left + W), g = load(left + 2 * W);
      const Vec normed = load_normed(c, panel, mean, moments.c.scale);
      const Vec d = load(dc + panel * W) + means_c.gradient(panel, load(left + 4 * W), normed);
      const Vec d_sum[4] = {d * g * (i * (one - i)), d * load(c_prev + panel * W) * (f * (one - f)),
          d * i * fnma(g, g, one), load(left + 3 * W)};
      UNROLL for (int v = 0; v < 4; v++) {
        const int64_t vector = (panel * 4 + v) * W;
        const Vec x = load(at_x + v * W), h = load(at_h + v * W);
        add_to(own + v * W, d_sum[v]), add_to(own + (4 + v) * W, d_sum[v] * x), add_to(own + (8 + v) * W, d_sum[v] * h);
        of_x.add(d_sum[v] * load(weights.gain_ih + vector), x);
        of_h.add(d_sum[v] * load(weights.gain_hh + vector), h);
        store(left + v * W, d_sum[v]);
      }
      store(dc + panel * W, d * f);
    }
    const NormMeans means_x(of_x, 4, moments.scale_x, weights), means_h(of_h, 4, moments.scale_h, weights);
    for (int64_t panel = 0; panel < weights.panels.count; panel++) {
      float *at_x = gates + panel * panel_stride, *at_h = at_x + plane;
      UNROLL for (int v = 0; v < 4; v++) {
        const int64_t vector = (panel * 4 + v) * W;
        const Vec d = load(scratch + (panel * 5 + v) * W), x = load(at_x + v * W), h = load(at_h + v * W);
        store(at_x + v * W, means_x.gradient(panel, d * load(weights.gain_ih + vector), x));
        store(at_h + v * W, means_h.gradient(panel, d * load(weights.gain_hh + vector), h));
      }
    }
  }
};
