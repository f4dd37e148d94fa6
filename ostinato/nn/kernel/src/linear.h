// What surrounds the layers in a model whose answers must not depend on the batch: linear maps and attention pooling, each
// row and each sequence by itself. Forward only.
// Included inside a variant's namespace.

constexpr int64_t kRowsOfATask = 96;

template <class T> constexpr int kHeight = int(std::extent_v<std::remove_reference_t<T>, 0>);
template <class T> constexpr int kWidth = int(std::extent_v<std::remove_reference_t<T>, 1>);

// x · Wᵀ + b, in tiles.
struct Linear {
  const float *x;
  const float *packed;  // for each group of columns a row of biases, then the columns of Wᵀ
  int64_t in, out;

  static const float *pack(const float *weight, const float *bias, int64_t in, int64_t out, Arena &arena) {
    const int64_t vectors = (out + W - 1) / W;
    float *packed = arena.take_zeroed<float>(vectors * W * (in + 1));
    for_vectors(vectors, [&](auto width, int64_t vector) {
      constexpr int64_t kColumns = decltype(width)::value * W;
      float *to = packed + vector * W * (in + 1);
      for (int64_t column = 0; column < std::min(kColumns, out - vector * W); column++) {
        if (bias) to[column] = bias[vector * W + column];
        for (int64_t k = 0; k < in; k++) to[(k + 1) * kColumns + column] = weight[(vector * W + column) * in + k];
      }
    });
    return packed;
  }

  // Calls f(tile, row, vector) for rows [first, first + count), the vectors of a row in ascending order.
  template <class F> void tiles(int64_t first, int64_t count, F f) const {
    for_vectors((out + W - 1) / W, [&](auto width, int64_t vector) {
      constexpr int V = decltype(width)::value;
      const float *columns = packed + vector * W * (in + 1);
      for_tiles<kRows<V>>(count, [&](auto height, int64_t i) {
        constexpr int R = decltype(height)::value;
        Tile<R, V> tile;
        const float *from[R];
        UNROLL for (int r = 0; r < R; r++) {
          from[r] = x + (first + i + r) * in;
          UNROLL for (int v = 0; v < V; v++) tile[r][v] = load(columns + v * W);
        }
        multiply<R, V>(from, columns + V * W, in, tile);
        f(tile, first + i, vector);
      });
    });
  }
};

int64_t row_tasks(int64_t rows) { return (rows + kRowsOfATask - 1) / kRowsOfATask; }

template <class Job> Stage stage_of(const Job &job, int64_t tasks) {
  Stage stage;
  stage.tasks = tasks;
  stage.what = &job;
  stage.run = [](const void *what, int64_t task) { static_cast<const Job *>(what)->run(task); };
  return stage;
}

struct LinearJob {
  Linear map;
  float *out;
  int64_t rows;

  void run(int64_t task) const {
    const int64_t first = task * kRowsOfATask;
    map.tiles(first, std::min(kRowsOfATask, rows - first), [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++) {
        for (int v = 0; v < V; v++) store_up_to(out + (row + r) * map.out + (vector + v) * W, tile[r][v], map.out - (vector + v) * W);
      }
    });
  }
};

void linear(const float *x, const float *weight, const float *bias, float *out, int64_t rows, int64_t in, int64_t out_size, int threads) {
  Arena arena;
  const LinearJob job{{x, Linear::pack(weight, bias, in, out_size, arena), in, out_size}, out, rows};
  Stage stage = stage_of(job, row_tasks(rows));
  run_stages(&stage, 1, double(rows) * double(in) * double(out_size) < 1e7 ? 1 : threads);
}

// scores = v · tanh(W h + b), of each step
struct ScoreJob {
  Linear map;
  const float *v;  // padded by zeros to whole vectors
  float *scores;
  int64_t rows;

  void run(int64_t task) const {
    const int64_t first = task * kRowsOfATask, count = std::min(kRowsOfATask, rows - first);
    alignas(64) float sums[kRowsOfATask * W] = {};
    map.tiles(first, count, [&](const auto &tile, int64_t row, int64_t vector) {
      constexpr int R = kHeight<decltype(tile)>, V = kWidth<decltype(tile)>;
      for (int r = 0; r < R; r++) {
        float *sum = sums + (row - first + r) * W;
        for (int k = 0; k < V; k++) store(sum, fma(tanh(tile[r][k]), load(v + (vector + k) * W), load(sum)));
      }
    });
    for (int64_t row = 0; row < count; row++) {
      float total = 0;
      for (int lane = 0; lane < W; lane++) total += sums[row * W + lane];
      scores[first + row] = total;
    }
  }
};

// out = Σ softmax(scores)·h over the steps of each sequence; zeros without steps
struct PoolJob {
  const float *h;
  float *scores;  // overwritten
  const int64_t *lengths, *offsets;
  float *out;
  int64_t H;

  void run(int64_t sequence) const {
    const int64_t steps = lengths[sequence];
    const float *rows = h + offsets[sequence] * H;
    float *weights = scores + offsets[sequence], largest = steps ? weights[0] : 0, total = 0;
    for (int64_t t = 1; t < steps; t++) largest = weights[t] > largest ? weights[t] : largest;
    for (int64_t t = 0; t < steps; t += W) store_up_to(weights + t, exp(load_up_to(weights + t, steps - t) - all(largest)), steps - t);
    for (int64_t t = 0; t < steps; t++) total += weights[t];
    for (int64_t unit = 0; unit < H; unit += W) {
      Vec sum = all(0.0f);
      for (int64_t t = 0; t < steps; t++) sum = fma(all(weights[t]), load_up_to(rows + t * H + unit, H - unit), sum);
      store_up_to(out + sequence * H + unit, steps ? sum / all(total) : sum, H - unit);
    }
  }
};

void attend(const OstinatoAttention &a, int threads) {
  Arena arena;
  int64_t *offsets = arena.take<int64_t>(a.batch_size), steps = 0;
  for (int64_t b = 0; b < a.batch_size; b++) offsets[b] = steps, steps += a.lengths[b];
  const int64_t padded = (a.hidden_size + W - 1) / W * W;
  float *v = arena.take_zeroed<float>(padded), *scores = arena.take<float>(steps);
  std::memcpy(v, a.score, sizeof(float) * size_t(a.hidden_size));
  const ScoreJob score{{a.h, Linear::pack(a.project, a.bias, a.hidden_size, a.hidden_size, arena), a.hidden_size, a.hidden_size}, v, scores, steps};
  const PoolJob pool{a.h, scores, a.lengths, offsets, a.out, a.hidden_size};
  Stage stages[2] = {stage_of(score, row_tasks(steps)), stage_of(pool, a.batch_size)};
  stages[1].need(&stages[0]);
  run_stages(stages, 2, double(steps) * double(a.hidden_size) * double(a.hidden_size) < 1e7 ? 1 : threads);
}
