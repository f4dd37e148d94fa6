// The cells: one step of each recurrence and its backward, for one vector of units of one sequence.
// Included inside a variant's namespace.
//
// Weights are cut into panels of units, so that a unit's gates are finished while they are still in registers. A step
// has `kVectors` vectors per panel. They hold first the input projection, then the gates and, after backward, the
// gradients of the gates before their nonlinearity. The input writes (and its weights' gradient reads) the vectors
// [kInput, kInput + kInputVectors), the previous state [kHidden, kHidden + kHiddenVectors). A cell has `kCells` states
// besides h, of which training saves the first `kSavedCells`. Its units read the h of their own head alone, and each
// direction has `kWeights` tensors.

struct Backward {       // what backward of one step reads and writes, at the panel's units
  float *gates;         // in: gates; out: their gradients
  const float *h_prev;  // (the last vector of a row may have fewer floats: `count`)
  const float *c, *c_prev;  // saved cell states
  float *dh, *dc;       // in: gradients of this step's h and c; out: what flows directly to the previous ones
  int count;
};

// i, f, o = sigmoid; g = tanh; c' = f·c + i·g; h' = o·tanh c'
struct Lstm {
  static constexpr int kVectors = 4, kInput = 0, kInputVectors = 4, kHidden = 0, kHiddenVectors = 4, kUnitVectors = 1;
  static constexpr int kCells = 1, kSavedCells = 1, kHeads = 1, kWeights = 4;
  static constexpr bool kSeparateHiddenBias = false, kNorm = false;
  static int gate(int vector) { return vector; }  // torch's order: i f g o

  template <bool kTraining> ALWAYS_INLINE static void finish(
      const Vec (&sum)[4], float *gates, const float *, float *c, float *saved_c, Vec (&h)[1]) {
    const Vec i = sigmoid(sum[0]), f = sigmoid(sum[1]), g = tanh(sum[2]), o = sigmoid(sum[3]);
    const Vec next = fma(f, load(c), i * g);
    h[0] = o * tanh(next);
    store(c, next);
    if constexpr (kTraining) {
      store(saved_c, next);
      store(gates, i), store(gates + W, f), store(gates + 2 * W, g), store(gates + 3 * W, o);
    }
  }

  ALWAYS_INLINE static void backward(const Backward &s) {
    const Vec one = all(1.0f), i = load(s.gates), f = load(s.gates + W), g = load(s.gates + 2 * W),
              o = load(s.gates + 3 * W);
    const Vec dh = load(s.dh), tanh_c = tanh(load(s.c));
    const Vec dc = fma(dh * o, fnma(tanh_c, tanh_c, one), load(s.dc));
    store(s.gates, dc * g * (i * (one - i)));
    store(s.gates + W, dc * load(s.c_prev) * (f * (one - f)));
    store(s.gates + 2 * W, dc * i * fnma(g, g, one));
    store(s.gates + 3 * W, dh * tanh_c * (o * (one - o)));
    store(s.dc, dc * f);
    store(s.dh, all(0.0f));
  }
};

// r, z = sigmoid; n = tanh(x_n + r·h_n); h' = (1 - z)·n + z·h. Saved: n (at first its input part), r, z, h_n.
struct Gru {
  static constexpr int kVectors = 4, kInput = 0, kInputVectors = 3, kHidden = 1, kHiddenVectors = 3, kUnitVectors = 1;
  static constexpr int kCells = 0, kSavedCells = 0, kHeads = 1, kWeights = 4;
  static constexpr bool kNorm = false;
  static constexpr bool kSeparateHiddenBias = true;                      // r multiplies h_n including its bias
  static int gate(int vector) { return vector == 0 ? 2 : vector - 1; }   // torch's order: r z n

