// out = x · Wᵀ + b, each row by itself: the heads and scores of a model whose answers must not depend on the batch.
// Included inside a variant's namespace.

struct Linear {
  static constexpr int64_t kRowsOfATask = 96;

  const float *x, *packed;
  float *out;
  int64_t rows, in, out_size;

  void run(int64_t task) const {
    const int64_t first = task * kRowsOfATask, mine = std::min(kRowsOfATask, rows - first);
    for_vectors((out_size + W - 1) / W, [&](auto width, int64_t vector) {
      constexpr int V = decltype(width)::value;
      const float *columns = packed + vector * W * (in + 1);
      for_tiles<kRows<V>>(mine, [&](auto height, int64_t i) {
        constexpr int R = decltype(height)::value;
        Tile<R, V> tile;
        const float *from[R];
        UNROLL for (int r = 0; r < R; r++) {
          from[r] = x + (first + i + r) * in;
          UNROLL for (int v = 0; v < V; v++) tile[r][v] = load(columns + v * W);
        }
        multiply<R, V>(from, columns + V * W, in, tile);
        UNROLL for (int r = 0; r < R; r++) {
          UNROLL for (int v = 0; v < V; v++) store_up_to(out + (first + i + r) * out_size + (vector + v) * W, tile[r][v], out_size - (vector + v) * W);
        }
      });
    });
  }
};

void linear(const float *x, const float *weight, const float *bias, float *out, int64_t rows, int64_t in, int64_t out_size, int threads) {
  Arena arena;
  const int64_t vectors = (out_size + W - 1) / W;
  float *packed = arena.take_zeroed<float>(vectors * W * (in + 1));
  for_vectors(vectors, [&](auto width, int64_t vector) {  // a row of biases, then the columns of Wᵀ
    constexpr int64_t kColumns = decltype(width)::value * W;
    float *to = packed + vector * W * (in + 1);
    for (int64_t column = 0; column < std::min(kColumns, out_size - vector * W); column++) {
      if (bias) to[column] = bias[vector * W + column];
      for (int64_t k = 0; k < in; k++) to[(k + 1) * kColumns + column] = weight[(vector * W + column) * in + k];
    }
  });
  const Linear job{x, packed, out, rows, in, out_size};
  Stage stage;
  stage.tasks = (rows + Linear::kRowsOfATask - 1) / Linear::kRowsOfATask;
  stage.what = &job;
  stage.run = [](const void *what, int64_t task) { static_cast<const Linear *>(what)->run(task); };
  run_stages(&stage, 1, double(rows) * double(in) * double(out_size) < 2e6 ? 1 : threads);
}
