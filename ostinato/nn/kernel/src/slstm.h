// xLSTM's cell with scalar memory: i = e^ĩ, f = sigmoid, z = tanh, o = sigmoid;
//   c' = f·c + i·z; n' = f·n + i; h' = o·c'/n'
// Its units are divided into heads. The states hold c and n divided by e^m, with m' = max(log f + m, ĩ) and only ĩ before
// the first step, where n = 0. As h does not depend on m, backward takes m as a constant.
// Source: Beck et al. 2024, section 2.2. Included inside a variant's namespace.

// The cell states are c, n and m. Saved: i and f, divided by e^(m' - m); z, o, 1 - sigmoid(f); c and n.
struct Slstm {
  static constexpr int kVectors = 5, kInput = 0, kInputVectors = 4, kHidden = 0, kHiddenVectors = 4, kUnitVectors = 1;
  static constexpr int kCells = 3, kSavedCells = 2, kHeads = 4, kWeights = 3;
  static constexpr bool kSeparateHiddenBias = false, kNorm = false;
  static int gate(int vector) { return vector; }  // i f z o

  template <bool kTraining> ALWAYS_INLINE static void finish(
      const Vec (&sum)[4], float *gates, const float *, float *cells, float *saved_cells, Vec (&h)[1]) {
    const Vec zero = all(0.0f), c = load(cells), n = load(cells + W), m = load(cells + 2 * W);
    const Vec log_i = sum[0], log_f = log_sigmoid(sum[1]) + m;
    const Vec next_m = where_greater(n, zero, max(log_f, log_i), log_i);
    const Vec i = exp(log_i - next_m), f = where_greater(n, zero, exp(log_f - next_m), n);  // NaN stays NaN
    const Vec z = tanh(sum[2]), o = sigmoid(sum[3]);
    const Vec next_c = fma(f, c, i * z), next_n = fma(f, n, i);
    h[0] = o * (next_c / next_n);
    store(cells, next_c), store(cells + W, next_n), store(cells + 2 * W, next_m);
    if constexpr (kTraining) {
      store(saved_cells, next_c), store(saved_cells + W, next_n);
      store(gates, i), store(gates + W, f), store(gates + 2 * W, z), store(gates + 3 * W, o);
      store(gates + 4 * W, sigmoid(zero - sum[1]));
    }
  }

  ALWAYS_INLINE static void backward(const Backward &s) {
    const Vec one = all(1.0f), i = load(s.gates), f = load(s.gates + W), z = load(s.gates + 2 * W),
              o = load(s.gates + 3 * W), forgets = load(s.gates + 4 * W);
    const Vec n = load(s.c + W), ratio = load(s.c) / n;
    const Vec dh = load(s.dh), share = dh * o / n;
    const Vec dc = load(s.dc) + share, dn = load(s.dc + W) - share * ratio;
    store(s.gates, i * fma(dc, z, dn));
    store(s.gates + W, f * fma(dc, load(s.c_prev), dn * load(s.c_prev + W)) * forgets);
    store(s.gates + 2 * W, dc * i * fnma(z, z, one));
    store(s.gates + 3 * W, dh * ratio * (o * (one - o)));
    store(s.dc, dc * f), store(s.dc + W, dn * f);
    store(s.dh, all(0.0f));
  }
};
