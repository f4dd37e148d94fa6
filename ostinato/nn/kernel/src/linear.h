// Linear maps for models whose output must not depend on the batch: each row by itself. Forward only.
// Included inside a variant's namespace.

constexpr int64_t kRowsOfATask = 96;

template <class T> constexpr int kHeight = int(std::extent_v<std::remove_reference_t<T>, 0>);
template <class T> constexpr int kWidth = int(std::extent_v<std::remove_reference_t<T>, 1>);

// x · Wᵀ + b in tiles.
struct Linear {
  const float *x;
  const float *packed;  // for each group of columns: a row of biases, then the columns of Wᵀ
  int64_t in, out;
  int64_t stride = in;  // floats from one row of x to the next

  // `across` and `down`: floats of the weight from one column of Wᵀ to the next, and from one row to the next; one of
  // them is 1.
  static const float *pack(
      const float *weight, int64_t across, int64_t down, const float *bias, int64_t in, int64_t out, Arena &arena) {
    const int64_t vectors = (out + W - 1) / W;
    float *packed = arena.take_zeroed<float>(vectors * W * (in + 1));
    for_vectors(vectors, [&](auto width, int64_t vector) {
      constexpr int64_t kColumns = decltype(width)::value * W;
      float *to = packed + vector * W * (in + 1);
      const int64_t first = vector * W, columns = std::min(kColumns, out - first);
      if (bias) std::memcpy(to, bias + first, sizeof(float) * size_t(columns));
      to += kColumns;
      if (down == 1) {
        for (int64_t v = 0; v < columns; v += W)
          pack_vector(weight + (first + v) * across, across, columns - v, in, to + v, kColumns);
      } else {
        for (int64_t k = 0; k < in; k++)
          std::memcpy(to + k * kColumns, weight + first + k * down, sizeof(float) * size_t(columns));
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
          from[r] = x + (first + i + r) * stride;
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
  stage.job = &job;
  stage.run = [](const void *job, int64_t task) { static_cast<const Job *>(job)->run(task); };
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
        for (int v = 0; v < V; v++)
          store_up_to(out + (row + r) * map.out + (vector + v) * W, tile[r][v], map.out - (vector + v) * W);
      }
    });
  }
};

void linear(const float *x, const float *weight, const float *bias, float *out, int64_t rows, int64_t in,
    int64_t out_size, int threads) {
  Arena arena;
  const LinearJob job{{x, Linear::pack(weight, in, 1, bias, in, out_size, arena), in, out_size}, out, rows};
  Stage stage = stage_of(job, row_tasks(rows));
  run_stages(&stage, 1, double(rows) * double(in) * double(out_size) < 1e7 ? 1 : threads);
}
