// Forward: lanes walk through time in chunks. A chunk is the input projection of some steps and then, while that is in
// cache, their recurrence. A lane follows the lane below it chunk by chunk if both read in the same direction. Where
// there are fewer lanes than workers, a team of workers divides the panels of each lane instead.
// Included inside a variant's namespace.

template <class Cell> struct ForwardWeights {
  float *input, *hidden;             // packed by columns
  QuantizedPanel quantized;          // the first of all, instead of `hidden`
  float *input_bias, *hidden_bias;   // (panel, vectors)
  const NormWeights *norm;           // of a cell with layer norm, instead of biases

  QuantizedPanel quantized_panel(int64_t panel) const {
    const int64_t columns = panel * Cell::kHiddenVectors * W, groups = quantized.groups;
    return {quantized.weights + columns * groups * terms_of_a_group(), quantized.scales + columns,
        quantized.offsets + columns, groups};
  }
};

template <class Cell> class Forward {
  using P = Panels<Cell>;
  static constexpr int kIn = Cell::kInputVectors, kHid = Cell::kHiddenVectors;

 public:
  Forward(const OstinatoStack &stack, Arena &arena)
      : plan_(stack, arena, estimate(stack), Cell::kWeights),
        panels_(stack.hidden_size),
        saved_(stack, stack.saved),
        training_(stack.training),
        quantizes_(stack.precision == OSTINATO_INT8 && !training_ && !Cell::kNorm && Cell::kHeads == 1),
        arena_(arena) {
    const int layers = plan_.layers, directions = plan_.directions, groups = plan_.num_groups;
    if (training_) prefer_huge_pages(saved_.start, sizeof(float) * size_t(saved_.floats()));
    weights_ = arena.take<ForwardWeights<Cell>>(layers * directions);
    outputs_ = arena.take<Rows<float>>(layers);
    packs_ = arena.take<Pack>(layers * directions);
    if (stack.ids) prepare_table();
    lanes_ = arena.take<Lane>(layers * directions * groups);
    team_size_ = workers_of_a_lane();
    for (int layer = 0; layer < layers; layer++) prepare(layer);
  }

  void run() {
    const int sides = plan_.layers * plan_.directions, groups = plan_.num_groups;
    const int tables = plan_.stack.ids ? plan_.directions : 0;
    Stage *stages = arena_.take<Stage>(sides * (1 + groups) + tables);
    for (int side = 0; side < sides; side++) {
      Stage *pack = new (stages + side) Stage;
      pack->tasks = panels_.count;
      pack->job = packs_ + side;
      pack->run = [](const void *job, int64_t panel) { static_cast<const Pack *>(job)->run(panel); };
    }
    Stage *products = stages + sides, *lanes = products + tables;
    for (int direction = 0; direction < tables; direction++) {
      Stage *product = new (products + direction) Stage;
      product->tasks = panels_.count;
      product->job = tables_ + direction;
      product->run = [](const void *job, int64_t panel) { static_cast<const TableProduct *>(job)->run(panel); };
      product->need(stages + direction);
    }
    for (int k = 0; k < sides * groups; k++) {
      Lane &lane = lanes_[k];
      Stage *stage = new (lanes + k) Stage;
      stage->tasks = lane.team ? team_size_ : lane.chunks();
      stage->in_order = !lane.team;
      stage->job = &lane;
      stage->run = [](const void *job, int64_t task) { static_cast<const Lane *>(job)->run(task); };
      stage->need(lane.is_table() ? products + lane.direction : stages + k / groups);
      if (lane.layer > 0) {  // the same sequences, one layer below
        const int below = (lane.layer - 1) * plan_.directions * groups + k % groups;
        for (int direction = 0; direction < plan_.directions; direction++) {
          const Stage *under = lanes + below + direction * groups;
          plan_.directions == 1 && !lane.team ? stage->need_same_task(under) : stage->need(under);
        }
      }
    }
    run_stages(stages, sides * (1 + groups) + tables, plan_.threads);
  }

  static double estimate(const OstinatoStack &s) {  // microseconds
    const double width = double(s.num_directions) * double(s.hidden_size);
    double terms = 0;
    for (int layer = 0; layer < s.num_layers; layer++)
      terms += (layer == 0 ? double(s.input_size) : width) + double(s.hidden_size);
    return double(s.num_steps) *
           (terms * Cell::kHiddenVectors / Cell::kUnitVectors * width / 50e3 + 0.001 * width * s.num_layers);
  }

 private:
  struct Pack {
    const Forward *forward;
    int layer, direction;

    void run(int64_t panel) const {
      const P &panels = forward->panels_;
      const float *const *from = forward->plan_.weights(layer, direction);
      const ForwardWeights<Cell> &to = forward->weights_[layer * forward->plan_.directions + direction];
      const int64_t D = forward->plan_.input_size(layer), H = panels.H;
      pack_columns<Cell, kIn>(panels, panel, Cell::kInput, from[0], D, to.input + panel * D * kIn * W);
      if (forward->quantizes_)
        quantize_columns<Cell, kHid>(panels, panel, Cell::kHidden, from[1], H, to.quantized_panel(panel));
      else
        pack_hidden<Cell, kHid>(panels, panel, from[1], to.hidden + panel * H * kHid * W);
      if constexpr (Cell::kNorm) return;
      float *input_bias = to.input_bias + panel * Cell::kVectors * W;
      add_bias<Cell, kIn>(panels, panel, Cell::kInput, from[2], input_bias + Cell::kInput * W);
      if constexpr (Cell::kWeights < 4) return;
      if constexpr (Cell::kSeparateHiddenBias) {  // the last gate's bias stays separate
        add_bias<Cell, kHid - 1>(panels, panel, Cell::kHidden, from[3], input_bias + Cell::kHidden * W);
        add_bias<Cell, 1>(panels, panel, Cell::kHidden + kHid - 1, from[3], to.hidden_bias + panel * W);
      } else {
        add_bias<Cell, kHid>(panels, panel, Cell::kHidden, from[3], input_bias);
      }
    }
  };

  // W_ih x + b of each distinct row of the table, in one direction.
  struct TableProduct {
    const Forward *forward;
    int direction;
    StepRow *rows;  // reads a row of the table, and writes its product in place of gates
    float *products;  // (panel, distinct, kIn · W)

    int64_t panel_stride() const { return forward->plan_.distinct.count * kIn * W; }

    void run(int64_t panel) const {
      const ForwardWeights<Cell> &weights = forward->weights_[direction];
      const int64_t D = forward->plan_.D;
      project_panel<kIn>(rows, forward->plan_.distinct.count,
          weights.input_bias + panel * P::kFloats + Cell::kInput * W, weights.input + panel * D * kIn * W, D,
          panel * panel_stride());
    }
  };

  // One direction of one layer over one group of sequences.
  struct Lane {
    const Forward *forward;
    int layer, direction;
    Group group;
    Rows<const float> input;  // of a table: its products, of the first panel
    float *h[2];            // (row, padded): of this step and the one before, alternating
    float *c;               // cell states (row, panel, state, W)
    float *gates;           // when saved: of step 0; else: of this chunk
    float *cells;           // saved cell states (step, panel, state, W)
    StepMoments *moments;   // saved, of a cell with layer norm
    float *saved_output;    // of the last layer in training; else null: other layers write their output there anyway
    int64_t panel_stride, chunk_steps;
    StepRow *step_rows;          // of the chunk's steps, in the order of the recurrence
    QuantizedStates quantized;   // h of the step before in integers (part of the team, row)
    Team *team;                  // null: one worker at a time

    bool is_table() const { return layer == 0 && forward->plan_.stack.ids; }
    int64_t longest() const { return group.size ? forward->plan_.length(group.sequences[0]) : 0; }
    int64_t chunks() const { return (longest() + chunk_steps - 1) / chunk_steps; }

    void run(int64_t task) const {
      if (team) team->work(int(task), phases(), [this](int64_t phase, int part) { run_part(phase, part); });
      else run_chunk(task);
    }

    void run_chunk(int64_t chunk) const {
      const int64_t first = chunk * chunk_steps, last = std::min(first + chunk_steps, longest());
      const int64_t all = forward->panels_.count;
      if (chunk == 0) start();
      project(list_steps(first, last), 0, all);
      const StepRow *step_row = step_rows;
      int64_t rows = group.size;
      for (int64_t t = first; t < last; t++) {
        rows = active(t, rows);
        for (int phase = 0; phase < kPhasesOfAStep; phase++) recur(phase, t, step_row, rows, 0, all, 0);
        step_row += rows;
      }
      if (last == longest()) write_final();
    }

    // The phases of a team: for each chunk its list of steps, its projection and its steps. The last one writes the
    // final states.
    int64_t phases() const { return longest() > 0 ? longest() * kPhasesOfAStep + 2 * chunks() + 1 : 0; }

    void run_part(int64_t phase, int part) const {
      if (phase == phases() - 1) {
        if (part == 0) write_final();
        return;
      }
      const int64_t phases_of_a_chunk = chunk_steps * kPhasesOfAStep + 2;
      const int64_t chunk = phase / phases_of_a_chunk, at = phase % phases_of_a_chunk;
      const int64_t first = chunk * chunk_steps, last = std::min(first + chunk_steps, longest());
      const int64_t count = forward->panels_.count;
      const int64_t panel = count * part / team->parts(), end = count * (part + 1) / team->parts();
      if (at == 0) {
        if (part > 0) return;
        if (chunk == 0) start();
        list_steps(first, last);
      } else if (at == 1) {
        project(rows_until(first, last), panel, end);
      } else {
        const int64_t t = first + (at - 2) / kPhasesOfAStep;
        const int of_step = int((at - 2) % kPhasesOfAStep);
        recur(of_step, t, step_rows + rows_until(first, t), active(t, group.size), panel, end, part);
      }
    }

    void start() const {
      const Plan &plan = forward->plan_;
      const int64_t padded = forward->panels_.padded, H = plan.H;
      for (int64_t r = 0; r < group.size; r++) {
        copy_state(plan.initial(plan.stack.h0, layer, direction, group.sequences[r]), h[0] + r * padded, H, padded);
        copy_cells<Cell::kCells>(plan.initial(plan.stack.c0, layer, direction, group.sequences[r], Cell::kCells),
            c + r * padded * Cell::kCells, H);
      }
    }

    // The number of sequences that have a step t, given the number that had an earlier step.
    int64_t active(int64_t t, int64_t before) const {
      while (before > 0 && forward->plan_.length(group.sequences[before - 1]) <= t) before--;
      return before;
    }

    int64_t rows_until(int64_t first, int64_t end) const {
      int64_t total = 0;
      for (int64_t t = first, rows = group.size; t < end; t++) total += rows = active(t, rows);
      return total;
    }

    // The chunk's rows of steps; returns how many.
    int64_t list_steps(int64_t first, int64_t last) const {
      const Plan &plan = forward->plan_;
      int64_t steps = 0, rows = group.size;
      for (int64_t t = first; t < last; t++) {
        rows = active(t, rows);
        for (int64_t r = 0; r < rows; r++, steps++) {
          const int64_t step = plan.step(group.sequences[r], t, direction);
          step_rows[steps] = {input(step), gates + (forward->training_ ? step : steps) * P::kFloats,
              cells ? cells + step * forward->panels_.padded * Cell::kSavedCells : nullptr,
              forward->outputs_[layer](step) + direction * plan.H,
              saved_output ? saved_output + (step * plan.directions + direction) * plan.H : nullptr,
              moments ? moments + step : nullptr};
        }
      }
      return steps;
    }

    // gates = W_ih x + b of the chunk's rows, computed or copied, for panels up to `end`
    void project(int64_t rows, int64_t panel, int64_t end) const {
      const ForwardWeights<Cell> &weights = forward->weights_[layer * forward->plan_.directions + direction];
      const int64_t D = forward->plan_.input_size(layer);
      for (; panel < end; panel++) {
        if (is_table()) {
          copy_panel<kIn>(step_rows, rows, panel * forward->tables_[direction].panel_stride(),
              panel * panel_stride + Cell::kInput * W);
          continue;
        }
        const float *bias = weights.input_bias + panel * P::kFloats + Cell::kInput * W;
        project_panel<kIn>(
            step_rows, rows, bias, weights.input + panel * D * kIn * W, D, panel * panel_stride + Cell::kInput * W);
      }
    }

    // A phase of a step of the first `rows` sequences. Most cells have one: gates += W_hh h, then the cell's equation,
    // for panels up to `end`. Layer norm needs the products of all panels, so its equation is a phase of its own, of
    // the first part.
    void recur(
        int phase, int64_t t, const StepRow *step_row, int64_t rows, int64_t panel, int64_t end, int part) const {
      if constexpr (Cell::kNorm) {
        if (phase == 0) return multiply_panels(t, step_row, rows, panel, end);
        if (part > 0) return;
        forward->training_ ? normalize<true>(t, step_row, rows) : normalize<false>(t, step_row, rows);
      } else {
        forward->training_ ? recur_as<true>(t, step_row, rows, panel, end, part)
                           : recur_as<false>(t, step_row, rows, panel, end, part);
      }
    }

    template <bool kTraining>
    void recur_as(int64_t t, const StepRow *step_row, int64_t rows, int64_t panel, int64_t end, int part) const {
      const int64_t padded = forward->panels_.padded;
      const float *h_prev = h[t % 2];
      float *h_next = h[(t + 1) % 2];
      const bool quantizes = !kTraining && forward->quantizes_;
      if (quantizes) quantize(h_prev, rows, part);
      const int64_t most = rows <= kRows<kHid> ? kPanelsAtOnce : 1;
      for (int64_t count; panel < end; panel += count) {
        count = std::min(most, end - panel);
        for_tiles<kRows<kHid>>(rows, [&](auto height, int64_t row) {
          constexpr int R = decltype(height)::value;
          alignas(64) float sums[kPanelsAtOnce][R][kHid * W];
          for (int64_t p = 0; p < count; p++) {
            if (quantizes) add_quantized_hidden(panel + p, step_row + row, row, R, part, sums[p][0]);
            else add_hidden<R>(panel + p, step_row + row, h_prev + row * padded, sums[p]);
          }
          for (int64_t p = 0; p < count; p++) {
            for (int r = 0; r < R; r++)
              finish<kTraining>(panel + p, row + r, step_row[row + r], sums[p][r], h_prev, h_next);
          }
        });
      }
    }

    // W_hh h of a cell with layer norm, into the second plane of its gates.
    void multiply_panels(int64_t t, const StepRow *step_row, int64_t rows, int64_t panel, int64_t end) const {
      const ForwardWeights<Cell> &weights = forward->weights_[layer * forward->plan_.directions + direction];
      const int64_t padded = forward->panels_.padded, H = forward->plan_.H;
      const int64_t plane = forward->panels_.count * panel_stride;
      for (; panel < end; panel++) {
        multiply_hidden<kHid>(step_row, rows, h[t % 2], padded, weights.hidden + panel * H * kHid * W, H,
            panel * panel_stride + plane);
      }
    }

    // Its equation, row by row.
    template <bool kTraining> void normalize(int64_t t, const StepRow *step_row, int64_t rows) const {
      const ForwardWeights<Cell> &weights = forward->weights_[layer * forward->plan_.directions + direction];
      const int64_t padded = forward->panels_.padded, plane = forward->panels_.count * panel_stride;
      float *h_next = h[(t + 1) % 2];
      const LnLstmStep<kTraining> step = {*weights.norm, panel_stride, plane};
      for (int64_t first = 0; first < rows; first += kRowsOfABlock) {
        const int64_t last = std::min(first + kRowsOfABlock, rows);
        StepMoments local[kRowsOfABlock];
        auto moments_at = [&](int64_t row) -> StepMoments & {
          return kTraining ? *step_row[row].moments : local[row - first];
        };
        for (int64_t row = first; row < last; row++)
          step.update(step_row[row].gates, c + row * padded, step_row[row].c, moments_at(row), h_next + row * padded);
        for (int64_t row = first; row < last; row++)
          step.output(c + row * padded, moments_at(row), h_next + row * padded, step_row[row].y, step_row[row].saved_y);
      }
    }

    // What W_hh h is added to, in one of a panel's vectors: the input projection, or a separate bias.
    ALWAYS_INLINE const float *first_term(
        const ForwardWeights<Cell> &weights, int64_t panel, const StepRow &step_row, int v) const {
      if (Cell::kSeparateHiddenBias && v == kHid - 1) return weights.hidden_bias + panel * W;
      return step_row.gates + panel * panel_stride + (Cell::kHidden + v) * W;
    }

    // One panel's sums of R sequences: the input projection plus W_hh h.
    template <int R> ALWAYS_INLINE void add_hidden(
        int64_t panel, const StepRow *step_row, const float *h_prev, float (&sums)[R][kHid * W]) const {
      const ForwardWeights<Cell> &weights = forward->weights_[layer * forward->plan_.directions + direction];
      const int64_t H = forward->plan_.H;
      Tile<R, kHid> tile;
      const float *rows[R];
      UNROLL for (int r = 0; r < R; r++) {
        rows[r] = h_prev + r * forward->panels_.padded;
        UNROLL for (int v = 0; v < kHid; v++) tile[r][v] = load(first_term(weights, panel, step_row[r], v));
      }
      const Range sources = forward->panels_.sources(panel);
      if (sources.first > 0) UNROLL for (int r = 0; r < R; r++) rows[r] += sources.first;
      multiply<R, kHid>(rows, weights.hidden + panel * H * kHid * W, sources.end - sources.first, tile);
      UNROLL for (int r = 0; r < R; r++) UNROLL for (int v = 0; v < kHid; v++) store(sums[r] + v * W, tile[r][v]);
    }

    // Rounds the states of the first `rows` sequences. Every part of a team rounds all of them for itself.
    void quantize(const float *states, int64_t rows, int part) const {
      for (int64_t row = 0; row < rows; row++)
        quantized.round(part * group.size + row, states + row * forward->panels_.padded, forward->plan_.H);
    }

    // As `add_hidden`, with the rounded states and weights.
    void add_quantized_hidden(
        int64_t panel, const StepRow *step_row, int64_t row, int64_t rows, int part, float *sums) const {
      const ForwardWeights<Cell> &weights = forward->weights_[layer * forward->plan_.directions + direction];
      for (int64_t r = 0; r < rows; r++) {
        for (int v = 0; v < kHid; v++)
          store(sums + (r * kHid + v) * W, load(first_term(weights, panel, step_row[r], v)));
      }
      add_quantized<kHid>(weights.quantized_panel(panel), quantized.from(part * group.size + row), rows, sums);
    }

    // The cell's equation for one panel's units of one sequence.
    template <bool kTraining> ALWAYS_INLINE void finish(int64_t panel, int64_t row, const StepRow &step_row,
        const float *sums, const float *h_prev, float *h_next) const {
      const int64_t H = forward->plan_.H, unit = panel * P::kUnits, state = row * forward->panels_.padded + unit;
      Vec sum[kHid], next[Cell::kUnitVectors];
      UNROLL for (int v = 0; v < kHid; v++) sum[v] = load(sums + v * W);
      Cell::template finish<kTraining>(sum, step_row.gates + panel * panel_stride, h_prev + state,
          c + state * Cell::kCells, kTraining && step_row.c ? step_row.c + unit * Cell::kSavedCells : nullptr, next);
      UNROLL for (int u = 0; u < Cell::kUnitVectors; u++) {
        store(h_next + state + u * W, next[u]);
        store_up_to(step_row.y + unit + u * W, next[u], H - unit - u * W);
        if (kTraining && step_row.saved_y) store_up_to(step_row.saved_y + unit + u * W, next[u], H - unit - u * W);
      }
    }

    // The states after each sequence's last step: no later step of the others has overwritten them.
    void write_final() const {
      const Plan &plan = forward->plan_;
      const int64_t padded = forward->panels_.padded;
      for (int64_t r = 0; r < group.size; r++) {
        const int64_t sequence = group.sequences[r];
        const int64_t to = ((layer * plan.directions + direction) * plan.B + sequence) * plan.H;
        const float *last_h = h[plan.length(sequence) % 2] + r * padded;
        if (plan.stack.hn) std::memcpy(plan.stack.hn + to, last_h, sizeof(float) * size_t(plan.H));
        if (plan.stack.cn)
          return_cells<Cell::kCells>(c + r * padded * Cell::kCells, plan.stack.cn + to * Cell::kCells, plan.H);
      }
    }
  };

  void prepare_table() {
    const Distinct &distinct = plan_.distinct;
    tables_ = arena_.take<TableProduct>(plan_.directions);
    for (int direction = 0; direction < plan_.directions; direction++) {
      TableProduct &table = tables_[direction];
      table = {this, direction, arena_.take<StepRow>(distinct.count),
          arena_.take<float>(panels_.count * distinct.count * kIn * W)};
      for (int64_t k = 0; k < distinct.count; k++)
        table.rows[k] = {plan_.stack.x + distinct.rows[k] * plan_.D, table.products + k * kIn * W, nullptr, nullptr};
    }
  }

  void prepare(int layer) {
    const OstinatoStack &stack = plan_.stack;
    const int64_t D = plan_.input_size(layer), H = plan_.H, width = plan_.directions * H, padded = panels_.padded;
    const bool top = layer == plan_.layers - 1;
    float *output = top ? stack.y : training_ ? saved_.output(layer) : arena_.take<float>(plan_.N * width);
    outputs_[layer] = {output, width, top ? plan_.index : nullptr};
    for (int direction = 0; direction < plan_.directions; direction++) {
      const int side = layer * plan_.directions + direction;
      ForwardWeights<Cell> &weights = weights_[side];
      weights.input = arena_.take<float>(panels_.count * D * kIn * W);
      if (quantizes_) {
        const int64_t columns = panels_.count * kHid * W, groups = groups_of_a_column(H);
        weights.quantized = {arena_.take<int8_t>(columns * groups * terms_of_a_group()), arena_.take<float>(columns),
            arena_.take<int32_t>(columns), groups};
      } else {
        weights.hidden = arena_.take<float>(panels_.count * H * kHid * W);
      }
      weights.input_bias = arena_.take_zeroed<float>(panels_.count * P::kFloats);
      weights.hidden_bias = arena_.take_zeroed<float>(panels_.count * W);
      if constexpr (Cell::kNorm)
        weights.norm = new (arena_.take<NormWeights>(1)) NormWeights(H, plan_.weights(layer, direction), arena_);
      packs_[side] = {this, layer, direction};
      for (int g = 0; g < plan_.num_groups; g++) {
        Lane &lane = lanes_[side * plan_.num_groups + g];
        const Group &group = plan_.groups[g];
        lane.forward = this;
        lane.layer = layer, lane.direction = direction;
        lane.group = group;
        lane.input = lane.is_table() ? Rows<const float>{tables_[direction].products, kIn * W, plan_.distinct.which}
                     : layer == 0    ? Rows<const float>{stack.x, D, plan_.index}
                                     : Rows<const float>{outputs_[layer - 1].data, D, nullptr};
        lane.chunk_steps =
            std::max(std::min(kStepsOfAChunk / std::max(group.size, int64_t(1)), int64_t(16)), int64_t(1));
        const int64_t most = lane.chunk_steps * group.size;
        lane.step_rows = arena_.take<StepRow>(most);
        lane.h[0] = arena_.take<float>(group.size * padded);
        lane.h[1] = arena_.take<float>(group.size * padded);
        lane.c = arena_.take<float>(group.size * padded * Cell::kCells);
        lane.panel_stride = (training_ ? plan_.N : most) * P::kFloats;
        lane.gates = training_ ? saved_.gates(layer, direction)
                               : arena_.take<float>((Cell::kNorm ? 2 : 1) * panels_.count * lane.panel_stride);
        lane.cells = training_ && Cell::kSavedCells ? saved_.cells(layer, direction) : nullptr;
        lane.moments = training_ && Cell::kNorm ? saved_.moments(layer, direction) : nullptr;
        lane.saved_output = training_ && top ? saved_.output(layer) : nullptr;
        lane.team = team_size_ > 1 ? new_team() : nullptr;
        if (quantizes_) {
          const int64_t rows = std::max(team_size_, 1) * group.size;
          lane.quantized = {arena_.take<int16_t>(rows * padded), arena_.take<float>(rows), padded};
        }
        if (lane.longest() == 0) lane.start(), lane.write_final();  // no task does it
      }
    }
  }

  // How many workers divide a lane: those without a lane of their own, if their part of a step is worth their meeting
  // after it.
  int workers_of_a_lane() const {
    const int lanes = plan_.num_groups * (plan_.directions == 1 ? plan_.layers : plan_.directions);
    const double step_us = double(plan_.H * panels_.padded) * kHid / Cell::kUnitVectors / 50e3;
    return int(std::min({int64_t(plan_.threads / lanes), panels_.count, int64_t(step_us / kMicrosecondsOfAPart)}));
  }

  Team *new_team() {
    return new (arena_.take<Team>(1)) Team(team_size_, arena_.take<std::atomic<int64_t>>(team_size_));
  }

  static constexpr int64_t kStepsOfAChunk = 128, kRowsOfABlock = 8;
  static constexpr int64_t kPanelsAtOnce = 4;  // of few rows: a cell's equation is a long chain, and several overlap
  static constexpr int kPhasesOfAStep = Cell::kNorm ? 2 : 1;
  static constexpr double kMicrosecondsOfAPart = Cell::kNorm ? 0.6 : 0.45;

  const Plan plan_;
  const P panels_;
  const Saved<Cell> saved_;
  const bool training_, quantizes_;
  Arena &arena_;
  ForwardWeights<Cell> *weights_;
  Rows<float> *outputs_;
  Pack *packs_;
  TableProduct *tables_ = nullptr;
  Lane *lanes_;
  int team_size_;
};
