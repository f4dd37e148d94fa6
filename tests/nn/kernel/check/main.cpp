// Compares the kernel with plain loops in double precision, on machines where no Python runs: a cross compiler builds
// this program, and an emulator runs it (`make aarch64`). The exact gradients are central differences of the loops.
// Prints each comparison that fails, and the largest error; exits with status 1 if one fails.
#include "interface.h"
#include "stacks.h"
#include "tools.h"

namespace {

// ---- scans --------------------------------------------------------------------------------------------------------

const Integers kLengths = {3, 0, 5, 1};
constexpr int64_t kSteps = 9;

struct ScanCase {
  std::string name;
  int cell;
  int64_t G;

  // Of the weights of a direction.
  Integers sizes(int64_t D, int64_t H) const {
    Integers found = {G * H * D, G * H};
    if (cell == OSTINATO_RG_LRU) found.push_back(H);
    if (cell == OSTINATO_LRU) found.insert(found.end(), {H, H, H, 2 * H * H});
    return found;
  }
};

// The state of a unit after a step, from its sums s; `own` are the further weights. The second part is the LRU's.
void advance(int cell, const double *s, const double *const *own, int64_t u, double &h, double &imaginary) {
  if (cell == OSTINATO_RG_LRU) {
    const double a = std::pow(sigmoid(own[0][u]), 8 * sigmoid(s[0]));
    h = a * h + std::sqrt(1 - a * a) * sigmoid(s[1]) * s[2];
  } else if (cell == OSTINATO_LRU) {
    const double size = std::exp(-std::exp(own[0][u])), angle = std::exp(own[1][u]), gamma = std::exp(own[2][u]);
    const double real = size * (std::cos(angle) * h - std::sin(angle) * imaginary) + gamma * s[0];
    imaginary = size * (std::sin(angle) * h + std::cos(angle) * imaginary) + gamma * s[1];
    h = real;
  } else {
    const bool lstm = cell == OSTINATO_MIN_LSTM || cell == OSTINATO_MIN_LSTM_SIGNED;
    const bool is_signed = cell == OSTINATO_MIN_GRU_SIGNED || cell == OSTINATO_MIN_LSTM_SIGNED;
    const double take = lstm ? sigmoid(s[1]) / (sigmoid(s[0]) + sigmoid(s[1])) : sigmoid(s[0]);
    const double share = is_signed ? 2 * take : take, candidate = s[lstm ? 2 : 1];
    h = (1 - share) * h + share * (candidate >= 0 ? candidate + 0.5 : sigmoid(candidate));
  }
}

double gelu(double x) { return x / 2 * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

Numbers run_scan(const ScanCase &s, int64_t D, int64_t H, const Numbers &inputs) {
  Reader reader(inputs);
  const double *x = reader.take(kSteps * D);
  Numbers y(kSteps * 2 * H);
  for (int64_t d = 0; d < 2; d++) {
    std::vector<const double *> w;
    for (int64_t count : s.sizes(D, H)) w.push_back(reader.take(count));
    for (size_t b = 0, offset = 0; b < kLengths.size(); offset += kLengths[b++]) {
      Numbers h(2 * H);
      for (int64_t t = 0; t < kLengths[b]; t++) {
        const int64_t step = offset + (d ? kLengths[b] - 1 - t : t);
        const Numbers sums = affine(w[0], w[1], x + step * D, D, s.G * H);
        for (int64_t u = 0; u < H; u++) {
          const double of_unit[3] = {sums[u], sums[H + u], s.G > 2 ? sums[2 * H + u] : 0};
          advance(s.cell, of_unit, w.data() + 2, u, h[u], h[H + u]);
        }
        for (int64_t u = 0; u < H; u++) {
          double &to = y[(step * 2 + d) * H + u];
          to = h[u];
          if (s.cell == OSTINATO_LRU) to = gelu(std::inner_product(h.begin(), h.end(), w[5] + 2 * H * u, 0.0));
        }
      }
    }
  }
  return y;
}

void check_scan(const ScanCase &s) {
  const int64_t D = 5, H = 19;
  Random random(9);
  std::vector<Floats> inputs = {random.floats(kSteps * D)};
  for (int64_t d = 0; d < 2; d++)
    for (int64_t count : s.sizes(D, H)) inputs.push_back(random.floats(count));
  const Floats upstream = random.floats(kSteps * 2 * H);
  std::vector<const float *> weights;
  for (size_t k = 1; k < inputs.size(); k++) weights.push_back(inputs[k].data());
  Floats y(kSteps * 2 * H), sums(kSteps * 2 * s.G * 32), states(kSteps * 4 * H);
  const OstinatoScan scan = {s.cell, 2, int64_t(kLengths.size()), kSteps, D, H, kLengths.data(), inputs[0].data(),
      weights.data(), y.data(), sums.data(), nullptr, states.data()};
  check(ostinato_scan(&scan, 1) == OSTINATO_OK, s.name + ", status");
  compare(s.name + ", outputs", y, run_scan(s, D, H, joined(inputs)));
  std::vector<Floats> d = shaped_like(inputs);
  std::vector<float *> dweights;
  for (size_t k = 1; k < d.size(); k++) dweights.push_back(d[k].data());
  const OstinatoScanGradients gradients = {upstream.data(), d[0].data(), dweights.data()};
  check(ostinato_scan_backward(&scan, &gradients, 1) == OSTINATO_OK, s.name + ", status of backward");
  const auto loss = [&](const Numbers &at) { return dot(run_scan(s, D, H, at), upstream); };
  compare(s.name + ", gradients", joined(d), differentiate(loss, joined(inputs)));
}

void check_scans() {
  check_scan({"mingru", OSTINATO_MIN_GRU, 2});
  check_scan({"minlstm", OSTINATO_MIN_LSTM, 3});
  check_scan({"mingru_signed", OSTINATO_MIN_GRU_SIGNED, 2});
  check_scan({"minlstm_signed", OSTINATO_MIN_LSTM_SIGNED, 3});
  check_scan({"rglru", OSTINATO_RG_LRU, 3});
  check_scan({"lru", OSTINATO_LRU, 2});
}

// ---- attention, linear maps ---------------------------------------------------------------------------------------

Numbers run_attention(int64_t H, const Numbers &inputs) {
  Reader reader(inputs);
  const double *h = reader.take(kSteps * H), *project = reader.take(H * H), *bias = reader.take(H), *v = reader.take(H);
  Numbers out(kLengths.size() * H);
  for (size_t b = 0, offset = 0; b < kLengths.size(); offset += kLengths[b++]) {
    double total = 0;
    for (int64_t t = 0; t < kLengths[b]; t++) {
      const double *step = h + (offset + t) * H;
      double score = 0;
      const Numbers sums = affine(project, bias, step, H, H);
      for (int64_t u = 0; u < H; u++) score += v[u] * std::tanh(sums[u]);
      total += std::exp(score);
      for (int64_t u = 0; u < H; u++) out[b * H + u] += std::exp(score) * step[u];
    }
    for (int64_t u = 0; u < H && total > 0; u++) out[b * H + u] /= total;
  }
  return out;
}

void check_attention() {
  const int64_t H = 21, B = int64_t(kLengths.size());
  Random random(10);
  const std::vector<Floats> inputs = {
      random.floats(kSteps * H), random.floats(H * H, 0.3f), random.floats(H), random.floats(H)};
  const Floats upstream = random.floats(B * H);
  Floats out(B * H), a(kSteps), u(kSteps * 32);
  const OstinatoAttention attention = {B, kSteps, H, kLengths.data(), inputs[0].data(), inputs[1].data(),
      inputs[2].data(), inputs[3].data(), out.data(), a.data(), u.data(), nullptr};
  check(ostinato_attend(&attention, 1) == OSTINATO_OK, "attention, status");
  compare("attention, outputs", out, run_attention(H, joined(inputs)));
  std::vector<Floats> d = shaped_like(inputs);
  const OstinatoAttentionGradients gradients = {upstream.data(), d[0].data(), d[1].data(), d[2].data(), d[3].data()};
  check(ostinato_attend_backward(&attention, &gradients, 1) == OSTINATO_OK, "attention, status of backward");
  const auto loss = [&](const Numbers &at) { return dot(run_attention(H, at), upstream); };
  compare("attention, gradients", joined(d), differentiate(loss, joined(inputs)));
}

void check_linear() {
  const int64_t rows = 37, in = 33, out = 70;
  Random random(11);
  const Floats x = random.floats(rows * in), weight = random.floats(out * in), bias = random.floats(out);
  const Numbers inputs = joined({x, weight, bias});
  Numbers exact;
  for (int64_t row = 0; row < rows; row++) {
    const Numbers y = affine(&inputs[rows * in], &inputs[rows * in + out * in], &inputs[row * in], in, out);
    exact.insert(exact.end(), y.begin(), y.end());
  }
  Floats all(rows * out), last(out);
  const float *last_x = &x[(rows - 1) * in];
  check(!ostinato_linear(x.data(), weight.data(), bias.data(), all.data(), rows, in, out, 1), "linear, status");
  check(!ostinato_linear(last_x, weight.data(), bias.data(), last.data(), 1, in, out, 1), "linear of a row, status");
  compare("linear, outputs", all, exact);
  check(std::equal(last.begin(), last.end(), all.end() - out), "linear: a row alone has the same bits");
}

// ---- conditional random fields, by listing all sequences of tags ----------------------------------------------------

constexpr int64_t kTags = 5;

struct Paths {
  Numbers log_likelihood, marginals;
  Integers best;
};

Paths list_paths(const Integers &tags, const Numbers &inputs) {
  Reader reader(inputs);
  const double *emissions = reader.take(kSteps * kTags), *start = reader.take(kTags);
  const double *transitions = reader.take(kTags * kTags), *end = reader.take(kTags);
  Paths result = {{}, Numbers(kSteps * kTags), Integers(kSteps)};
  for (size_t b = 0, offset = 0; b < kLengths.size(); offset += kLengths[b++]) {
    const int64_t T = kLengths[b];
    double total = 0, own = 0, highest = -INFINITY;
    Numbers shares(T * kTags);
    for (int64_t path = 0; path < std::pow(kTags, T) && T > 0; path++) {
      Integers y(T);
      for (int64_t t = T, rest = path; t-- > 0; rest /= kTags) y[t] = rest % kTags;
      double score = start[y[0]] + end[y[T - 1]];
      for (int64_t t = 0; t < T; t++) score += emissions[(offset + t) * kTags + y[t]];
      for (int64_t t = 1; t < T; t++) score += transitions[y[t - 1] * kTags + y[t]];
      total += std::exp(score);
      for (int64_t t = 0; t < T; t++) shares[t * kTags + y[t]] += std::exp(score);
      if (std::equal(y.begin(), y.end(), tags.begin() + offset)) own = score;
      if (score > highest) highest = score, std::copy(y.begin(), y.end(), result.best.begin() + offset);
    }
    result.log_likelihood.push_back(T ? own - std::log(total) : 0);
    for (int64_t k = 0; k < T * kTags; k++) result.marginals[offset * kTags + k] = shares[k] / total;
  }
  return result;
}

void check_crf() {
  Random random(12);
  const int64_t B = int64_t(kLengths.size());
  const std::vector<Floats> inputs = {random.floats(kSteps * kTags, 2), random.floats(kTags),
      random.floats(kTags * kTags, 2), random.floats(kTags)};
  const Integers tags = random.integers(kSteps, kTags);
  const Floats upstream = random.floats(B);
  const Paths exact = list_paths(tags, joined(inputs));
  Floats likelihood(B), marginals(kSteps * kTags), saved(kSteps * 33);  // tags padded to 16 lanes
  Integers best(kSteps);
  const OstinatoCrf crf = {B, kSteps, kTags, kLengths.data(), inputs[0].data(), inputs[1].data(), inputs[2].data(),
      inputs[3].data(), tags.data(), saved.data()};
  check(ostinato_crf(&crf, likelihood.data(), 1) == OSTINATO_OK, "crf, status");
  compare("crf, log-likelihood", likelihood, exact.log_likelihood);
  std::vector<Floats> d = shaped_like(inputs);
  const OstinatoCrfGradients to = {upstream.data(), d[0].data(), d[1].data(), d[2].data(), d[3].data()};
  check(ostinato_crf_backward(&crf, &to, 1) == OSTINATO_OK, "crf, status of backward");
  const auto loss = [&](const Numbers &at) { return dot(list_paths(tags, at).log_likelihood, upstream); };
  compare("crf, gradients", joined(d), differentiate(loss, joined(inputs)));
  check(ostinato_crf_marginals(&crf, marginals.data(), 1) == OSTINATO_OK, "crf, status of marginals");
  compare("crf, marginals", marginals, exact.marginals);
  check(ostinato_crf_decode(&crf, best.data(), 1) == OSTINATO_OK, "crf, status of decode");
  check(best == exact.best, "crf: the best of all sequences");
}

// ---- the softmax loss over candidates -----------------------------------------------------------------------------

constexpr int64_t kRows = 6, kSize = 10, kCandidates = 37, kTokens = 8;

Numbers losses_of(const Integers &targets, const Integers &left_out, const Numbers &inputs) {
  Reader reader(inputs);
  const double *x = reader.take(kRows * kSize), *weight = reader.take(kCandidates * kSize);
  const double *bias = reader.take(kCandidates);
  const double *table = reader.take(kTokens * kSize), *table_bias = reader.take(kTokens);
  Numbers losses;
  for (int64_t row = 0; row < kRows; row++, x += kSize) {
    const double own = affine(table + targets[row] * kSize, table_bias + targets[row], x, kSize, 1)[0];
    const Numbers logits = affine(weight, bias, x, kSize, kCandidates);
    double total = std::exp(own);
    for (int64_t c = 0; c < kCandidates; c++) total += c == left_out[row] ? 0 : std::exp(logits[c]);
    losses.push_back(std::log(total) - own);
  }
  return losses;
}

void check_softmax() {
  Random random(13);
  const std::vector<Floats> inputs = {random.floats(kRows * kSize), random.floats(kCandidates * kSize),
      random.floats(kCandidates), random.floats(kTokens * kSize), random.floats(kTokens)};
  const Integers targets = random.integers(kRows, kTokens), left_out = {-1, 3, 36, -1, 0, 17};
  Floats losses(kRows), d_positive(kRows), dx(kRows * kSize), dw(kCandidates * kSize), db(kCandidates);
  const OstinatoSoftmax softmax = {kRows, kSize, kCandidates, kTokens, inputs[0].data(), inputs[1].data(),
      inputs[2].data(), inputs[3].data(), inputs[4].data(), targets.data(), left_out.data(), losses.data(),
      d_positive.data(), dx.data(), dw.data(), db.data()};
  check(ostinato_softmax(&softmax, 1) == OSTINATO_OK, "softmax, status");
  const Numbers exact = losses_of(targets, left_out, joined(inputs));
  compare("softmax, losses", losses, exact);
  const auto sum = [&](const Numbers &at) {
    const Numbers all = losses_of(targets, left_out, at);
    return std::accumulate(all.begin(), all.end(), 0.0);
  };
  Numbers gradient = differentiate(sum, joined(inputs));
  gradient.resize(kRows * kSize + kCandidates * kSize + kCandidates);  // the table's is the caller's work
  compare("softmax, gradients", joined({dx, dw, db}), gradient);
  Numbers exact_positive;
  for (double loss : exact) exact_positive.push_back(std::exp(-loss) - 1);
  compare("softmax, gradients of targets", d_positive, exact_positive);
}

// ---- the caller's machine -----------------------------------------------------------------------------------------

void check_refusals() {
  Integers wrong = kLengths;
  wrong[0]++;
  OstinatoScan scan = {};
  scan.batch_size = int64_t(wrong.size()), scan.num_steps = kSteps, scan.lengths = wrong.data();
  check(ostinato_scan(&scan, 1) == OSTINATO_BAD_LENGTH, "lengths that do not add up are refused");
  const int64_t ids[] = {0, 5};
  OstinatoStack stack = {};
  stack.batch_size = 1, stack.num_steps = stack.padded_length = 2, stack.order = OSTINATO_BATCH_FIRST;
  stack.ids = ids, stack.table_rows = 5;
  check(ostinato_forward(&stack) == OSTINATO_ID_OUT_OF_RANGE, "ids outside the table are refused");
}

void check_denormals() {
  volatile float small = 1e-38f;
  check(small * 0.1f > 0.0f, "the caller's thread computes denormal numbers after calls");
}

}  // namespace

int main() {
  check_stacks();
  check_scans();
  check_attention();
  check_linear();
  check_crf();
  check_softmax();
  check_refusals();
  check_denormals();
  std::printf("%s: %d of %d comparisons failed; largest relative error %.1e\n", ostinato_variant(), failures,
      comparisons, largest);
  return failures > 0;
}
