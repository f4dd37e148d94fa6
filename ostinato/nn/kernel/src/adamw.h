// A step of AdamW with clipped gradients, in parts of a fixed size: bits do not depend on the number of workers.
// Source: Loshchilov & Hutter 2019, algorithm 2, with the learning rate in front of the decay, as in torch.
// Included inside a variant's namespace.

struct TensorPart {
  int64_t tensor, first, end;
};

constexpr int64_t kFloatsOfAPart = 1 << 14, kFloatsWorthThreads = 1 << 18;

// The parts of all tensors.
struct TensorParts {
  TensorPart *parts;
  int64_t count = 0, floats = 0;

  TensorParts(int64_t tensors, const int64_t *sizes, Arena &arena) {
    int64_t most = 0;
    for (int64_t k = 0; k < tensors; k++) most += (sizes[k] + kFloatsOfAPart - 1) / kFloatsOfAPart;
    parts = arena.take<TensorPart>(most);
    for (int64_t k = 0; k < tensors; floats += sizes[k++]) {
      for (int64_t first = 0; first < sizes[k]; first += kFloatsOfAPart)
        parts[count++] = {k, first, std::min(first + kFloatsOfAPart, sizes[k])};
    }
  }

  template <class Job> void run(const Job &job, int threads) const {
    Stage stage = stage_of(job, count);
    run_stages(&stage, 1, floats < kFloatsWorthThreads ? 1 : threads);
  }
};

struct NormJob {
  const float *const *gradients;
  const TensorPart *parts;
  double *sums;  // of the squares of a part

  void run(int64_t task) const {
    const TensorPart &part = parts[task];
    constexpr int V = 4;
    Vec sum[V];
    UNROLL for (int v = 0; v < V; v++) sum[v] = all(0.0f);
    for (int64_t n = part.first; n < part.end; n += V * W) {
      UNROLL for (int v = 0; v < V; v++) {
        const int64_t at = n + v * W;
        if (at >= part.end) break;
        const Vec x = load_up_to(gradients[part.tensor] + at, part.end - at);
        sum[v] = fma(x, x, sum[v]);
      }
    }
    sums[task] = double(sum_of((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
};

struct AdamWJob {
  const OstinatoAdamW &given;
  const TensorPart *parts;
  double gradient_scale;

  void run(int64_t task) const {
    const TensorPart &part = parts[task];
    const int64_t k = part.tensor;
    const double step = double(*given.steps[k]) + 1, lr = given.rates[k];
    const Vec kept = all(float(1 - lr * given.decays[k])), eps = all(float(given.epsilon));
    const Vec scale = all(float(gradient_scale));
    const Vec b1 = all(float(given.beta1)), b2 = all(float(given.beta2));
    const Vec rest1 = all(float(1 - given.beta1)), rest2 = all(float(1 - given.beta2));
    const Vec rate = all(float(lr / (1 - std::pow(given.beta1, step))));
    const Vec root = all(float(std::sqrt(1 - std::pow(given.beta2, step))));
    float *w = given.weights[k], *m = given.means[k], *v = given.squares[k];
    for (int64_t n = part.first; n < part.end; n += W) {
      const int64_t left = part.end - n;
      const Vec g = load_up_to(given.gradients[k] + n, left) * scale;
      const Vec mean = fma(b1, load_up_to(m + n, left), rest1 * g);
      const Vec square = fma(b2, load_up_to(v + n, left), rest2 * g * g);
      const Vec change = rate * mean / (sqrt(square) / root + eps);
      store_up_to(m + n, mean, left), store_up_to(v + n, square, left);
      store_up_to(w + n, load_up_to(w + n, left) * kept - change, left);
    }
  }
};

// Returns the norm of the gradients.
double adamw(const OstinatoAdamW &given, int threads) {
  Arena arena;
  const TensorParts parts(given.count, given.sizes, arena);
  double *sums = arena.take<double>(parts.count), total = 0;
  parts.run(NormJob{given.gradients, parts.parts, sums}, threads);
  for (int64_t task = 0; task < parts.count; task++) total += sums[task];
  const double norm = std::sqrt(total);
  if (!std::isfinite(norm)) return norm;
  parts.run(AdamWJob{given, parts.parts, norm > given.limit ? given.limit / norm : 1.0}, threads);
  for (int64_t k = 0; k < given.count; k++) *given.steps[k] += 1;
  return norm;
}
