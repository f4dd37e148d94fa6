// Stacks whose products are in bfloat16 with float32 sums: what forward and backward both need. States, gates, biases
// and gradients that are passed on stay in float32; gates are saved in float16.
//
// A step's row holds [x | h before], so that one product with [W_ih | W_hh] gives the sums of all gates, and its
// transpose with the gates' gradients gives those of both weights. Rows are in the order in which they are computed:
// strip by strip, step by step. Strips do not depend on the number of threads, and so neither do sums over rows.
// Included inside a variant's namespace.

// Up to 16 sequences side by side, longest first: the rows of one tile.
struct Strip {
  int64_t number;
  const int64_t *sequences;
  int64_t size, longest;
  int64_t *starts;  // (longest + 1,) the row of the first sequence in each step, and the end

  int64_t rows(int64_t t) const { return t < longest ? starts[t + 1] - starts[t] : 0; }
};

struct Strips {
  Strip *strips;
  int64_t count;

  Strips(const Plan &plan, Arena &arena) : count((plan.B + kTileRows - 1) / kTileRows) {
    strips = arena.take<Strip>(count);
    int64_t row = 0;
    for (int64_t s = 0; s < count; s++) {
      Strip &strip = strips[s];
      strip.number = s;
      strip.sequences = plan.sorted + s * kTileRows;
      strip.size = std::min(kTileRows, plan.B - s * kTileRows);
      strip.longest = plan.length(strip.sequences[0]);
      strip.starts = arena.take<int64_t>(strip.longest + 1);
      int64_t active = strip.size;
      for (int64_t t = 0; t < strip.longest; t++) {
        while (plan.length(strip.sequences[active - 1]) <= t) active--;
        strip.starts[t] = row;
        row += active;
      }
      strip.starts[strip.longest] = row;
    }
  }

  const Strip &operator[](int64_t s) const { return strips[s]; }

  // Strips that a worker takes side by side: two, which share each packed weight, if that leaves work for the others.
  int64_t side_by_side(const Plan &plan) const {
    return count > 1 && (count + 1) / 2 * plan.directions >= plan.threads ? 2 : 1;
  }

  // Calls f(strip, t, r, row) for all rows of all steps, in order.
  template <class F> void for_rows(F f) const {
    for (int64_t s = 0; s < count; s++) {
      for (int64_t t = 0, row = strips[s].starts[0]; t < strips[s].longest; t++) {
        for (int64_t r = 0; row < strips[s].starts[t + 1]; r++, row++) f(strips[s], t, r, row);
      }
    }
  }
};

// The sizes of one layer's rows.
template <class Cell> struct MixedShape {
  static constexpr int V = Cell::kVectors;  // columns of sums in a panel, in tiles
  Panels<Cell> panels;
  int64_t D, H;
  int64_t input_terms, hidden_terms, terms;  // D, H and their sum in whole tiles
  int64_t gates;                             // of all panels, in whole tiles
  int64_t row_stride, gate_stride;           // values from row to row: away from powers of two, for the caches' sake

  MixedShape(int64_t input_size, int64_t hidden_size)
      : panels(hidden_size),
        D(input_size),
        H(hidden_size),
        input_terms(round_up(D, kTileTerms)),
        hidden_terms(round_up(panels.padded, kTileTerms)),
        terms(input_terms + hidden_terms),
        gates(round_up(panels.count * V * W, kTileTerms)),
        row_stride(terms + kTileTerms),
        gate_stride(gates + kTileTerms) {}

  static constexpr bool reads_input(int v) { return v >= Cell::kInput && v < Cell::kInput + Cell::kInputVectors; }
  static constexpr bool reads_hidden(int v) { return v >= Cell::kHidden && v < Cell::kHidden + Cell::kHiddenVectors; }
  static constexpr bool kReadsAll = Cell::kInputVectors == V && Cell::kHiddenVectors == V;

  // The lanes of vector v of a panel that hold units.
  __mmask16 lanes(int64_t panel, int v) const {
    const int64_t left = H - panel * Panels<Cell>::kUnits - (Cell::kUnitVectors > 1 ? v * W : 0);
    return left > 0 ? mask_of(left) : __mmask16(0);
  }
};

// Tiles read 16 rows, also where a step has fewer: they may read past the last row.
constexpr int64_t kRowsPastTheEnd = kTileRows;

// What training saves, for each layer and direction: rows [x | h before], gates, and cell states (row, padded).
template <class Cell> struct MixedSaved {
  struct Side {
    Bits16 *rows;
    Bits16 *gates;  // float16; after backward their gradients in bfloat16
    float *cells;
  };

  const OstinatoStack &stack;
  float *start;

  static int64_t floats(const OstinatoStack &s, const MixedShape<Cell> &shape) {
    const int64_t rows = round_up(s.num_steps, kTileRows);
    return (rows + kRowsPastTheEnd) * (shape.row_stride + shape.gate_stride) / 2 +
           (Cell::kCells ? rows * shape.panels.padded : 0);
  }

  MixedShape<Cell> shape(int layer) const {
    return {layer == 0 ? stack.input_size : stack.num_directions * stack.hidden_size, stack.hidden_size};
  }

  int64_t floats() const {
    int64_t total = 0;
    for (int layer = 0; layer < stack.num_layers; layer++) total += stack.num_directions * floats(stack, shape(layer));
    return total;
  }

  Side side(int layer, int direction) const {
    float *at = start;
    for (int below = 0; below < layer; below++) at += stack.num_directions * floats(stack, shape(below));
    const MixedShape<Cell> mine = shape(layer);
    at += direction * floats(stack, mine);
    const int64_t rows = round_up(stack.num_steps, kTileRows);
    Side side;
    side.cells = at;
    side.rows = reinterpret_cast<Bits16 *>(at + (Cell::kCells ? rows * mine.panels.padded : 0));
    side.gates = side.rows + (rows + kRowsPastTheEnd) * mine.row_stride;
    return side;
  }
};

