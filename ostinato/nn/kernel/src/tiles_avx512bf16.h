// Products in bfloat16 on vector registers, by `vdpbf16ps`: on AMD's Zen 4 and later it multiplies twice as many
// numbers in a cycle as a fused multiply-add of float32 does.
// Included inside a variant's namespace.

constexpr int64_t kSecondCache = 1 << 20;  // bytes
constexpr double kProductsInAMicrosecond = 100e3;  // of one sequence; more are two to three times as fast
constexpr int kTileColumns = 4;            // tiles side by side in a product
constexpr int64_t kBlocksOfASum = 8;       // of 32 terms, that a sum adds before it is stored

struct TileRegisters {  // none are needed
  TileRegisters() {}
};
ALWAYS_INLINE void stores_before_tiles() {}

// One product of R rows with C packed tiles: sums = start + a · b.
struct Operands {
  const Bits16 *a;                   // the first block of the first row
  int64_t a_stride, a_step;          // values from row to row, and from block to block
  const Bits16 *b[kTileColumns];     // the first block of each tile
  int64_t b_step;
  const float *start[kTileColumns];  // of each tile
  int64_t start_stride;              // floats from row to row; 0: all rows start alike
  float *sums[kTileColumns];
  int64_t sums_stride;

  template <int R, int C> void multiply(int64_t blocks) const {
    Tile<R, C> tile;
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int c = 0; c < C; c++) tile[r][c] = load(start[c] + r * start_stride);
    }
    for (int64_t block = 0; block < blocks; block++) {
      const Bits16 *row = a + block * a_step, *tiles[C];
      UNROLL for (int c = 0; c < C; c++) tiles[c] = b[c] + block * b_step;
      for (int64_t k = 0; k < kTileTerms; k += 2) {
        __m512i column[C];
        UNROLL for (int c = 0; c < C; c++) column[c] = _mm512_loadu_si512(tiles[c] + k * W);
        UNROLL for (int r = 0; r < R; r++) {
          int32_t pair;
          std::memcpy(&pair, row + r * a_stride + k, sizeof pair);
          const __m512i x = _mm512_set1_epi32(pair);
          UNROLL for (int c = 0; c < C; c++)
            tile[r][c] = _mm512_dpbf16_ps(tile[r][c], (__m512bh)x, (__m512bh)column[c]);
        }
      }
    }
    UNROLL for (int r = 0; r < R; r++) UNROLL for (int c = 0; c < C; c++) store(sums[c] + r * sums_stride, tile[r][c]);
  }

  // The first `rows` rows.
  template <int C> void multiply_rows(int64_t rows, int64_t blocks) const {
    for_tiles<kRows<C>>(rows, [&](auto height, int64_t row) {
      Operands part = *this;
      part.a += row * a_stride;
      for (int c = 0; c < C; c++) part.start[c] += row * start_stride, part.sums[c] += row * sums_stride;
      part.multiply<decltype(height)::value, C>(blocks);
    });
  }
};

alignas(64) constexpr float kZeros[W] = {};

// R by C tiles of sums, at most 2 by 4: sums = (or +=) a · b over `blocks` blocks of 32 terms.
template <int R, int C> struct TileProduct {
  const Bits16 *a[2];                 // the first block of each of R tiles of rows
  int64_t a_stride, a_step;           // values from row to row, and from block to block
  const Bits16 *b[kTileColumns];      // the first block of each of C tiles of columns
  int64_t b_step;
  float *sums[2][kTileColumns];
  int64_t sums_stride;                // floats from row to row

  // The first rows of each tile of rows.
  template <bool kAdd> void run(int64_t blocks, const int64_t (&rows)[2] = kWholeTiles) const {
    for (int r = 0; r < R; r++) {
      Operands part{a[r], a_stride, a_step, {}, b_step, {}, kAdd ? sums_stride : 0, {}, sums_stride};
      for (int c = 0; c < C; c++) {
        part.b[c] = b[c], part.sums[c] = sums[r][c];
        part.start[c] = kAdd ? sums[r][c] : kZeros;
      }
      part.multiply_rows<C>(rows[r], blocks);
    }
  }
};

// The sums of one panel, for the rows of one step of one or two strips.
template <class Cell> struct PanelProduct {
  using Shape = MixedShape<Cell>;
  static constexpr int V = Cell::kVectors;
  int64_t units;  // gates are computed between them: 1, as both use the same registers

  // rows: of each strip [x | h before]; the second null: one strip. packed: as `pack_forward`. bias: (V · W,).
  // sums: (row, V · W); the second strip's from row 16 on.
  PanelProduct(const Shape &shape, const Bits16 *const (&rows)[2], const int64_t (&counts)[2], const Bits16 *packed,
      const float *bias, float *sums)
      : units(1), shape(shape), rows{rows[0], rows[1]}, counts{counts[0], counts[1]}, packed(packed), bias(bias),
        sums(sums) {}

  ALWAYS_INLINE void run_to(int64_t end) {
    if (end >= 1 && !is_done) run();
  }

 private:
  void run() {
    is_done = true;
    const int64_t blocks = shape.terms / kTileTerms, input_blocks = shape.input_terms / kTileTerms;
    for (int s = 0; s < 2; s++) {
      if (!rows[s]) continue;
      float *to = sums + s * kTileRows * V * W;
      if constexpr (Shape::kReadsAll) {
        multiply<0, V>(s, 0, blocks, bias, 0, to);
      } else {
        // vectors that do not read the input begin their sums in the second product
        for (int64_t r = 0; r < counts[s]; r++) std::memcpy(to + r * V * W, bias, sizeof(float) * V * W);
        multiply<Cell::kInput, Cell::kInputVectors>(s, 0, input_blocks, to, V * W, to);
        multiply<Cell::kHidden, Cell::kHiddenVectors>(s, input_blocks, blocks, to, V * W, to);
      }
    }
  }

  // The product of blocks [first, end) with vectors [v, v + C).
  template <int v, int C> void multiply(
      int s, int64_t first, int64_t end, const float *start, int64_t start_stride, float *to) const {
    Operands part{rows[s] + first * kTileTerms, shape.row_stride, kTileTerms, {}, V * kTileSize, {}, start_stride, {},
        V * W};
    for (int c = 0; c < C; c++) {
      part.b[c] = packed + (first * V + v + c) * kTileSize;
      part.start[c] = start + (v + c) * W, part.sums[c] = to + (v + c) * W;
    }
    part.multiply_rows<C>(counts[s], end - first);
  }

  const Shape &shape;
  const Bits16 *rows[2];
  int64_t counts[2];
  const Bits16 *packed;
  const float *bias;
  float *sums;
  bool is_done = false;
};
