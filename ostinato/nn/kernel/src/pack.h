// Packs weights from torch's layout into the one that the tiles read.
// Included inside a variant's namespace.

// Transposes W rows of W floats. Each round interleaves row r with row r + W/2: in the numbers of an element's row and
// column, written side by side in binary, it moves every bit one place to the left, and the first to the end.
ALWAYS_INLINE void transpose(Vec (&rows)[W]) {
  for (int round = 1; round < W; round *= 2) {
    Vec next[W];
    _Pragma("GCC unroll 16") for (int r = 0; r < W / 2; r++) zip(rows[r], rows[r + W / 2], next[2 * r], next[2 * r + 1]);
    _Pragma("GCC unroll 16") for (int r = 0; r < W; r++) rows[r] = next[r];
  }
}

// packed[k · stride + column] = weight[column · across + k] for one vector of columns; zeros past the last of `columns`.
void pack_vector(
    const float *weight, int64_t across, int64_t columns, int64_t K, float *packed, int64_t stride) {
  for (int64_t k0 = 0; k0 < K; k0 += W) {
    const int64_t left = K - k0;
    Vec block[W];
    for (int column = 0; column < W; column++)
      block[column] = column < columns ? load_up_to(weight + column * across + k0, left) : all(0.0f);
    transpose(block);
    for (int64_t k = 0; k < std::min(left, int64_t(W)); k++) store(packed + (k0 + k) * stride, block[k]);
  }
}

// How many of a vector's lanes belong to a unit.
template <class Cell> int64_t columns_of(const Panels<Cell> &panels, int64_t panel, int v) {
  int64_t columns = W;
  while (columns > 0 && panels.row(panel, v, int(columns) - 1) < 0) columns--;
  return columns;
}

// Vectors [first, first + V) of a panel, for the products x · Wᵀ: packed[k][v] of weight (rows, K).
template <class Cell, int V>
void pack_columns(const Panels<Cell> &panels, int64_t panel, int first, const float *weight, int64_t K, float *packed) {
  for (int v = 0; v < V; v++) {
    const int64_t columns = columns_of(panels, panel, first + v);
    const int64_t row = columns > 0 ? panels.row(panel, first + v, 0) : 0;
    pack_vector(weight + row * K, K, columns, K, packed + v * W, V * W);
  }
}

// The same for recurrent weights: of a cell with heads, which are block-diagonal (rows, head), from the first column
// that the panel reads to the last.
template <class Cell, int V>
void pack_hidden(const Panels<Cell> &panels, int64_t panel, const float *weight, float *packed) {
  if (panels.head == panels.H) return pack_columns<Cell, V>(panels, panel, Cell::kHidden, weight, panels.H, packed);
  const Range columns = panels.sources(panel);
  std::memset(packed, 0, sizeof(float) * size_t((columns.end - columns.first) * V * W));
  for (int lane = 0; lane < V * W; lane++) {
    const int64_t row = panels.row(panel, Cell::kHidden + lane / W, lane % W);
    if (row < 0) continue;
    float *to = packed + (panels.first_of_head(row % panels.H) - columns.first) * V * W + lane;
    for (int64_t k = 0; k < panels.head; k++) to[k * V * W] = weight[row * panels.head + k];
  }
}

// The same rows for the products dG · W, in groups of up to 4 vectors of columns: each (panel, row in panel, column).
// Of block-diagonal weights (rows, block) the rows are completed by zeros.
template <class Cell, int V> void pack_rows(const Panels<Cell> &panels, int64_t panel, int first, const float *weight,
    int64_t K, int64_t block, float *packed) {
  const int64_t rows = panels.count * V * W;
  for_vectors((K + W - 1) / W, [&](auto width, int64_t vector) {
    constexpr int64_t kColumns = decltype(width)::value * W;
    float *to = packed + (vector * rows + panel * V * decltype(width)::value * W) * W;
    for (int k = 0; k < V * W; k++, to += kColumns) {
      const int64_t row = panels.row(panel, first + k / W, k % W);
      std::memset(to, 0, sizeof(float) * kColumns);
      if (row < 0) continue;
      const int64_t begin = block == K ? 0 : panels.first_of_head(row % panels.H), at = vector * W;
      const int64_t column = std::max(begin, at), end = std::min(begin + block, at + kColumns);
      if (column < end)
        std::memcpy(to + column - at, weight + row * block + column - begin, sizeof(float) * size_t(end - column));
    }
  });
}

// Adds a bias to vectors [first, first + V) of a panel; does nothing if `bias` is null.
template <class Cell, int V>
void add_bias(const Panels<Cell> &panels, int64_t panel, int first, const float *bias, float *packed) {
  if (!bias) return;
  for (int column = 0; column < V * W; column++) {
    const int64_t row = panels.row(panel, first + column / W, column % W);
    if (row >= 0) packed[column] += bias[row];
  }
}