// ---- packed weights -----------------------------------------------------------------------------------------------

// [W_ih | W_hh] of one panel as a right operand: (block of terms, vector) tiles, zeros where a vector does not read.
template <class Cell> void pack_forward(const MixedShape<Cell> &shape, int64_t panel, const float *weight_ih,
    const float *weight_hh, Bits16 *packed) {
  constexpr int V = Cell::kVectors;
  for (int64_t term = 0; term < shape.terms; term += kTileTerms, packed += V * kTileSize) {
    const bool is_input = term < shape.input_terms;
    const float *weight = is_input ? weight_ih : weight_hh;
    const int64_t columns = is_input ? shape.D : shape.H, from = is_input ? term : term - shape.input_terms;
    for (int v = 0; v < V; v++) {
      Bits16 *tile = packed + v * kTileSize;
      std::memset(tile, 0, sizeof(Bits16) * kTileSize);
      if (!(is_input ? shape.reads_input(v) : shape.reads_hidden(v))) continue;
      for (int j = 0; j < W; j++) {
        const int64_t row = shape.panels.row(panel, v, j);
        if (row >= 0 && from < columns)
          convert_row(weight + row * columns + from, tile + j * kTileTerms, std::min(kTileTerms, columns - from));
      }
      transpose(tile);  // (column, pair of terms) -> (pair of terms, column)
    }
  }
}

// A weight as the right operand of dG · W: [up to 64 columns][block of gates][tile of 16 columns].
template <class Cell> void pack_backward(
    const MixedShape<Cell> &shape, bool is_input, int64_t panel, const float *weight, Bits16 *packed) {
  constexpr int V = Cell::kVectors;
  const int64_t columns = is_input ? shape.D : shape.H, tiles = (columns + W - 1) / W;
  alignas(64) Bits16 pair[2][kTileTerms];
  for (int64_t k = 0; k < V * W; k += 2) {
    const int v = int(k / W);
    const bool reads = is_input ? shape.reads_input(v) : shape.reads_hidden(v);
    const int64_t gate = panel * V * W + k;
    for (int64_t tile = 0; tile < tiles; tile += 2) {  // two tiles are one vector of 32 values
      const int64_t column = tile * W;
      std::memset(pair, 0, sizeof pair);
      for (int odd = 0; odd < 2; odd++) {
        const int64_t row = reads ? shape.panels.row(panel, v, int(k % W) + odd) : -1;
        if (row >= 0)
          convert_row(weight + row * columns + column, pair[odd], std::min(kTileTerms, columns - column));
      }
      alignas(64) Bits16 discarded[kTileTerms];
      const int64_t group = tile / 4 * 4, in_group = std::min(int64_t(4), tiles - group);
      Bits16 *to = packed + group * shape.gates * W +
                   (gate / kTileTerms * in_group + tile - group) * kTileSize + gate % kTileTerms / 2 * kTileTerms;
      interleave(_mm512_load_si512(pair[0]), _mm512_load_si512(pair[1]), to,
          tile + 1 < tiles ? to + kTileSize : discarded);
    }
  }
}

// Values that `pack_backward` writes for all panels.
template <class Cell> int64_t packed_backward_size(const MixedShape<Cell> &shape, int64_t columns) {
  return round_up(columns, W) * shape.gates;
}

// out = or += dG · W for the first rows of one or two tiles of rows and all columns. Rows of `out` hold whole tiles of
// columns; the other rows of its tiles may be written.
template <int R, bool kAdd> void multiply_gates(const Bits16 *const (&gates)[2], int64_t gate_stride, int64_t num_gates,
    const int64_t (&rows)[2], const Bits16 *packed, int64_t columns, float *const (&out)[2], int64_t out_stride) {
  const int64_t tiles = (columns + W - 1) / W, blocks = num_gates / kTileTerms;
  for (int64_t group = 0; group < tiles; group += 4) {
    const int64_t in_group = std::min(int64_t(4), tiles - group);
    for (int64_t tile = 0; tile < in_group; tile += 2) {
      const Bits16 *b = packed + group * num_gates * W + tile * kTileSize;
      const int64_t column = (group + tile) * W, b_step = in_group * kTileSize;
      float *const first = out[0] + column, *const second = R > 1 ? out[1] + column : nullptr;
      if (tile + 1 < in_group) {
        TileProduct<R, 2>{{gates[0], gates[1]}, gate_stride, kTileTerms, {b, b + kTileSize}, b_step,
            {{first, first + W}, {second, second + W}}, out_stride}.template run<kAdd>(blocks, rows);
      } else {
        TileProduct<R, 1>{{gates[0], gates[1]}, gate_stride, kTileTerms, {b, nullptr}, b_step,
            {{first, nullptr}, {second, nullptr}}, out_stride}.template run<kAdd>(blocks, rows);
      }
    }
  }
}
