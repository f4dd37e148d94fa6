// The softmax loss of many rows over the same candidates, with its gradient. Rows come in chunks. First each row's
// logits become its softmax, and the gradient of the row; then the gradients of the candidates add up over the rows, a
// panel of candidates at a time and in the order of the rows, so their bits do not depend on the number of workers.
// Included inside a variant's namespace.

class Softmax {
  static constexpr int kVectors = 4;
  static constexpr int64_t kPanel = kVectors * W;               // candidates in a panel
  static constexpr int64_t kFloatsOfAChunk = int64_t(1) << 21;  // of softmaxes

 public:
  Softmax(const OstinatoSoftmax &given, Arena &arena)
      : given_(given),
        E_(given.size),
        panels_((given.candidates + kPanel - 1) / kPanel),
        rows_of_chunk_(row_tasks(std::min(given.rows, kFloatsOfAChunk / (panels_ * kPanel) + 1)) * kRowsOfATask),
        columns_(arena.take<float>(panels_ * E_ * kPanel)),
        packed_rows_(arena.take<float>((E_ + W - 1) / W * W * panels_ * kPanel)),
        bias_(arena.take<float>(panels_ * kPanel)),
        shares_(arena.take<float>(panels_ * rows_of_chunk_ * kPanel)),
        x_(arena.take<const float *>(given.rows)) {
    for (int64_t row = 0; row < given.rows; row++) x_[row] = given.x + row * E_;
  }

  void run(int threads) {
    if (double(given_.rows) * double(E_) * double(given_.candidates) < 3e6) threads = 1;
    std::memset(given_.d_weight, 0, sizeof(float) * size_t(given_.candidates * E_));
    std::memset(given_.d_bias, 0, sizeof(float) * size_t(given_.candidates));
    Stage pack = stage(panels_, [](const void *job, int64_t task) { static_cast<const Softmax *>(job)->pack(task); });
    run_stages(&pack, 1, threads);
    for (first_ = 0; first_ < given_.rows; first_ += rows_of_chunk_) {
      count_ = std::min(rows_of_chunk_, given_.rows - first_);
      Stage stages[] = {
          stage(row_tasks(count_),
              [](const void *job, int64_t task) { static_cast<const Softmax *>(job)->differentiate_rows(task); }),
          stage(panels_ * (blocks() + 1),
              [](const void *job, int64_t task) { static_cast<const Softmax *>(job)->differentiate_candidates(task); })};
      stages[1].need(stages);
      run_stages(stages, 2, threads);
    }
  }

 private:
  Stage stage(int64_t tasks, void (*run)(const void *, int64_t)) const {
    Stage made;
    made.tasks = tasks;
    made.job = this;
    made.run = run;
    return made;
  }

  int64_t blocks() const { return (E_ + kColumnsOfASum - 1) / kColumnsOfASum; }
  int64_t panel_stride() const { return rows_of_chunk_ * kPanel; }

  // The candidates of a panel by columns, (E, kPanel), and by rows, in groups of up to 4 vectors of columns. Past the
  // last candidate, a bias of -inf.
  void pack(int64_t panel) const {
    const int64_t first = panel * kPanel, left = std::min(kPanel, given_.candidates - first);
    float *to = columns_ + panel * E_ * kPanel;
    for (int64_t c = 0; c < kPanel; c++) {
      bias_[first + c] = c < left ? given_.bias[first + c] : -INFINITY;
      for (int64_t e = 0; e < E_; e++) to[e * kPanel + c] = c < left ? given_.weight[(first + c) * E_ + e] : 0.0f;
    }
    for_vectors((E_ + W - 1) / W, [&](auto width, int64_t vector) {
      constexpr int64_t kColumns = decltype(width)::value * W;
      float *row = packed_rows_ + vector * W * panels_ * kPanel + panel * kPanel * kColumns;
      for (int64_t c = 0; c < kPanel; c++, row += kColumns) {
        for (int64_t k = 0; k < kColumns; k++) {
          const int64_t e = vector * W + k;
          row[k] = c < left && e < E_ ? given_.weight[(first + c) * E_ + e] : 0.0f;
        }
      }
    });
  }