  template <bool kTraining> ALWAYS_INLINE static void finish(
      const Vec (&sum)[3], float *gates, const float *h_prev, float *, float *, Vec (&h)[1]) {
    const Vec r = sigmoid(sum[0]), z = sigmoid(sum[1]), n = tanh(fma(r, sum[2], load(gates)));
    h[0] = fma(z, load(h_prev) - n, n);
    if constexpr (kTraining) {
      store(gates, n), store(gates + W, r), store(gates + 2 * W, z), store(gates + 3 * W, sum[2]);
    }
  }

  ALWAYS_INLINE static void backward(const Backward &s) {
    const Vec one = all(1.0f), n = load(s.gates), r = load(s.gates + W), z = load(s.gates + 2 * W),
              h_n = load(s.gates + 3 * W);
    const Vec dh = load(s.dh), h_prev = s.count >= W ? load(s.h_prev) : load_first(s.h_prev, s.count);
    const Vec dn = dh * (one - z) * fnma(n, n, one);
    store(s.gates, dn);
    store(s.gates + W, dn * h_n * (r * (one - r)));
    store(s.gates + 2 * W, dh * (h_prev - n) * (z * (one - z)));
    store(s.gates + 3 * W, dn * r);
    store(s.dh, dh * z);
  }
};

struct Tanh {
  ALWAYS_INLINE static Vec value(Vec x) { return tanh(x); }
  ALWAYS_INLINE static Vec backward(Vec h, Vec dh) { return dh * fnma(h, h, all(1.0f)); }
};

struct Relu {
  ALWAYS_INLINE static Vec value(Vec x) { return max(all(0.0f), x); }  // NaN stays NaN
  ALWAYS_INLINE static Vec backward(Vec h, Vec dh) { return where_greater(h, all(0.0f), dh, all(0.0f)); }
};

// h' = tanh(sum) or relu(sum). Saved: h. With one gate, a panel can be several vectors of units wide.
template <class Nonlinearity, int kWidth> struct Rnn {
  static constexpr int kVectors = kWidth, kInput = 0, kInputVectors = kWidth, kHidden = 0, kHiddenVectors = kWidth,
                       kUnitVectors = kWidth;
  static constexpr int kCells = 0, kSavedCells = 0, kHeads = 1, kWeights = 4;
  static constexpr bool kSeparateHiddenBias = false, kNorm = false;
  static int gate(int) { return 0; }

  template <bool kTraining> ALWAYS_INLINE static void finish(
      const Vec (&sum)[kWidth], float *gates, const float *, float *, float *, Vec (&h)[kWidth]) {
    UNROLL for (int u = 0; u < kWidth; u++) {
      h[u] = Nonlinearity::value(sum[u]);
      if constexpr (kTraining) store(gates + u * W, h[u]);
    }
  }

  ALWAYS_INLINE static void backward(const Backward &s) {
    UNROLL for (int u = 0; u < kWidth; u++) {
      store(s.gates + u * W, Nonlinearity::backward(load(s.gates + u * W), load(s.dh + u * W)));
      store(s.dh + u * W, all(0.0f));
    }
  }
};

// ---- the cell of a stack ------------------------------------------------------------------------------------------

template <class Nonlinearity, class F> void with_rnn(int64_t H, F f) {
  switch (std::min((H + W - 1) / W, int64_t(4))) {
    case 1: return f(Rnn<Nonlinearity, 1>());
    case 2: return f(Rnn<Nonlinearity, 2>());
    case 3: return f(Rnn<Nonlinearity, 3>());
    default: return f(Rnn<Nonlinearity, 4>());
  }
}

// Calls f with the cell of a stack.
template <class F> void with_cell(const OstinatoStack &stack, F f) {
  switch (stack.cell) {
    case OSTINATO_LSTM: return f(Lstm());
    case OSTINATO_GRU: return f(Gru());
    case OSTINATO_RNN_RELU: return with_rnn<Relu>(stack.hidden_size, f);
    default: return with_rnn<Tanh>(stack.hidden_size, f);
  }
}
