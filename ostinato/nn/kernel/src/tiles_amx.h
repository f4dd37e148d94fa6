// Products in bfloat16 on the tile registers of AMX: Xeons from Sapphire Rapids on.
// Included inside a variant's namespace.

constexpr int64_t kSecondCache = 2 << 20;  // bytes
constexpr double kProductsInAMicrosecond = 300e3;
constexpr int kTileColumns = 2;            // tiles side by side in a product
constexpr int64_t kBlocksOfASum = 16;      // of 32 terms, that a sum adds before it is stored

// The tile registers of this thread while it lives. A thread that holds tiles pays for them at each switch of context.
class TileRegisters {
 public:
  TileRegisters() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shapes;
    for (int k = 0; k < 8; k++) shapes.rows[k] = kTileRows, shapes.row_bytes[k] = 64;
    _tile_loadconfig(&shapes);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters &) = delete;
  TileRegisters &operator=(const TileRegisters &) = delete;
};

// GCC does not know that loading a tile reads memory: without this, it may move the stores that fill the operand behind
// it.
ALWAYS_INLINE void stores_before_tiles() { __asm__ volatile("" ::: "memory"); }

// R by C tiles of sums, at most 2 by 2: sums = (or +=) a · b over `blocks` blocks of 32 terms.
template <int R, int C> struct TileProduct {
  const Bits16 *a[2];                 // the first block of each of R tiles of rows
  int64_t a_stride, a_step;           // values from row to row, and from block to block
  const Bits16 *b[2];                 // the first block of each of C tiles of columns
  int64_t b_step;
  float *sums[2][2];
  int64_t sums_stride;                // floats from row to row

  // All 16 rows of a tile, however many the caller asks for.
  template <bool kAdd> ALWAYS_INLINE void run(int64_t blocks, const int64_t (&)[2] = kWholeTiles) const {
    stores_before_tiles();
    if constexpr (kAdd) {
      _tile_loadd(0, sums[0][0], sums_stride * 4);
      if constexpr (C > 1) _tile_loadd(1, sums[0][1], sums_stride * 4);
      if constexpr (R > 1) _tile_loadd(2, sums[1][0], sums_stride * 4);
      if constexpr (R > 1 && C > 1) _tile_loadd(3, sums[1][1], sums_stride * 4);
    } else {
      _tile_zero(0);
      if constexpr (C > 1) _tile_zero(1);
      if constexpr (R > 1) _tile_zero(2);
      if constexpr (R > 1 && C > 1) _tile_zero(3);
    }
    for (int64_t block = 0; block < blocks; block++) {
      _tile_loadd(4, a[0] + block * a_step, a_stride * 2);
      _tile_loadd(6, b[0] + block * b_step, 64);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (C > 1) {
        _tile_loadd(7, b[1] + block * b_step, 64);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (R > 1) {
        _tile_loadd(5, a[1] + block * a_step, a_stride * 2);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (C > 1) _tile_dpbf16ps(3, 5, 7);
      }
    }
    _tile_stored(0, sums[0][0], sums_stride * 4);
    if constexpr (C > 1) _tile_stored(1, sums[0][1], sums_stride * 4);
    if constexpr (R > 1) _tile_stored(2, sums[1][0], sums_stride * 4);
    if constexpr (R > 1 && C > 1) _tile_stored(3, sums[1][1], sums_stride * 4);
  }
};

// The sums of one panel, for the rows of one step of one or two strips, in units between which a lane computes gates.
template <class Cell> struct PanelProduct {
  using Shape = MixedShape<Cell>;
  static constexpr int V = Cell::kVectors;
  int64_t units;

  // rows: of each strip [x | h before]; the second null: one strip. packed: as `pack_forward`. bias: (V · W,).
  // sums: (row, V · W); the second strip's from row 16 on.
  PanelProduct(const Shape &shape, const Bits16 *const (&rows)[2], const int64_t (&)[2], const Bits16 *packed,
      const float *bias, float *sums)
      : units(rows[1] ? (V + 1) / 2 * shape.terms / kTileTerms : shape.terms / kTileTerms),
        a{rows[0], rows[1]},
        b(packed),
        bias(bias),
        sums(sums),
        stride(shape.row_stride * 2),
        input_blocks(shape.input_terms / kTileTerms),
        blocks(shape.terms / kTileTerms) {}

  ALWAYS_INLINE void run_to(int64_t end) {
    for (; unit < end; unit++) a[1] ? run_pair() : run_single();
  }

 private:
  static ALWAYS_INLINE bool reads(int v, bool is_input) {
    return Shape::kReadsAll || (is_input ? Shape::reads_input(v) : Shape::reads_hidden(v));
  }

  // Two tiles of rows by two of the panel's vectors.
  ALWAYS_INLINE void run_pair() {
    const int64_t half = unit / blocks, block = unit - half * blocks;
    const int v = int(half) * 2;
    const bool both = V % 2 == 0 || v + 1 < V, is_input = block < input_blocks;
    const Bits16 *tiles = b + (block * V + v) * kTileSize;
    if (block == 0) {  // a stride of zero: all rows begin with the bias
      _tile_loadd(0, bias + v * W, 0);
      _tile_loadd(2, bias + v * W, 0);
      if (both) _tile_loadd(1, bias + (v + 1) * W, 0);
      if (both) _tile_loadd(3, bias + (v + 1) * W, 0);
    }
    _tile_loadd(4, a[0] + block * kTileTerms, stride);
    _tile_loadd(5, a[1] + block * kTileTerms, stride);
    if (reads(v, is_input)) {
      _tile_loadd(6, tiles, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(2, 5, 6);
    }
    if (both && reads(v + 1, is_input)) {
      _tile_loadd(7, tiles + kTileSize, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
    if (block + 1 < blocks) return;
    float *to = sums + v * W;
    _tile_stored(0, to, V * W * 4);
    _tile_stored(2, to + kTileRows * V * W, V * W * 4);
    if (!both) return;
    _tile_stored(1, to + W, V * W * 4);
    _tile_stored(3, to + kTileRows * V * W + W, V * W * 4);
  }

  // One tile of rows by all of the panel's vectors.
  ALWAYS_INLINE void run_single() {
    const int64_t block = unit;
    const bool is_input = block < input_blocks;
    const Bits16 *tiles = b + block * V * kTileSize;
    if (block == 0) {
      _tile_loadd(0, bias, 0);
      if (V > 1) _tile_loadd(1, bias + W, 0);
      if (V > 2) _tile_loadd(2, bias + 2 * W, 0);
      if (V > 3) _tile_loadd(3, bias + 3 * W, 0);
    }
    _tile_loadd(4, a[0] + block * kTileTerms, stride);
    if (reads(0, is_input)) {
      _tile_loadd(5, tiles, 64);
      _tile_dpbf16ps(0, 4, 5);
    }
    if (V > 1 && reads(1, is_input)) {
      _tile_loadd(6, tiles + kTileSize, 64);
      _tile_dpbf16ps(1, 4, 6);
    }
    if (V > 2 && reads(2, is_input)) {
      _tile_loadd(7, tiles + 2 * kTileSize, 64);
      _tile_dpbf16ps(2, 4, 7);
    }
    if (V > 3 && reads(3, is_input)) {
      _tile_loadd(5, tiles + 3 * kTileSize, 64);
      _tile_dpbf16ps(3, 4, 5);
    }
    if (block + 1 < blocks) return;
    _tile_stored(0, sums, V * W * 4);
    if (V > 1) _tile_stored(1, sums + W, V * W * 4);
    if (V > 2) _tile_stored(2, sums + 2 * W, V * W * 4);
    if (V > 3) _tile_stored(3, sums + 3 * W, V * W * 4);
  }

  const Bits16 *a[2], *b;
  const float *bias;
  float *sums;
  int64_t stride, input_blocks, blocks, unit = 0;
};
