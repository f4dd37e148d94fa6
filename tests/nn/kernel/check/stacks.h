// Stacks of recurrent layers: the four cells, directions, layers, orders of rows, ids, initial states, threads.
#pragma once
#include "interface.h"
#include "tools.h"

struct StackCase {
  std::string name;
  int cell, layers, directions, order;
  int64_t D, H, table_rows;  // table_rows: 0 without ids
  bool states;
  Integers lengths;

  int64_t B() const { return int64_t(lengths.size()); }
  int64_t N() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t(0)); }
  int64_t T() const { return order == OSTINATO_RAGGED ? 0 : *std::max_element(lengths.begin(), lengths.end()) + 2; }
  int64_t rows() const { return order == OSTINATO_RAGGED ? N() : B() * T(); }
  int64_t gates() const { return cell == OSTINATO_LSTM ? 4 : cell == OSTINATO_GRU ? 3 : 1; }
  int64_t state() const { return layers * directions * B() * H; }
  int64_t row(int64_t b, int64_t t, int64_t step) const {
    return order == OSTINATO_RAGGED ? step : order == OSTINATO_BATCH_FIRST ? b * T() + t : t * B() + b;
  }
};

inline void advance(int cell, const Numbers &in, const Numbers &rec, Numbers &h, Numbers &c) {
  const size_t H = h.size();
  for (size_t u = 0; u < H; u++) {
    const auto sum = [&](size_t gate) { return in[gate * H + u] + rec[gate * H + u]; };
    if (cell == OSTINATO_RNN_TANH) h[u] = std::tanh(sum(0));
    if (cell == OSTINATO_RNN_RELU) h[u] = std::max(sum(0), 0.0);
    if (cell == OSTINATO_LSTM) {
      c[u] = sigmoid(sum(1)) * c[u] + sigmoid(sum(0)) * std::tanh(sum(2));
      h[u] = sigmoid(sum(3)) * std::tanh(c[u]);
    }
    if (cell == OSTINATO_GRU) {
      const double n = std::tanh(in[2 * H + u] + sigmoid(sum(0)) * rec[2 * H + u]), z = sigmoid(sum(1));
      h[u] = (1 - z) * n + z * h[u];
    }
  }
}

// y of all steps, then h_n, then c_n of an LSTM.
inline Numbers run_stack(const StackCase &s, const Integers &ids, const Numbers &inputs) {
  Reader reader(inputs);
  const int64_t N = s.N(), B = s.B(), H = s.H, width = s.directions * H;
  const double *x = reader.take((s.table_rows ? s.table_rows : N) * s.D);
  std::vector<const double *> weights;
  for (int64_t k = 0, size = s.D; k < s.layers * s.directions; k++, size = k < s.directions ? s.D : width)
    for (int64_t count : {size * s.gates() * H, H * s.gates() * H, s.gates() * H, s.gates() * H})
      weights.push_back(reader.take(count));
  const double *h0 = s.states ? reader.take(s.state()) : nullptr;
  const double *c0 = s.states && s.cell == OSTINATO_LSTM ? reader.take(s.state()) : nullptr;
  Numbers below, hn, cn;
  for (int64_t n = 0; n < N; n++) {
    const double *from = x + (ids.empty() ? n : ids[n]) * s.D;
    below.insert(below.end(), from, from + s.D);
  }
  for (int64_t k = 0, size = s.D; k < s.layers; k++, size = width) {
    Numbers y(N * width);
    for (int64_t d = 0; d < s.directions; d++) {
      const double *const *w = &weights[(k * s.directions + d) * 4];
      for (int64_t b = 0, offset = 0; b < B; offset += s.lengths[b++]) {
        const int64_t at = ((k * s.directions + d) * B + b) * H;
        Numbers h = h0 ? Numbers(h0 + at, h0 + at + H) : Numbers(H);
        Numbers c = c0 ? Numbers(c0 + at, c0 + at + H) : Numbers(H);
        for (int64_t t = 0; t < s.lengths[b]; t++) {
          const int64_t step = offset + (d ? s.lengths[b] - 1 - t : t);
          const Numbers in = affine(w[0], w[2], &below[step * size], size, s.gates() * H);
          advance(s.cell, in, affine(w[1], w[3], h.data(), H, s.gates() * H), h, c);
          std::copy(h.begin(), h.end(), &y[step * width + d * H]);
        }
        hn.insert(hn.end(), h.begin(), h.end());
        cn.insert(cn.end(), c.begin(), c.end());
      }
    }
    below = y;
  }
  below.insert(below.end(), hn.begin(), hn.end());
  if (s.cell == OSTINATO_LSTM) below.insert(below.end(), cn.begin(), cn.end());
  return below;
}

inline std::vector<Floats> draw_stack(const StackCase &s, Random &random) {
  const int64_t G = s.gates() * s.H;
  const float bound = 0.5f / std::sqrt(float(std::max(s.H, s.D)));
  std::vector<Floats> inputs = {random.floats((s.table_rows ? s.table_rows : s.N()) * s.D)};
  for (int64_t k = 0; k < s.layers * s.directions; k++) {
    const int64_t size = k < s.directions ? s.D : s.directions * s.H;
    for (int64_t count : {G * size, G * s.H, G, G}) inputs.push_back(random.floats(count, bound));
  }
  for (int k = 0; s.states && k < (s.cell == OSTINATO_LSTM ? 2 : 1); k++) inputs.push_back(random.floats(s.state()));
  return inputs;
}

