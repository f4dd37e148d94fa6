// Backward, from the top layer down. The recurrence turns the saved gates into their gradients, group by group. Then
// come the gradient of the layer's input, one block of steps at a time, and the gradients of the weights. One worker
// sums a part of a weight's gradient over all steps in flat order, so its bits do not depend on the number of workers.
// If the input is a table, the gradients of steps that read the same row are added up first.
// Included inside a variant's namespace.

template <class Cell> class Backpropagation {
  using P = Panels<Cell>;
  static constexpr int kIn = Cell::kInputVectors, kHid = Cell::kHiddenVectors, kSaved = Cell::kSavedCells;
  static constexpr int64_t kStepsOfABlock = 192;  // in the gradient of the input
  static constexpr int64_t kShards = 8;  // parts of a table's gradient that are set to zero

 public:
  Backpropagation(const OstinatoStack &stack, const OstinatoGradients &gradients, Arena &arena)
      : plan_(stack, arena, 2 * Forward<Cell>::estimate(stack), Cell::kWeights),
        gradients_(gradients),
        panels_(stack.hidden_size),
        saved_(stack, stack.saved),
        arena_(arena),
        zeros_(arena.take_zeroed<float>(panels_.padded * std::max(Cell::kSavedCells, 1))) {
    layers_ = arena.take<Layer>(plan_.layers);
    for (int k = plan_.layers; k-- > 0;) prepare(k);
  }

  void run() {
    const int layers = plan_.layers;
    Stage *stages = arena_.take<Stage>(layers * 6);
    int count = 0;
    auto add = [&](int64_t tasks, const Layer *layer, void (*run)(const void *, int64_t)) {
      Stage *stage = new (stages + count++) Stage;
      stage->tasks = tasks;
      stage->job = layer;
      stage->run = run;
      return stage;
    };
    const Stage *above = nullptr;
    const Stage **gradients = arena_.take<const Stage *>(layers);
    for (int k = layers; k-- > 0;) {
      const Layer *layer = &layers_[k];
      const Stage *pack = add(plan_.directions * panels_.count, layer,
          [](const void *job, int64_t task) { static_cast<const Layer *>(job)->pack(task); });
      Stage *recurrence = add(plan_.directions * plan_.num_groups, layer,
                              [](const void *job, int64_t task) { static_cast<const Layer *>(job)->recur(task); });
      recurrence->need(pack);
      if (above) recurrence->need(above);
      gradients[k] = recurrence;
      if (layer->is_table()) {
        Stage *sum = add(plan_.directions * panels_.count, layer,
            [](const void *job, int64_t task) { static_cast<const Layer *>(job)->sum_by_row(task); });
        sum->need(recurrence);
        gradients[k] = sum;
      }
      if (!layer->input_gradient.data) continue;
      Stage *input = add((layer->inputs() + kStepsOfABlock - 1) / kStepsOfABlock, layer,
          [](const void *job, int64_t task) { static_cast<const Layer *>(job)->differentiate_input(task); });
      input->need(gradients[k]);
      above = input;
      if (layer->is_table()) {
        Stage *clear = add(kShards, layer,
            [](const void *job, int64_t task) { static_cast<const Layer *>(job)->clear_table(task); });
        input->need(clear);
      }
    }
    for (int k = layers; k-- > 0;) {  // last in the queue: they fill the time while a recurrence occupies one worker
      const Layer *layer = &layers_[k];
      add(layer->sums(), layer, [](const void *job, int64_t task) {
        static_cast<const Layer *>(job)->differentiate_weights(task);
      })->need(gradients[k]);
    }
    run_stages(stages, count, plan_.threads);
  }

 private:
  struct Side {  // one direction of one layer
    float *gates, *cells;            // saved by forward; gates become their gradients
    float *input_rows, *hidden_rows; // weights packed by rows
    float *row_gates;                // of a table: the gradients summed by row, (panel, distinct, kIn · W)
    float *input_totals, *hidden_totals; // of the gradients of weights and biases
    const float **x, **h_prev;       // for each input, and for each flat step (N,)
    StepMoments *moments;            // of a cell with layer norm: saved by forward,
    const NormWeights *norm;
    float *norm_sums;                // and the gradients of gains and biases (sequence, panel, kNormVectors)
  };

  struct Layer {
    const Backpropagation *owner;
    int number;
    int64_t D;
    Side sides[2];
    Rows<const float> input, output;
    Rows<const float> output_gradient;  // data may be null: no gradient
    Rows<float> input_gradient;         // data may be null: not wanted

    const Plan &plan() const { return owner->plan_; }
    const P &panels() const { return owner->panels_; }
    bool is_table() const { return number == 0 && plan().stack.ids; }
    int64_t inputs() const { return is_table() ? plan().distinct.count : plan().N; }

    void pack(int64_t task) const {
      const int direction = int(task / panels().count);
      const int64_t panel = task % panels().count;
      const float *const *weights = plan().weights(number, direction);
      const int64_t H = plan().H;
      pack_rows<Cell, kHid>(
          panels(), panel, Cell::kHidden, weights[1], H, panels().head, sides[direction].hidden_rows);
      if (input_gradient.data)
        pack_rows<Cell, kIn>(panels(), panel, Cell::kInput, weights[0], D, D, sides[direction].input_rows);
    }

    // ---- the recurrence ---------------------------------------------------------------------------------------

    struct States {  // of one group's sequences
      float *dh;            // gradients of h (row, padded),
      float *dc, *c0;       // and of the saved cell states, and these at first (row, panel, state, W)
      int64_t *steps;       // the current flat steps,
      float **rows;         // and their rows of dh
      float *norm_sums;     // the gradients of gains and biases of the last steps (row, panel, kNormVectors)
      float *scratch;       // (padded · 5)
    };

    void recur(int64_t task) const {
      const int direction = int(task) / owner->plan_.num_groups;
      const Group &group = plan().groups[task % plan().num_groups];
      const States states = owner->states_[task];
      const int64_t padded = panels().padded, H = plan().H;
      const OstinatoGradients &given = owner->gradients_;
      int64_t rows = 0;
      for (int64_t t = group.size ? plan().length(group.sequences[0]) - 1 : -1; t >= 0; t--) {
        for (; rows < group.size && plan().length(group.sequences[rows]) > t; rows++) {  // their last step is t
          const int64_t sequence = group.sequences[rows];
          copy_state(plan().initial(given.hn, number, direction, sequence), states.dh + rows * padded, H, padded);
          if (Cell::kNorm) std::memset(states.norm_sums + rows * norm_floats(), 0, sizeof(float) * norm_floats());
          const int64_t cells = rows * padded * kSaved;
          copy_cells<kSaved>(
              plan().initial(given.cn, number, direction, sequence, Cell::kCells), states.dc + cells, H);
          copy_cells<kSaved>(
              plan().initial(plan().stack.c0, number, direction, sequence, Cell::kCells), states.c0 + cells, H);
        }
        for (int64_t r = 0; r < rows; r++) step_back(direction, group.sequences[r], t, r, states);
        multiply_back(direction, group, t, rows, states);
      }
      for (int64_t r = 0; r < group.size; r++)
        write_initial_gradients(plan(), given, number, direction, group.sequences[r], r < rows, states.dh + r * padded,
            Cell::kCells == 1 ? states.dc + r * padded : nullptr);
    }

    // The cell's backward at step t of one sequence.
    void step_back(int direction, int64_t sequence, int64_t t, int64_t r, const States &states) const {
      const Side &side = sides[direction];
      const int64_t padded = panels().padded, H = plan().H, panel_stride = plan().N * P::kFloats;
      const int64_t step = plan().step(sequence, t, direction);
      const int64_t before = t > 0 ? plan().step(sequence, t - 1, direction) : -1;
      const float *h0 = plan().initial(plan().stack.h0, number, direction, sequence);
      const float *h_prev = before >= 0 ? output(before) + direction * H : h0 ? h0 : owner->zeros_;
      const float *c = owner->zeros_, *c_prev = owner->zeros_;
      if (kSaved > 0) {
        c = side.cells + step * padded * kSaved;
        c_prev = before >= 0 ? side.cells + before * padded * kSaved : states.c0 + r * padded * kSaved;
      }
      if (!is_table()) side.x[step] = input(step);
      side.h_prev[step] = h_prev;
      float *dh = states.dh + r * padded, *dc = states.dc + r * padded * kSaved;
      if (before >= 0) fetch(side, before);
      if (output_gradient.data) {
        const float *dy = output_gradient(step) + direction * H;
        for (int64_t unit = 0; unit < H; unit += W) store(dh + unit, load(dh + unit) + load_up_to(dy + unit, H - unit));
      }
      if constexpr (Cell::kNorm) {
        float *sums = states.norm_sums + r * norm_floats();
        LnLstmBackward{*side.norm, panel_stride, panels().count * panel_stride, states.scratch}.run(
            side.gates + step * P::kFloats, c, c_prev, side.moments[step], dh, dc, sums);
        if (t % kStepsOfASum == 0) move_sums(sums, side.norm_sums + sequence * norm_floats(), norm_floats());
      } else {
        for (int64_t panel = 0; panel < panels().count; panel++) {
          const int64_t unit = panel * P::kUnits;
          Cell::backward({side.gates + panel * panel_stride + step * P::kFloats, h_prev + unit, c + unit * kSaved,
              c_prev + unit * kSaved, dh + unit, dc + unit * kSaved, int(std::min(H - unit, int64_t(W)))});
        }
      }
      clear_padding(side.gates + (panels().count - 1) * panel_stride + step * P::kFloats);
      if (Cell::kNorm) clear_padding(hidden_gates(side) + (panels().count - 1) * panel_stride + step * P::kFloats);
    }

    // Asks for the gates of a step that is differentiated soon: the steps of many sequences are more streams of memory
    // than the processor follows by itself.
    void fetch(const Side &side, int64_t step) const {
      const float *gates = side.gates + step * P::kFloats;
      for (int64_t panel = 0; panel < (Cell::kNorm ? 2 : 1) * panels().count; panel++, gates += plan().N * P::kFloats) {
        for (int64_t k = 0; k < P::kFloats; k += 16) __builtin_prefetch(gates + k, 1);
      }
    }

    int64_t norm_floats() const { return panels().count * kNormVectors * W; }

    static void move_sums(float *from, float *to, int64_t floats) {
      for (int64_t k = 0; k < floats; k += W) store(to + k, load(to + k) + load(from + k)), store(from + k, all(0.0f));
    }

    // Zeros past the last unit in the gates' gradients of the last panel. An infinite input makes them NaN, and the
    // products add them to every gradient, times zero.
    void clear_padding(float *gates) const {
      const int64_t units = plan().H - (panels().count - 1) * P::kUnits;  // in the last panel
      if (units == P::kUnits) return;
      for (int v = 0; v < Cell::kVectors; v++) {
        const int64_t real = Cell::kUnitVectors > 1 ? units - v * W : units;
        if (real < W) store(gates + v * W, load_first(gates + v * W, int(std::max(real, int64_t(0)))));
      }
    }

    // dh += dG · W_hh
    void multiply_back(int direction, const Group &group, int64_t t, int64_t rows, const States &states) const {
      const Side &side = sides[direction];
      for (int64_t r = 0; r < rows; r++) {
        states.steps[r] = plan().step(group.sequences[r], t, direction);
        states.rows[r] = states.dh + r * panels().padded;
      }
      const PanelFactor factor = {hidden_gates(side), side.hidden_rows};
      PanelShape shape = {panels().count, plan().N * P::kFloats, P::kFloats, kHid * W};
      if (panels().head < plan().H) shape.head = panels().head, shape.units = P::kUnits;
      multiply_panels<true>(&factor, 1, shape, states.steps, rows, states.rows, plan().H);
    }

    // dG of W_hh h.
    float *hidden_gates(const Side &side) const {
      return side.gates + (Cell::kNorm ? panels().count * plan().N * P::kFloats : Cell::kHidden * W);
    }

    // ---- the input --------------------------------------------------------------------------------------------

    // What the input's products read: dG of each flat step, or of each distinct row of a table.
    const float *input_gates(int direction) const {
      return is_table() ? sides[direction].row_gates : sides[direction].gates + Cell::kInput * W;
    }
    int64_t input_floats() const { return is_table() ? kIn * W : P::kFloats; }

    // One panel's dG, added up over the steps that read the same row of the table.
    void sum_by_row(int64_t task) const {
      const int64_t panel = task % panels().count;
      const Side &side = sides[task / panels().count];
      float *sums = side.row_gates + panel * inputs() * kIn * W;
      const float *gates = side.gates + panel * plan().N * P::kFloats + Cell::kInput * W;
      std::memset(sums, 0, sizeof(float) * size_t(inputs() * kIn * W));
      for (int64_t step = 0; step < plan().N; step++, gates += P::kFloats) {
        float *sum = sums + plan().distinct.which[step] * kIn * W;
        UNROLL for (int v = 0; v < kIn; v++) store(sum + v * W, load(sum + v * W) + load(gates + v * W));
      }
    }

    void clear_table(int64_t shard) const {
      const int64_t floats = plan().stack.table_rows * D, first = floats * shard / kShards;
      std::memset(input_gradient.data + first, 0, sizeof(float) * size_t(floats * (shard + 1) / kShards - first));
    }

    // dx = Σ over directions of dG · W_ih, for one block of inputs
    void differentiate_input(int64_t block) const {
      const int64_t first = block * kStepsOfABlock, count = std::min(kStepsOfABlock, inputs() - first);
      PanelFactor factors[2];
      for (int direction = 0; direction < plan().directions; direction++)
        factors[direction] = {input_gates(direction), sides[direction].input_rows};
      int64_t steps[kStepsOfABlock];
      float *rows[kStepsOfABlock];
      for (int64_t k = 0; k < count; k++) {
        steps[k] = first + k;
        rows[k] = input_gradient(first + k);
      }
      const PanelShape shape = {panels().count, inputs() * input_floats(), input_floats(), kIn * W};
      multiply_panels<false>(factors, plan().directions, shape, steps, count, rows, D);
    }

    // ---- the weights ------------------------------------------------------------------------------------------

    // One weight's gradient: Σ over rows of the outer product of dG and the row. A row ends with a 1, so that the last
    // column of the sum is the bias's gradient.
    struct Outer {
      const float *gates;            // dG of row 0 in the first panel
      int64_t panel_stride, stride;  // floats from one panel to the next, and from one row's dG to the next
      const float *const *rows;
      int64_t num_rows, columns;     // no columns: neither gradient is wanted
      int64_t block;                 // of a row of the weight: fewer than `columns` - 1 if it is block-diagonal
      float *totals;                 // (panel, column, vectors of gates)
      float *weight, *bias;          // may be null
    };

    struct Part {  // of a weight's gradient: one worker sums it over all rows
      int64_t panel, end_panel, column, end_column;
    };

    static constexpr int64_t kTotalsOfAPart = 1 << 17;  // floats: they and a chunk's dG stay in the L2 cache
    static constexpr int64_t kPartsOfAWorker = 2;
    static constexpr int64_t kColumnsOfAStrip = 144;    // an odd number of cache lines: rows get different cache sets

    float *const *gradients(int direction) const {
      return owner->gradients_.weights + plan().first_weight(number, direction);
    }
    int64_t input_columns(int direction) const {
      return gradients(direction)[0] || gradients(direction)[2] ? D + 1 : 0;
    }
    int64_t hidden_columns(int direction) const {
      return gradients(direction)[1] || (Cell::kWeights > 3 && gradients(direction)[3]) ? plan().H + 1 : 0;
    }

    // A part reads dG once, and x and h_prev once for all its panels. So parts are as large as the cache and the number
    // of workers allow. If there are fewer panels than workers need, parts also divide the columns.
    int64_t panels_of_a_part() const {
      const int64_t fit = kTotalsOfAPart / (P::kFloats * (D + plan().H));
      const int64_t fair = panels().count * plan().directions / parts_for_all_workers();
      return std::max(std::min({fit, fair, panels().count}), int64_t(1));
    }
    int64_t parts_for_all_workers() const { return plan().threads == 1 ? 1 : kPartsOfAWorker * plan().threads; }
    int64_t panel_parts() const { return (panels().count + panels_of_a_part() - 1) / panels_of_a_part(); }
    int64_t column_parts() const {
      const int64_t most = (D + plan().H) / kColumnsOfASum;
      return std::max(std::min(parts_for_all_workers() / (plan().directions * panel_parts()), most), int64_t(1));
    }
    int64_t sums() const { return plan().directions * panel_parts() * column_parts(); }

    // dW = dGᵀ · [x | h_prev] and db = Σ dG, some panels' gates against some columns
    void differentiate_weights(int64_t task) const {
      const int64_t column_part = task % column_parts(), panel_part = task / column_parts() % panel_parts();
      const int direction = int(task / column_parts() / panel_parts());
      const Side &side = sides[direction];
      float *const *to = gradients(direction);
      const Outer input = {input_gates(direction), inputs() * input_floats(), input_floats(), side.x, inputs(),
          input_columns(direction), D, side.input_totals, to[0], Cell::kNorm ? nullptr : to[2]};
      const Outer hidden = {hidden_gates(side), plan().N * P::kFloats, P::kFloats, side.h_prev, plan().N,
          hidden_columns(direction), panels().head, side.hidden_totals, to[1],
          Cell::kWeights == 4 ? to[3] : nullptr};

      const int64_t panel = panel_part * panels_of_a_part();
      const int64_t end_panel = std::min(panel + panels_of_a_part(), panels().count);
      const int64_t columns = input.columns + hidden.columns, split = input.columns;
      const int64_t column = columns * column_part / column_parts(), end = columns * (column_part + 1) / column_parts();
      const Part of_input = {panel, end_panel, std::min(column, split), std::min(end, split)};
      const Part of_hidden = {panel, end_panel, std::max(column, split) - split, std::max(end, split) - split};

      clear_totals<kIn>(input, of_input);
      clear_totals<kHid>(hidden, of_hidden);
      for (int64_t n = 0; n < plan().N; n += kStepsOfASum) {
        add_chunk<kIn>(input, of_input, n);
        add_chunk<kHid>(hidden, of_hidden, n);
      }
      write<kIn>(input, of_input, Cell::kInput);
      write<kHid>(hidden, of_hidden, Cell::kHidden);
      if constexpr (Cell::kNorm) {
        for (int64_t k = panel; column_part == 0 && k < end_panel; k++) sum_norms(k, side.norm_sums, to);
      }
    }

    template <int V> static void clear_totals(const Outer &outer, const Part &part) {
      if (part.column == part.end_column) return;  // without columns, `totals` may be null
      for (int64_t panel = part.panel; panel < part.end_panel; panel++) {
        std::memset(outer.totals + (panel * outer.columns + part.column) * V * W, 0,
            sizeof(float) * size_t((part.end_column - part.column) * V * W));
      }
    }

    // Adds the outer products of up to kStepsOfASum rows. The rows are copied side by side, in strips of columns.
    template <int V> void add_chunk(const Outer &outer, const Part &part, int64_t n) const {
      const int64_t count = std::min(kStepsOfASum, outer.num_rows - n);
      if (count <= 0) return;  // a table has fewer rows than there are steps
      alignas(64) float packed[kStepsOfASum][kColumnsOfAStrip];
      const float *rows[kStepsOfASum];
      for (int64_t k = 0; k < count; k++) rows[k] = packed[k];
      for (int64_t column = part.column; column < part.end_column; column += kColumnsOfAStrip) {
        const int64_t columns = std::min(kColumnsOfAStrip, part.end_column - column);
        const int64_t real = std::min(columns, outer.columns - 1 - column);
        for (int64_t k = 0; k < count; k++) {
          std::memcpy(packed[k], outer.rows[n + k] + column, sizeof(float) * size_t(real));
          if (real < columns) packed[k][real] = 1.0f;
        }
        for (int64_t panel = part.panel; panel < part.end_panel; panel++) {
          const float *gates = outer.gates + panel * outer.panel_stride + n * outer.stride;
          const Range own = outer.block < outer.columns - 1 ? panels().sources(panel) : Range{0, outer.columns};
          const int64_t first = std::max(own.first, column), end = std::min(own.end, column + columns);
          float *totals = outer.totals + (panel * outer.columns + first) * V * W;
          if (first < end) add_outer<V>(rows, first - column, end - first, gates, outer.stride, count, totals);
        }
      }
    }

    template <int V> void write(const Outer &outer, const Part &part, int from) const {
      const int64_t width = outer.columns - 1, end = std::min(part.end_column, width);
      for (int64_t panel = part.panel; panel < part.end_panel; panel++) {
        const float *total = outer.totals + panel * outer.columns * V * W;
        for (int lane = 0; lane < V * W; lane++) {
          const int64_t row = panels().row(panel, from + lane / W, lane % W);
          if (row < 0) continue;
          const int64_t begin = outer.block < width ? panels().first_of_head(row % plan().H) : 0;
          const int64_t first = std::max(part.column, begin), last = std::min(end, begin + outer.block);
          for (int64_t column = first; outer.weight && column < last; column++)
            outer.weight[row * outer.block + column - begin] = total[column * V * W + lane];
          if (outer.bias && end < part.end_column) outer.bias[row] = total[width * V * W + lane];
        }
      }
    }

    // The gradients of one panel's gains and biases, added up over the sequences.
    void sum_norms(int64_t panel, const float *sums, float *const *to) const {
      alignas(64) float total[kNormVectors * W];
      sum_steps<kNormVectors>(sums + panel * kNormVectors * W, norm_floats(), plan().B, total);
      for (int lane = 0; lane < kNormVectors * W; lane++) {
        const int vector = lane / W;  // 4 each of bias, gain_ih and gain_hh, then one each of bias_c and gain_c
        const int of = vector < 12 ? vector / 4 : vector - 9;
        const int64_t row = panels().row(panel, vector < 12 ? vector % 4 : 0, lane % W);
        if (row >= 0 && to[2 + of]) to[2 + of][row] = total[lane];
      }
    }
  };

  void prepare(int number) {
    const OstinatoStack &stack = plan_.stack;
    Layer &layer = *new (layers_ + number) Layer;
    const int64_t H = plan_.H, N = plan_.N, width = plan_.directions * H;
    const bool top = number == plan_.layers - 1;
    layer.owner = this;
    layer.number = number;
    layer.D = plan_.input_size(number);
    layer.input = number == 0 ? Rows<const float>{stack.x, layer.D, plan_.index}
                              : Rows<const float>{saved_.output(number - 1), layer.D, nullptr};
    layer.output = {saved_.output(number), width, nullptr};
    if (top) {
      layer.output_gradient = {gradients_.y, width, plan_.index};
    } else {  // the gradient of the input of the layer above
      float *between = arena_.take<float>(N * width);
      layer.output_gradient = {between, width, nullptr};
      layers_[number + 1].input_gradient = {between, width, nullptr};
    }
    layer.input_gradient = {nullptr, layer.D, nullptr};
    if (number == 0 && gradients_.x) {
      layer.input_gradient = {gradients_.x, layer.D, stack.ids ? plan_.distinct.rows : plan_.index};
    }
    for (int direction = 0; direction < plan_.directions; direction++) {
      Side &side = layer.sides[direction];
      side.gates = saved_.gates(number, direction);
      side.cells = saved_.cells(number, direction);
      if constexpr (Cell::kNorm) {
        side.moments = saved_.moments(number, direction);
        side.norm = new (arena_.take<NormWeights>(1)) NormWeights(H, plan_.weights(number, direction), arena_);
        side.norm_sums = arena_.take_zeroed<float>(plan_.B * layer.norm_floats());
      }
      const int64_t vectors = (layer.D + W - 1) / W;
      side.input_rows = arena_.take<float>(vectors * W * panels_.count * kIn * W);
      side.hidden_rows = arena_.take<float>((H + W - 1) / W * W * panels_.count * kHid * W);
      side.x = arena_.take<const float *>(layer.inputs());
      if (layer.is_table()) {
        side.row_gates = arena_.take<float>(panels_.count * layer.inputs() * kIn * W);
        for (int64_t k = 0; k < layer.inputs(); k++) side.x[k] = stack.x + plan_.distinct.rows[k] * layer.D;
      }
      side.h_prev = arena_.take<const float *>(N);
      side.input_totals = arena_.take<float>(panels_.count * layer.input_columns(direction) * kIn * W);
      side.hidden_totals = arena_.take<float>(panels_.count * layer.hidden_columns(direction) * kHid * W);
    }
    if (top) {
      states_ = arena_.take<typename Layer::States>(plan_.directions * plan_.num_groups);
      for (int k = 0; k < plan_.directions * plan_.num_groups; k++) {
        const int64_t rows = plan_.groups[k % plan_.num_groups].size, size = rows * panels_.padded;
        states_[k] = {arena_.take<float>(size), arena_.take<float>(size * kSaved), arena_.take<float>(size * kSaved),
            arena_.take<int64_t>(rows), arena_.take<float *>(rows),
            Cell::kNorm ? arena_.take<float>(rows * layer.norm_floats()) : nullptr,
            Cell::kNorm ? arena_.take<float>(5 * panels_.padded) : nullptr};
      }
    }
  }

  const Plan plan_;
  const OstinatoGradients &gradients_;
  const P panels_;
  const Saved<Cell> saved_;
  Arena &arena_;
  float *zeros_;
  Layer *layers_;
  typename Layer::States *states_ = nullptr;
};
