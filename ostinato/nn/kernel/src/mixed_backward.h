// Backward with products in bfloat16, from the top layer down: the recurrence, which replaces the saved gates by their
// gradients; the gradient of the layer's input; and those of the weights, which one worker adds up over all rows in
// order.
// Included inside a variant's namespace.

template <class Cell> class MixedBackpropagation {
  using Shape = MixedShape<Cell>;
  using P = Panels<Cell>;
  static constexpr int V = Cell::kVectors;
  static constexpr int64_t kRowsOfABlock = 128;   // in the gradient of the input
  static constexpr int64_t kBytesOfBothWeights = kSecondCache / 4 * 3;  // they stay in it

 public:
  MixedBackpropagation(const OstinatoStack &stack, const OstinatoGradients &gradients, Arena &arena)
      : plan_(stack, arena, 2 * MixedForward<Cell>::estimate(stack)),
        strips_(plan_, arena),
        gradients_(gradients),
        saved_{stack, stack.saved},
        arena_(arena) {
    strips_of_a_lane_ = strips_.side_by_side(plan_);
    lanes_of_a_side_ = (strips_.count + strips_of_a_lane_ - 1) / strips_of_a_lane_;
    layers_ = arena.take<Layer>(plan_.layers);
    for (int k = plan_.layers; k-- > 0;) prepare(k);
  }

  void run() {
    const int layers = plan_.layers;
    Stage *stages = arena_.take<Stage>(layers * 4 + 2);
    int count = 0;
    auto add = [&](int64_t tasks, const Layer *layer, void (*run)(const void *, int64_t)) {
      Stage *stage = new (stages + count++) Stage;
      stage->tasks = tasks;
      stage->job = layer;
      stage->run = run;
      return stage;
    };
    const Stage *above = nullptr;
    const Stage **recurrences = arena_.take<const Stage *>(layers);
    for (int k = layers; k-- > 0;) {
      const Layer *layer = &layers_[k];
      const Stage *pack = add(plan_.directions * layer->shape.panels.count, layer,
          [](const void *job, int64_t task) { static_cast<const Layer *>(job)->pack(task); });
      Stage *recurrence = add(plan_.directions * lanes_of_a_side_, layer,
          [](const void *job, int64_t task) { static_cast<const Layer *>(job)->recur(task); });
      recurrence->need(pack);
      if (above) recurrence->need(above);
      recurrences[k] = above = recurrence;
      if (!layer->wants_input) continue;
      if (!layer->is_input_at_once) {
        Stage *input = add(plan_.directions * layer->blocks(), layer,
            [](const void *job, int64_t task) { static_cast<const Layer *>(job)->differentiate_input(task); });
        input->need(recurrence);
        above = input;
      }
      if (k > 0) continue;
      add(layer->parts_of_the_input(), layer, [](const void *job, int64_t task) {
        static_cast<const Layer *>(job)->write_input_gradient(task);
      })->need(above);
    }
    for (int k = layers; k-- > 0;) {  // last in the queue: they fill the time while a recurrence occupies one worker
      const Layer *layer = &layers_[k];
      add(plan_.directions * layer->ranges(), layer, [](const void *job, int64_t task) {
        static_cast<const Layer *>(job)->differentiate_weights(task);
      })->need(recurrences[k]);
    }
    run_stages(stages, count, plan_.threads);
  }

 private:
  struct Side {  // one direction of one layer
    Bits16 *rows, *gates;
    float *cells;
    Bits16 *packed_input, *packed_hidden;
    float *input_gradient;  // (row, whole tiles of D)
    float *bias_sums;       // (strip, gates): each sum is over the rows of one strip
  };

  struct Layer {
    const MixedBackpropagation *owner;
    int number;
    Shape shape;
    bool wants_input;
    bool is_input_at_once;  // its gradient follows each step of the recurrence, as both weights stay in the cache
    Side sides[2];

    const Plan &plan() const { return owner->plan_; }
    int64_t input_stride() const { return round_up(shape.D, W); }

    void pack(int64_t task) const {
      const int direction = int(task / shape.panels.count);
      const int64_t panel = task % shape.panels.count;
      const float *const *weights = plan().weights(number, direction);
      pack_backward(shape, false, panel, weights[1], sides[direction].packed_hidden);
      if (wants_input) pack_backward(shape, true, panel, weights[0], sides[direction].packed_input);
    }

    // ---- the recurrence -------------------------------------------------------------------------------------------

    struct States {        // of one strip
      float *dh, *dc, *c0;  // gradients of h and c, and the initial c (row, padded)
      float *dx;            // of a step that has fewer rows than a tile (row, whole tiles of D)
    };

    void recur(int64_t task) const {
      const TileRegisters tiles;
      const int direction = int(task / owner->lanes_of_a_side_);
      const int64_t first = task % owner->lanes_of_a_side_ * owner->strips_of_a_lane_;
      const int count = int(std::min(owner->strips_of_a_lane_, owner->strips_.count - first));
      const Side &side = sides[direction];
      const int64_t padded = shape.panels.padded;
      const States *states = owner->states_ + direction * owner->strips_.count + first;
      int64_t begun[2] = {};
      for (int64_t t = owner->strips_[first].longest; t-- > 0;) {
        const Bits16 *gates[2] = {};
        float *dh[2] = {}, *dx[2] = {};
        int64_t counts[2] = {};
        int size = 0;
        for (int s = 0; s < count; s++) {
          const Strip &strip = owner->strips_[first + s];
          const int64_t rows = strip.rows(t);
          if (rows == 0) continue;
          for (; begun[s] < rows; begun[s]++) begin(direction, strip.sequences[begun[s]], states[s], begun[s]);
          step_back(direction, strip, t, rows, states[s], side.bias_sums + (first + s) * shape.gates);
          gates[size] = side.gates + strip.starts[t] * shape.gate_stride;
          if (is_input_at_once)  // a whole tile would overwrite the rows of the step after
            dx[size] = rows == kTileRows ? side.input_gradient + strip.starts[t] * input_stride() : states[s].dx;
          counts[size] = rows;
          dh[size++] = states[s].dh;
        }
        // dh += dG · W_hh
        size == 2 ? multiply<2, true>(gates, counts, side.packed_hidden, shape.H, dh, padded)
                  : multiply<1, true>(gates, counts, side.packed_hidden, shape.H, dh, padded);
        if (!is_input_at_once) continue;
        // dx = dG · W_ih
        size == 2 ? multiply<2, false>(gates, counts, side.packed_input, shape.D, dx, input_stride())
                  : multiply<1, false>(gates, counts, side.packed_input, shape.D, dx, input_stride());
        for (int s = 0; s < count; s++) {
          const Strip &strip = owner->strips_[first + s];
          const int64_t rows = strip.rows(t);
          if (rows == 0 || rows == kTileRows) continue;
          std::memcpy(side.input_gradient + strip.starts[t] * input_stride(), states[s].dx,
              sizeof(float) * size_t(rows * input_stride()));
        }
      }
      for (int s = 0; s < count; s++) {
        const Strip &strip = owner->strips_[first + s];
        for (int64_t r = 0; r < strip.size; r++)
          write_initial_gradients(plan(), owner->gradients_, number, direction, strip.sequences[r], r < begun[s],
              states[s].dh + r * padded, Cell::kCells ? states[s].dc + r * padded : nullptr);
      }
    }

    // out = or += dG · W for one or two tiles of rows
    template <int R, bool kAdd> void multiply(const Bits16 *const (&gates)[2], const int64_t (&rows)[2],
        const Bits16 *packed, int64_t columns, float *const (&out)[2], int64_t out_stride) const {
      multiply_gates<R, kAdd>(gates, shape.gate_stride, shape.gates, rows, packed, columns, out, out_stride);
    }

    // The last step of a sequence: its states' gradients are those of the final states.
    void begin(int direction, int64_t sequence, const States &states, int64_t r) const {
      const int64_t padded = shape.panels.padded, H = plan().H;
      const OstinatoGradients &given = owner->gradients_;
      copy_state(plan().initial(given.hn, number, direction, sequence), states.dh + r * padded, H, padded);
      if (Cell::kCells == 0) return;
      copy_state(plan().initial(given.cn, number, direction, sequence), states.dc + r * padded, H, padded);
      copy_state(plan().initial(plan().stack.c0, number, direction, sequence), states.c0 + r * padded, H, padded);
    }

    // What the cell's backward reads and writes of one step of one sequence.
    struct Row {
      Bits16 *gates;
      const Bits16 *h_prev;
      const float *c, *c_prev;
      float *dh, *dc;
      const float *dy[2];  // rows that add up to the gradient of h; may be null
      const Bits16 *gates_before;  // those of the step that comes next in backward; may be null
    };

    // The cell's backward at step t of the strip's first `count` sequences.
    void step_back(int direction, const Strip &strip, int64_t t, int64_t count, const States &states,
        float *bias_sums) const {
      const Side &side = sides[direction];
      const int64_t padded = shape.panels.padded, H = plan().H;
      Row rows[kTileRows];
      for (int64_t r = 0; r < count; r++) {
        const int64_t sequence = strip.sequences[r], length = plan().length(sequence), at = strip.starts[t] + r;
        Row &row = rows[r];
        row.gates = side.gates + at * shape.gate_stride;
        row.h_prev = side.rows + at * shape.row_stride + shape.input_terms;
        row.c = row.c_prev = nullptr;
        if (Cell::kCells) {
          row.c = side.cells + at * padded;
          row.c_prev = t > 0 ? side.cells + (strip.starts[t - 1] + r) * padded : states.c0 + r * padded;
        }
        row.dh = states.dh + r * padded, row.dc = states.dc + r * padded;
        row.gates_before = t > 0 ? side.gates + (strip.starts[t - 1] + r) * shape.gate_stride : nullptr;
        row.dy[0] = row.dy[1] = nullptr;
        if (number == plan().layers - 1) {
          const int64_t flat = plan().step(sequence, t, direction);
          const int64_t at = plan().index ? plan().index[flat] : flat;
          if (owner->gradients_.y) row.dy[0] = owner->gradients_.y + (at * plan().directions + direction) * H;
          continue;
        }
        const Layer &above = owner->layers_[number + 1];
        for (int other = 0; other < plan().directions; other++) {
          const int64_t then = other == direction ? t : length - 1 - t;
          row.dy[other] = above.sides[other].input_gradient +
                          (strip.starts[then] + r) * above.input_stride() + direction * H;
        }
      }
      for (int64_t panel = 0; panel < shape.panels.count; panel++) {
        Vec sums[V];
        float *total = bias_sums + panel * V * W;
        UNROLL for (int v = 0; v < V; v++) sums[v] = load(total + v * W);
        for (int64_t r = 0; r < count; r++) differentiate_cell(panel, rows[r], sums);
        UNROLL for (int v = 0; v < V; v++) store(total + v * W, sums[v]);
      }
      if (shape.panels.count * V * W == shape.gates) return;
      for (int64_t r = 0; r < count; r++) store_bfloat16(rows[r].gates + shape.gates - W, all(0.0f));  // half a tile
    }

    ALWAYS_INLINE void differentiate_cell(int64_t panel, const Row &row, Vec (&sums)[V]) const {
      alignas(64) float gates[V * W], h_prev[W];
      if (row.gates_before) {
        for (int v = 0; v < V; v += 2) _mm_prefetch(row.gates_before + (panel * V + v) * W, _MM_HINT_T0);
      }
      UNROLL for (int v = 0; v < V; v++) store(gates + v * W, from_float16(row.gates + (panel * V + v) * W));
      const int64_t unit = panel * P::kUnits;
      UNROLL for (int u = 0; u < Cell::kUnitVectors; u++) {
        const __mmask16 mask = shape.lanes(panel, u);
        const int64_t at = unit + u * W;
        Vec dh = load(row.dh + at);
        if (row.dy[0]) dh = dh + _mm512_maskz_loadu_ps(mask, row.dy[0] + at);
        if (row.dy[1]) dh = dh + _mm512_maskz_loadu_ps(mask, row.dy[1] + at);
        store(row.dh + at, dh);
      }
      if constexpr (!Shape::kReadsAll) store(h_prev, from_bfloat16(row.h_prev + unit));
      Cell::backward({gates, h_prev, row.c + unit, row.c_prev + unit, row.dh + unit, row.dc + unit, W});
      UNROLL for (int v = 0; v < V; v++) {
        // zeros past the last unit: an infinite input makes them NaN, and products add them to every gradient
        const __mmask16 mask = shape.lanes(panel, Cell::kUnitVectors > 1 ? v : 0);
        const Vec gradient = _mm512_maskz_mov_ps(mask, load(gates + v * W));
        sums[v] = sums[v] + gradient;
        store_bfloat16(row.gates + (panel * V + v) * W, gradient);
      }
    }

    // ---- the input ------------------------------------------------------------------------------------------------

    int64_t blocks() const { return (plan().N + kRowsOfABlock - 1) / kRowsOfABlock; }

    // dx = dG · W_ih of one direction, for one block of rows
    void differentiate_input(int64_t task) const {
      const TileRegisters tiles;
      const Side &side = sides[task / blocks()];
      const int64_t first = task % blocks() * kRowsOfABlock, end = std::min(first + kRowsOfABlock, plan().N);
      for (int64_t row = first; row < end; row += 2 * kTileRows) {
        const Bits16 *const gates = side.gates + row * shape.gate_stride;
        float *const to = side.input_gradient + row * input_stride();
        if (row + kTileRows < end)
          multiply_gates<2, false>({gates, gates + kTileRows * shape.gate_stride}, shape.gate_stride, shape.gates,
              kWholeTiles, side.packed_input, shape.D, {to, to + kTileRows * input_stride()}, input_stride());
        else
          multiply_gates<1, false>({gates, nullptr}, shape.gate_stride, shape.gates, kWholeTiles, side.packed_input,
              shape.D, {to, nullptr}, input_stride());
      }
    }

    static constexpr int64_t kColumnsOfAPart = 32;  // of a table's gradient
    bool is_table() const { return plan().stack.ids; }
    int64_t parts_of_the_input() const {
      return is_table() ? (shape.D + kColumnsOfAPart - 1) / kColumnsOfAPart : owner->strips_.count;
    }

    // The caller's gradient of x: the directions' sum; of a table, added up over the steps that read the same row.
    void write_input_gradient(int64_t part) const { is_table() ? add_to_table(part) : write_steps(part); }

    const float *input_gradient_row(const Strip &strip, int64_t t, int64_t r, int64_t length, int direction) const {
      const int64_t then = direction == 0 ? t : length - 1 - t;
      return sides[direction].input_gradient + (strip.starts[then] + r) * input_stride();
    }

    void write_steps(int64_t strip_number) const {
      const Strip &strip = owner->strips_[strip_number];
      for (int64_t r = 0; r < strip.size; r++) {
        const int64_t length = plan().length(strip.sequences[r]);
        for (int64_t t = 0; t < length; t++) {
          const int64_t flat = plan().step(strip.sequences[r], t, 0);
          float *to = owner->gradients_.x + (plan().index ? plan().index[flat] : flat) * shape.D;
          add_rows(strip, t, r, length, 0, shape.D, to, false);
        }
      }
    }

    void add_to_table(int64_t part) const {
      const int64_t first = part * kColumnsOfAPart, end = std::min(first + kColumnsOfAPart, shape.D);
      float *table = owner->gradients_.x;
      for (int64_t row = 0; row < plan().stack.table_rows; row++)
        std::memset(table + row * shape.D + first, 0, sizeof(float) * size_t(end - first));
      owner->strips_.for_rows([&](const Strip &strip, int64_t t, int64_t r, int64_t) {
        const int64_t flat = plan().step(strip.sequences[r], t, 0);
        const int64_t length = plan().length(strip.sequences[r]);
        add_rows(strip, t, r, length, first, end, table + plan().stack.ids[flat] * shape.D, true);
      });
    }

    // to[first, end) = or += the sum of both directions' gradients of one step's input
    void add_rows(const Strip &strip, int64_t t, int64_t r, int64_t length, int64_t first, int64_t end, float *to,
        bool add) const {
      const float *one = input_gradient_row(strip, t, r, length, 0);
      const float *two = plan().directions > 1 ? input_gradient_row(strip, t, r, length, 1) : nullptr;
      for (int64_t k = first; k < end; k += W) {
        const int64_t left = end - k;
        Vec sum = load(one + k);
        if (two) sum = sum + load(two + k);
        store_up_to(to + k, add ? sum + load_up_to(to + k, left) : sum, left);
      }
    }

    // ---- the weights ----------------------------------------------------------------------------------------------

    // Each range of panels turns all rows again, so there are only as many as threads need.
    int64_t ranges() const {
      const int64_t wanted = (plan().threads + plan().directions - 1) / plan().directions;
      return std::min(shape.panels.count, wanted);
    }

    // dW = [x | h before]ᵀ · dG, for a range of panels
    void differentiate_weights(int64_t task) const {
      const int direction = int(task / ranges());
      const int64_t range = task % ranges();
      const int64_t first = shape.panels.count * range / ranges(), end = shape.panels.count * (range + 1) / ranges();
      float *const *to = owner->gradients_.weights + (number * plan().directions + direction) * 4;
      if (!to[0] && !to[1] && !to[2] && !to[3]) return;
      Arena arena;
      float *sums = arena.take_zeroed<float>((end - first) * shape.terms * V * W);  // (panel, term, V · W)
      const TileRegisters tiles;
      if (to[0] || to[1]) {
        Bits16 *left = arena.take<Bits16>(shape.terms / W * kBlocksOfASum * kTileSize);  // (16 terms, block) tiles
        Bits16 *right = arena.take<Bits16>(V * kBlocksOfASum * kTileSize);               // (vector, block) tiles
        for (int64_t row = 0; row < plan().N; row += kTileTerms * kBlocksOfASum) {
          const int64_t rows = std::min(kTileTerms * kBlocksOfASum, plan().N - row);
          turn_rows(sides[direction], row, rows, left);
          for (int64_t panel = first; panel < end; panel++) {
            pack_gates(sides[direction], panel, row, rows, right);
            add_products(left, right, rows, sums + (panel - first) * shape.terms * V * W);
          }
        }
      }
      for (int64_t panel = first; panel < end; panel++) {
        const float *panel_sums = sums + (panel - first) * shape.terms * V * W;
        for (int v = 0; v < V; v++) {
          if (to[0] && Shape::reads_input(v)) write_weights(panel, v, panel_sums, shape.D, to[0]);
          if (to[1] && Shape::reads_hidden(v))
            write_weights(panel, v, panel_sums + shape.input_terms * V * W, shape.H, to[1]);
          if (to[2] && Shape::reads_input(v)) write_bias(direction, panel, v, to[2]);
          if (to[3] && Shape::reads_hidden(v)) write_bias(direction, panel, v, to[3]);
        }
      }
    }

    // Up to kBlocksOfASum blocks of 32 rows [x | h before] as left operands whose rows are terms; zeros past the last
    // row.
    void turn_rows(const Side &side, int64_t row, int64_t rows, Bits16 *left) const {
      for (int64_t block = 0; block * kTileTerms < rows; block++) {
        const Bits16 *from = side.rows + (row + block * kTileTerms) * shape.row_stride;
        const int64_t left_rows = rows - block * kTileTerms;
        for (int64_t term = 0; term < shape.terms; term += 2 * W) {
          Bits16 *one = left + (term / W * kBlocksOfASum + block) * kTileSize, *two = one + kBlocksOfASum * kTileSize;
          pair_rows(from + term, shape.row_stride, left_rows, one, two);
          transpose(one), transpose(two);
        }
      }
    }

    // Up to kBlocksOfASum blocks of 32 rows of one panel's gradients as right operands.
    void pack_gates(const Side &side, int64_t panel, int64_t row, int64_t rows, Bits16 *right) const {
      alignas(64) Bits16 discarded[kTileSize];
      for (int64_t block = 0; block * kTileTerms < rows; block++) {
        const Bits16 *from = side.gates + (row + block * kTileTerms) * shape.gate_stride + panel * V * W;
        for (int v = 0; v < V; v += 2) {  // a row has half a tile to spare: reading two vectors is safe
          Bits16 *one = right + (v * kBlocksOfASum + block) * kTileSize;
          pair_rows(from + v * W, shape.gate_stride, rows - block * kTileTerms, one,
              v + 1 < V ? one + kBlocksOfASum * kTileSize : discarded);
        }
      }
    }

    static void pair_rows(const Bits16 *from, int64_t stride, int64_t rows, Bits16 *one, Bits16 *two) {
      const __m512i zero = _mm512_setzero_si512();
      for (int64_t k = 0; k < kTileTerms; k += 2) {
        _mm_prefetch(from + (k + kTileTerms) * stride, _MM_HINT_T0);
        _mm_prefetch(from + (k + kTileTerms + 1) * stride, _MM_HINT_T0);
        const __m512i even = k < rows ? _mm512_loadu_si512(from + k * stride) : zero;
        const __m512i odd = k + 1 < rows ? _mm512_loadu_si512(from + (k + 1) * stride) : zero;
        interleave(even, odd, one + k / 2 * kTileTerms, two + k / 2 * kTileTerms);
      }
    }

    void add_products(const Bits16 *left, const Bits16 *right, int64_t rows, float *sums) const {
      const int64_t blocks = (rows + kTileTerms - 1) / kTileTerms;
      for (int64_t term = 0; term < shape.terms; term += 2 * W) {
        const Bits16 *a = left + term / W * kBlocksOfASum * kTileSize;
        float *to = sums + term * V * W;
        term < shape.input_terms ? add_vectors<Cell::kInput, Cell::kInputVectors>(a, right, blocks, to)
                                 : add_vectors<Cell::kHidden, Cell::kHiddenVectors>(a, right, blocks, to);
      }
    }

    // Two tiles of terms with `count` vectors of gates, from v on.
    template <int v, int count>
    void add_vectors(const Bits16 *left, const Bits16 *right, int64_t blocks, float *sums) const {
      constexpr int64_t kTiles = kBlocksOfASum * kTileSize;
      constexpr int C = count < kTileColumns ? count : kTileColumns;
      TileProduct<2, C> product{{left, left + kTiles}, kTileTerms, kTileSize, {}, kTileSize, {}, V * W};
      for (int c = 0; c < C; c++) {
        product.b[c] = right + (v + c) * kTiles;
        for (int r = 0; r < 2; r++) product.sums[r][c] = sums + r * W * V * W + (v + c) * W;
      }
      product.template run<true>(blocks);
      if constexpr (count > C) add_vectors<v + C, count - C>(left, right, blocks, sums);
    }

    // 16 by 16 sums at a time: they lie (term, row of the weight), and the weight's gradient (row, term).
    void write_weights(int64_t panel, int v, const float *sums, int64_t columns, float *to) const {
      alignas(64) float square[W][W];
      for (int64_t column = 0; column < columns; column += W) {
        for (int j = 0; j < W; j++) store(square[j], load(sums + (column + j) * V * W + v * W));
        transpose(square);
        for (int j = 0; j < W; j++) {
          const int64_t row = shape.panels.row(panel, v, j);
          if (row >= 0) store_up_to(to + row * columns + column, load(square[j]), columns - column);
        }
      }
    }

    void write_bias(int direction, int64_t panel, int v, float *to) const {
      Vec sum = all(0.0f);
      for (int64_t s = 0; s < owner->strips_.count; s++)
        sum = sum + load(sides[direction].bias_sums + s * shape.gates + (panel * V + v) * W);
      alignas(64) float total[W];
      store(total, sum);
      for (int j = 0; j < W; j++) {
        const int64_t row = shape.panels.row(panel, v, j);
        if (row >= 0) to[row] = total[j];
      }
    }
  };

  void prepare(int number) {
    const Shape shape = saved_.shape(number);
    const bool wants_input = number > 0 || gradients_.x;
    const int64_t bytes = (packed_backward_size(shape, shape.H) + packed_backward_size(shape, shape.D)) * 2;
    Layer &layer = *new (layers_ + number)
        Layer{this, number, shape, wants_input, wants_input && bytes <= kBytesOfBothWeights, {}};
    const int64_t rows = round_up(plan_.N, kTileRows);
    for (int direction = 0; direction < plan_.directions; direction++) {
      const typename MixedSaved<Cell>::Side saved = saved_.side(number, direction);
      Side &side = layer.sides[direction];
      side = {saved.rows, saved.gates, saved.cells, nullptr, nullptr, nullptr, nullptr};
      side.packed_hidden = arena_.take_zeroed<Bits16>(packed_backward_size(shape, shape.H));
      side.bias_sums = arena_.take_zeroed<float>(strips_.count * shape.gates);
      if (!layer.wants_input) continue;
      side.packed_input = arena_.take_zeroed<Bits16>(packed_backward_size(shape, shape.D));
      side.input_gradient = arena_.take<float>(rows * layer.input_stride());
    }
    if (states_) return;
    states_ = arena_.take<typename Layer::States>(plan_.directions * strips_.count);
    const int64_t size = kTileRows * shape.panels.padded;
    const int64_t widest = kTileRows * std::max(saved_.shape(0).D, shape.D);
    for (int64_t k = 0; k < plan_.directions * strips_.count; k++)
      states_[k] = {arena_.take<float>(size), arena_.take<float>(size), arena_.take<float>(size),
          arena_.take<float>(round_up(widest, kTileRows * W))};
  }

  const Plan plan_;
  const Strips strips_;
  const OstinatoGradients &gradients_;
  const MixedSaved<Cell> saved_;
  Arena &arena_;
  Layer *layers_;
  typename Layer::States *states_ = nullptr;  // (direction, strip), for one layer at a time
  int64_t strips_of_a_lane_, lanes_of_a_side_;
};