  void differentiate_rows(int64_t task) const {
    const int64_t from = task * kRowsOfATask, count = std::min(kRowsOfATask, count_ - from);
    StepRow rows[kRowsOfATask];
    int64_t numbers[kRowsOfATask];
    float *gradients[kRowsOfATask];
    for (int64_t r = 0; r < count; r++) {
      numbers[r] = from + r;
      rows[r] = {x_[first_ + from + r], shares_ + (from + r) * kPanel, nullptr, nullptr};
      gradients[r] = given_.d_x + (first_ + from + r) * E_;
    }
    for (int64_t panel = 0; panel < panels_; panel++) {
      project_panel<kVectors>(
          rows, count, bias_ + panel * kPanel, columns_ + panel * E_ * kPanel, E_, panel * panel_stride());
    }
    for (int64_t r = 0; r < count; r++) finish(first_ + from + r, rows[r].gates, gradients[r]);
    const PanelFactor factor = {shares_, packed_rows_};
    multiply_panels<true>(&factor, 1, {panels_, panel_stride(), kPanel, kPanel}, numbers, count, gradients, E_);
  }

  // A row's logits become its shares; its loss; and the part of its gradient that comes from its own target.
  void finish(int64_t row, float *logits, float *d_x) const {
    const int64_t target = given_.targets[row], left_out = given_.left_out[row];
    const float *own = given_.table + target * E_;
    const float positive = dot(given_.x + row * E_, own) + given_.table_bias[target];
    if (left_out >= 0) logits[left_out / kPanel * panel_stride() + left_out % kPanel] = -INFINITY;
    Vec highest = all(positive);
    each_vector(logits, [&](float *at) { highest = max(load(at), highest); });
    const float top = reduce_lanes(highest, [](float a, float b) { return a > b ? a : b; });
    const Vec shift = all(top), lowest = all(-87.0f), none = all(0.0f);
    Vec sums = none;
    each_vector(logits, [&](float *at) {
      const Vec z = load(at) - shift, odds = where_greater(lowest, z, none, exp(z));  // NaN stays NaN
      store(at, odds);
      sums = sums + odds;
    });
    const float own_odds = std::exp(positive - top);
    const float total = reduce_lanes(sums, [](float a, float b) { return a + b; }) + own_odds;
    const Vec scale = all(1.0f / total);
    each_vector(logits, [&](float *at) { store(at, load(at) * scale); });
    given_.losses[row] = std::log(total) + top - positive;
    const float d_positive = own_odds / total - 1.0f;
    given_.d_positive[row] = d_positive;
    for (int64_t e = 0; e < E_; e++) d_x[e] = d_positive * own[e];
  }

  template <class F> ALWAYS_INLINE void each_vector(float *row, F f) const {
    for (int64_t panel = 0; panel < panels_; panel++, row += panel_stride()) {
      UNROLL for (int v = 0; v < kVectors; v++) f(row + v * W);
    }
  }

  template <class F> static float reduce_lanes(Vec v, F f) {
    float lanes[W];
    store(lanes, v);
    float result = lanes[0];
    for (int lane = 1; lane < W; lane++) result = f(result, lanes[lane]);
    return result;
  }

  float dot(const float *a, const float *b) const {
    Vec sums = all(0.0f);
    for (int64_t e = 0; e < E_; e += W) sums = fma(load_up_to(a + e, E_ - e), load_up_to(b + e, E_ - e), sums);
    return reduce_lanes(sums, [](float x, float y) { return x + y; });
  }

  // Adds the chunk's part to the gradients of a panel of candidates: of some columns, or of their biases.
  void differentiate_candidates(int64_t task) const {
    const int64_t panel = task / (blocks() + 1), block = task % (blocks() + 1);
    const int64_t first = panel * kPanel, left = std::min(kPanel, given_.candidates - first);
    const float *shares = shares_ + panel * panel_stride();
    alignas(64) float total[kColumnsOfASum * kPanel];
    if (block == blocks()) {
      sum_steps<kVectors>(shares, kPanel, count_, total);
      for (int64_t c = 0; c < left; c++) given_.d_bias[first + c] += total[c];
      return;
    }
    const int64_t from = block * kColumnsOfASum, columns = std::min(kColumnsOfASum, E_ - from);
    sum_outer<kVectors>(x_ + first_, from, columns, shares, kPanel, count_, total);
    for (int64_t c = 0; c < left; c++) {
      float *to = given_.d_weight + (first + c) * E_ + from;
      for (int64_t e = 0; e < columns; e++) to[e] += total[e * kPanel + c];
    }
  }

  const OstinatoSoftmax &given_;
  const int64_t E_, panels_, rows_of_chunk_;
  float *columns_, *packed_rows_, *bias_;
  float *shares_;  // (panel, row of the chunk, kPanel): logits, then odds, then shares
  const float **x_;
  int64_t first_ = 0, count_ = 0;  // rows of the present chunk
};

void softmax(const OstinatoSoftmax &given, int threads) {
  Arena arena;
  Softmax(given, arena).run(threads);
}
