// Packs weights from torch's layout into the one that the tiles read.
// Included inside a variant's namespace.

// Vectors [first, first + V) of a panel, for the products x · Wᵀ: packed[k][v] of weight (rows, K).
template <class Cell, int V>
void pack_columns(const Panels<Cell> &panels, int64_t panel, int first, const float *weight, int64_t K, float *packed) {
  constexpr int64_t kBlock = 16;
  float block[V * W][kBlock];
  for (int64_t k0 = 0; k0 < K; k0 += kBlock) {
    const int64_t width = std::min(kBlock, K - k0);
    for (int column = 0; column < V * W; column++) {
      const int64_t row = panels.row(panel, first + column / W, column % W);
      for (int64_t k = 0; k < width; k++) block[column][k] = row < 0 ? 0.0f : weight[row * K + k0 + k];
    }
    for (int64_t k = 0; k < width; k++) {
      for (int column = 0; column < V * W; column++) packed[(k0 + k) * V * W + column] = block[column][k];
    }
  }
}

// The same rows for the products dG · W, in groups of up to 4 vectors of columns: each (panel, row in panel, column).
template <class Cell, int V>
void pack_rows(const Panels<Cell> &panels, int64_t panel, int first, const float *weight, int64_t K, float *packed) {
  const int64_t rows = panels.count * V * W;
  for_vectors((K + W - 1) / W, [&](auto width, int64_t vector) {
    constexpr int64_t kColumns = decltype(width)::value * W;
    float *to = packed + (vector * rows + panel * V * decltype(width)::value * W) * W;
    const int64_t columns = std::min(kColumns, K - vector * W);
    for (int k = 0; k < V * W; k++, to += kColumns) {
      const int64_t row = panels.row(panel, first + k / W, k % W);
      std::memset(to, 0, sizeof(float) * kColumns);
      if (row >= 0) std::memcpy(to, weight + row * K + vector * W, sizeof(float) * size_t(columns));
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