// Between the rows of steps and those of the caller's matrices; what is not a step becomes `rest`.
inline Floats spread(const StackCase &s, const Floats &steps, int64_t width, float rest) {
  Floats rows(s.rows() * width, rest);
  for (int64_t b = 0, step = 0; b < s.B(); b++)
    for (int64_t t = 0; t < s.lengths[b]; t++, step++)
      std::copy_n(&steps[step * width], width, &rows[s.row(b, t, step) * width]);
  return rows;
}

inline Floats gathered(const StackCase &s, const Floats &rows, int64_t width) {
  Floats steps(s.N() * width);
  for (int64_t b = 0, step = 0; b < s.B(); b++)
    for (int64_t t = 0; t < s.lengths[b]; t++, step++)
      std::copy_n(&rows[s.row(b, t, step) * width], width, &steps[step * width]);
  return steps;
}

struct Answer {
  Numbers outputs, gradients;
};

inline Answer run_kernel(const StackCase &s, const Integers &ids, const std::vector<Floats> &inputs,
    const Floats &upstream, int threads) {
  const bool lstm = s.cell == OSTINATO_LSTM;
  const int64_t width = s.directions * s.H, count = 4 * s.layers * s.directions;
  const Floats x = s.table_rows ? inputs[0] : spread(s, inputs[0], s.D, NAN);
  std::vector<const float *> weights;
  for (int64_t k = 1; k <= count; k++) weights.push_back(inputs[k].data());
  const float *h0 = s.states ? inputs[count + 1].data() : nullptr;
  const float *c0 = s.states && lstm ? inputs[count + 2].data() : nullptr;
  Floats y(s.rows() * width), hn(s.state()), cn(s.state());
  OstinatoStack stack = {s.cell, s.layers, s.directions, s.order, threads, 1, OSTINATO_FLOAT32, s.B(), s.N(), s.T(),
      s.D, s.H, s.table_rows, s.lengths.data(), ids.empty() ? nullptr : ids.data(), x.data(), weights.data(), h0, c0,
      y.data(), hn.data(), lstm ? cn.data() : nullptr, nullptr};
  Floats memory(ostinato_saved_floats(&stack) + 16);
  stack.saved = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) / sizeof(float) % 16;
  check(ostinato_forward(&stack) == OSTINATO_OK, s.name + ", status of forward");

  std::vector<Floats> d = shaped_like(inputs);
  const auto part = upstream.begin() + s.N() * width;
  const Floats dy = spread(s, Floats(upstream.begin(), part), width, NAN), dhn(part, part + s.state());
  const Floats dcn = lstm ? Floats(part + s.state(), upstream.end()) : Floats();
  Floats dx(x.size());
  std::vector<float *> dweights;
  for (int64_t k = 1; k <= count; k++) dweights.push_back(d[k].data());
  const OstinatoGradients gradients = {dy.data(), dhn.data(), lstm ? dcn.data() : nullptr, dx.data(), dweights.data(),
      h0 ? d[count + 1].data() : nullptr, c0 ? d[count + 2].data() : nullptr};
  check(ostinato_backward(&stack, &gradients) == OSTINATO_OK, s.name + ", status of backward");
  d[0] = s.table_rows ? dx : gathered(s, dx, s.D);
  if (!lstm) cn.clear();
  return {joined({gathered(s, y, width), hn, cn}), joined(d)};
}

inline void check_stack(const StackCase &s) {
  Random random(7);
  const std::vector<Floats> inputs = draw_stack(s, random);
  const Integers ids = s.table_rows ? random.integers(s.N(), s.table_rows) : Integers();
  const Numbers exact = run_stack(s, ids, joined(inputs));
  const Floats upstream = random.floats(int64_t(exact.size()));
  const Answer ours = run_kernel(s, ids, inputs, upstream, 1);
  compare(s.name + ", outputs", ours.outputs, exact);
  const auto loss = [&](const Numbers &at) { return dot(run_stack(s, ids, at), upstream); };
  compare(s.name + ", gradients", ours.gradients, differentiate(loss, joined(inputs)));
}

inline void check_threads(const StackCase &s) {
  Random random(8);
  const std::vector<Floats> inputs = draw_stack(s, random);
  const Floats upstream = random.floats(s.N() * s.directions * s.H + 2 * s.state());
  const Answer one = run_kernel(s, {}, inputs, upstream, 1), three = run_kernel(s, {}, inputs, upstream, 3);
  compare(s.name + ", outputs", one.outputs, run_stack(s, {}, joined(inputs)));
  check(one.outputs == three.outputs && one.gradients == three.gradients, s.name + ": the bits of one thread");
}

inline void check_stacks() {
  const Integers lengths = {4, 1, 0, 6, 3};
  const char *const names[] = {"rnn_tanh", "rnn_relu", "lstm", "gru"};
  for (int cell = OSTINATO_RNN_TANH; cell <= OSTINATO_GRU; cell++) {
    const std::string name = names[cell];
    check_stack({name + " bidirectional", cell, 2, 2, OSTINATO_RAGGED, 5, 9, 0, true, lengths});
    check_stack({name + " with ids", cell, 1, 1, OSTINATO_RAGGED, 6, 21, 7, false, lengths});
    check_stack({name + " batch first", cell, 1, 2, OSTINATO_BATCH_FIRST, 3, 16, 0, false, lengths});
    check_stack({name + " time first", cell, 1, 1, OSTINATO_TIME_FIRST, 3, 4, 0, true, lengths});
    check_threads({name + " on threads", cell, 2, 2, OSTINATO_RAGGED, 24, 64, 0, true, {31, 64, 5, 0, 90, 17, 1}});
  }
}
