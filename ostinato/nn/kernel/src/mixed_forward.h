// Forward with products in bfloat16. A lane is one direction of one layer over one or two strips; two read each packed
// weight once. While the tile registers multiply one panel, the vector registers compute the gates of the panel before.
// Where there are fewer lanes than workers, a team of workers divides the panels of each lane.
// Included inside a variant's namespace.

// The memory of one step of one sequence.
struct MixedStep {
  float *h, *c;        // states (padded,), replaced
  Bits16 *next;        // where the next step's row holds h; null after the last step
  Bits16 *above[2];    // where rows of the layer above hold it as input, in each direction; may be null
  float *y;            // may be null
  Bits16 *gates;       // saved; may be null
  float *cells;        // saved; may be null
};

template <class Cell> class MixedForward {
  using Shape = MixedShape<Cell>;
  static constexpr int V = Cell::kVectors, kHid = Cell::kHiddenVectors;

 public:
  MixedForward(const OstinatoStack &stack, Arena &arena)
      : plan_(stack, arena, estimate(stack)),
        strips_(plan_, arena),
        saved_{stack, stack.saved},
        training_(stack.training),
        arena_(arena) {
    sides_ = arena.take<Side>(plan_.layers * plan_.directions);
    strips_of_a_lane_ = strips_.side_by_side(plan_);
    lanes_of_a_side_ = (strips_.count + strips_of_a_lane_ - 1) / strips_of_a_lane_;
    team_size_ = workers_of_a_lane();
    for (int side = 0; side < plan_.layers * plan_.directions; side++) prepare(side);
    if (stack.ids) prepare_table();
  }

  void run() {
    const int sides = plan_.layers * plan_.directions, lanes = int(lanes_of_a_side_);
    Stage *stages = arena_.take<Stage>(sides * (1 + lanes));
    for (int side = 0; side < sides; side++) {
      Stage *pack = new (stages + side) Stage;
      pack->tasks = sides_[side].shape.panels.count;
      pack->job = sides_ + side;
      pack->run = [](const void *job, int64_t panel) { static_cast<const Side *>(job)->pack(panel); };
    }
    // upper layers first: a worker then takes what the layer below has just written
    Lane *all = arena_.take<Lane>(sides * lanes);
    auto stage_of = [&](int side, int lane) { return stages + sides + (sides - 1 - side) * lanes + lane; };
    for (int side = 0; side < sides; side++) {
      for (int lane = 0; lane < lanes; lane++) {
        Lane &job = *new (all + side * lanes + lane) Lane(sides_[side], lane * strips_of_a_lane_, arena_);
        Stage *stage = new (stage_of(side, lane)) Stage;
        stage->tasks = job.team ? team_size_ : job.chunks();
        stage->in_order = !job.team;
        stage->job = &job;
        stage->run = [](const void *lane, int64_t task) { static_cast<const Lane *>(lane)->run(task); };
        stage->need(stages + side);
        const int below = side / plan_.directions * plan_.directions - plan_.directions;
        for (int direction = 0; below >= 0 && direction < plan_.directions; direction++) {
          const Stage *under = stage_of(below + direction, lane);
          plan_.directions == 1 && !job.team ? stage->need_same_task(under) : stage->need(under);
        }
        const int above = side + plan_.directions;
        if (above < sides && sides_[above].ring)  // it still reads what this would replace
          stage->need_same_task(stage_of(above, lane), kChunksOfARing);
        if (job.chunks() == 0) job.start(), job.write_final();  // no task does it
      }
    }
    run_stages(stages, sides * (1 + lanes), plan_.threads);
  }

  static double estimate(const OstinatoStack &s) {  // microseconds
    const double width = double(s.num_directions) * double(s.hidden_size);
    double terms = 0;
    for (int layer = 0; layer < s.num_layers; layer++)
      terms += (layer == 0 ? double(s.input_size) : width) + double(s.hidden_size);
    const double products = terms * V / Cell::kUnitVectors * width;
    return double(s.num_steps) * (products / kProductsInAMicrosecond + 0.001 * width * s.num_layers);
  }

 private:
  // One direction of one layer.
  struct Side {
    const MixedForward *forward;
    int layer, direction;
    Shape shape;
    Bits16 *rows;         // (row, row_stride) [x | h before]
    int64_t ring;         // zero, or the number of steps of a strip that are kept, 16 rows each, when nothing is saved
    Bits16 *gates;        // saved; may be null
    float *cells;
    Bits16 *packed;       // (panel, block of terms, vector) tiles
    float *biases;        // (panel, V · W)

    // The first row of a step.
    Bits16 *row(const Strip &strip, int64_t t) const {
      return rows + (ring ? (strip.number * ring + t % ring) * kTileRows : strip.starts[t]) * shape.row_stride;
    }

    void pack(int64_t panel) const {
      const float *const *from = forward->plan_.weights(layer, direction);
      pack_forward(shape, panel, from[0], from[1], packed + panel * shape.terms * V * W);
      float *bias = biases + panel * V * W;
      add_bias<Cell, Cell::kInputVectors>(shape.panels, panel, Cell::kInput, from[2], bias + Cell::kInput * W);
      add_bias<Cell, kHid>(shape.panels, panel, Cell::kHidden, from[3], bias + Cell::kHidden * W);
    }
  };

  struct Lane {
    const Side &side;
    Strip strips[2];
    int count;       // of strips
    float *h, *c;    // states (row of a strip, padded), the second strip's from row 16 on
    Team *team;      // null: one worker at a time

    Lane(const Side &of, int64_t first, Arena &arena) : side(of), team(of.forward->new_team()) {
      const Strips &all = of.forward->strips_;
      count = int(std::min(of.forward->strips_of_a_lane_, all.count - first));
      for (int s = 0; s < count; s++) strips[s] = all[first + s];
      h = arena.take<float>(count * kTileRows * of.shape.panels.padded);
      c = arena.take<float>(count * kTileRows * of.shape.panels.padded);
    }

    int64_t chunks() const {
      return count ? (strips[0].longest + kStepsOfAChunk - 1) / kStepsOfAChunk : 0;
    }

    void run(int64_t task) const {
      const TileRegisters tiles;
      if (team) team->work(int(task), phases(), [this](int64_t phase, int part) { run_part(phase, part); });
      else run_chunk(task);
    }

    void run_chunk(int64_t chunk) const {
      const int64_t first = chunk * kStepsOfAChunk, last = end_of(chunk);
      if (chunk == 0) start();
      write_rows(first, last);
      for (int64_t t = first; t < last; t++) step(t, 0, side.shape.panels.count);
      if (last == strips[0].longest) write_final();
    }

    // The phases of a team: for each chunk its inputs and its steps. The last one writes the final states.
    int64_t phases() const { return chunks() > 0 ? strips[0].longest + chunks() + 1 : 0; }

    void run_part(int64_t phase, int part) const {
      if (phase == phases() - 1) {
        if (part == 0) write_final();
        return;
      }
      const int64_t chunk = phase / (kStepsOfAChunk + 1), at = phase % (kStepsOfAChunk + 1);
      const int64_t first = chunk * kStepsOfAChunk, panels = side.shape.panels.count;
      if (at > 0) {
        step(first + at - 1, panels * part / team->parts(), panels * (part + 1) / team->parts());
      } else if (part == 0) {
        if (chunk == 0) start();
        write_rows(first, end_of(chunk));
      }
    }

    int64_t end_of(int64_t chunk) const { return std::min((chunk + 1) * kStepsOfAChunk, strips[0].longest); }

    void start() const {
      const Plan &plan = side.forward->plan_;
      const int64_t padded = side.shape.panels.padded, H = plan.H;
      for (int s = 0; s < count; s++) {
        for (int64_t r = 0; r < strips[s].size; r++) {
          const int64_t sequence = strips[s].sequences[r], at = (s * kTileRows + r) * padded;
          copy_state(plan.initial(plan.stack.h0, side.layer, side.direction, sequence), h + at, H, padded);
          if (Cell::kCells)
            copy_state(plan.initial(plan.stack.c0, side.layer, side.direction, sequence), c + at, H, padded);
        }
        for (int64_t r = 0; r < strips[s].rows(0); r++) {  // the first steps' rows hold the initial state
          Bits16 *row = side.row(strips[s], 0) + r * side.shape.row_stride + side.shape.input_terms;
          convert_row(h + (s * kTileRows + r) * padded, row, padded);
        }
      }
    }

    // Step t for panels up to `end`.
    void step(int64_t t, int64_t panel, int64_t end) const {
      side.forward->training_ ? step_as<true>(t, panel, end) : step_as<false>(t, panel, end);
    }

    template <bool kTraining> void step_as(int64_t t, int64_t panel, int64_t end) const {
      const Shape &shape = side.shape;
      alignas(64) float sums[2][2 * kTileRows * V * W];  // the products of one panel; the gates of the one before read
      MixedStep steps[2 * kTileRows];
      const Bits16 *rows[2] = {};
      int64_t size[2] = {};
      for (int s = 0; s < count; s++) {
        size[s] = strips[s].rows(t);
        if (size[s] > 0) rows[s] = side.row(strips[s], t);
        if (size[s] > 0) list_steps(s, t, size[s], steps + (s ? size[0] : 0));
      }
      const int64_t whole = shape.H / Panels<Cell>::kUnits, all = size[0] + size[1];
      stores_before_tiles();
      auto product = [&](int64_t panel) {
        return PanelProduct<Cell>(shape, rows, size, side.packed + panel * shape.terms * V * W,
            side.biases + panel * V * W, sums[panel % 2]);
      };
      PanelProduct<Cell> first = product(panel);
      first.run_to(first.units);
      for (; panel < end; panel++) {
        PanelProduct<Cell> next = product(std::min(panel + 1, end - 1));
        if (panel + 1 == end) next.units = 0;
        for (int64_t r = 0; r < all; r++) {
          if (r % 2 == 0) next.run_to(std::min(r + 2, all) * next.units / all);
          const float *sum = sums[panel % 2] + (r < size[0] ? r : kTileRows + r - size[0]) * V * W;
          panel < whole ? finish<kTraining, true>(panel, steps[r], sum)
                        : finish<kTraining, false>(panel, steps[r], sum);
        }
        next.run_to(next.units);
      }
    }

    // Fills the inputs of the rows of steps [first, last), and zeros where no step writes but products read.
    void write_rows(int64_t first, int64_t last) const {
      const MixedForward &forward = *side.forward;
      const Shape &shape = side.shape;
      for (int s = 0; s < count; s++) {
        for (int64_t t = first; t < last; t++) {
          for (int64_t r = 0; r < strips[s].rows(t); r++) {
            Bits16 *at = side.row(strips[s], t) + r * shape.row_stride;
            if (side.layer == 0)
              forward.write_input(forward.plan_.step(strips[s].sequences[r], t, side.direction), at, shape);
            clear(at + shape.D, at + shape.input_terms);
            clear(at + shape.input_terms + shape.panels.padded, at + shape.terms);
          }
        }
      }
    }

    // Lists where a step's results go.
    void list_steps(int s, int64_t t, int64_t size, MixedStep *steps) const {
      const MixedForward &forward = *side.forward;
      const Plan &plan = forward.plan_;
      const Shape &shape = side.shape;
      const Strip &strip = strips[s];
      const bool top = side.layer == plan.layers - 1;
      for (int64_t r = 0; r < size; r++) {
        const int64_t sequence = strip.sequences[r], row = strip.starts[t] + r, state = (s * kTileRows + r);
        const int64_t flat = plan.step(sequence, t, side.direction), length = plan.length(sequence);
        MixedStep &step = steps[r];
        step.h = h + state * shape.panels.padded;
        step.c = c + state * shape.panels.padded;
        step.next = t + 1 < length ? side.row(strip, t + 1) + r * shape.row_stride + shape.input_terms : nullptr;
        step.y = top ? plan.stack.y + (plan.index ? plan.index[flat] : flat) * plan.directions * plan.H +
                           side.direction * plan.H
                     : nullptr;
        step.gates = side.gates ? side.gates + row * shape.gate_stride : nullptr;
        step.cells = side.cells ? side.cells + row * shape.panels.padded : nullptr;
        step.above[0] = step.above[1] = nullptr;
        for (int direction = 0; !top && direction < plan.directions; direction++) {
          const Side &above = forward.sides_[(side.layer + 1) * plan.directions + direction];
          const int64_t then = direction == side.direction ? t : length - 1 - t;
          step.above[direction] =
              above.row(strip, then) + r * above.shape.row_stride + side.direction * plan.H;
        }
      }
    }

    static void clear(Bits16 *from, const Bits16 *end) {
      if (from < end) std::memset(from, 0, sizeof(Bits16) * size_t(end - from));
    }

    // The cell's equation for one panel's units of one sequence; `kWhole`: the panel has no lanes past the last unit.
    template <bool kTraining, bool kWhole>
    ALWAYS_INLINE void finish(int64_t panel, const MixedStep &step, const float *sums) const {
      using P = Panels<Cell>;
      alignas(64) float gates[V * W];
      Vec sum[kHid], next[Cell::kUnitVectors];
      if constexpr (!Shape::kReadsAll) UNROLL for (int v = 0; v < V; v++) store(gates + v * W, load(sums + v * W));
      UNROLL for (int v = 0; v < kHid; v++) sum[v] = load(sums + (Cell::kHidden + v) * W);
      const int64_t unit = panel * P::kUnits;
      Cell::template finish<kTraining>(
          sum, gates, step.h + unit, step.c + unit, kTraining && step.cells ? step.cells + unit : nullptr, next);
      UNROLL for (int u = 0; u < Cell::kUnitVectors; u++) {
        const __mmask16 mask = kWhole ? __mmask16(0xffff) : side.shape.lanes(panel, u);
        const int64_t at = unit + u * W;
        store(step.h + at, next[u]);
        const __m256i rounded = to_bfloat16(_mm512_maskz_mov_ps(mask, next[u]));
        if (step.next) _mm256_storeu_si256(reinterpret_cast<__m256i *>(step.next + at), rounded);
        if (step.above[0]) _mm256_mask_storeu_epi16(step.above[0] + at, mask, rounded);
        if (step.above[1]) _mm256_mask_storeu_epi16(step.above[1] + at, mask, rounded);
        if (step.y) _mm512_mask_storeu_ps(step.y + at, mask, next[u]);
      }
      if constexpr (kTraining) {
        UNROLL for (int v = 0; v < V; v++) store_float16(step.gates + (panel * V + v) * W, load(gates + v * W));
      }
    }

    void write_final() const {
      const Plan &plan = side.forward->plan_;
      const int64_t padded = side.shape.panels.padded;
      const size_t bytes = sizeof(float) * size_t(plan.H);
      for (int s = 0; s < count; s++) {
        for (int64_t r = 0; r < strips[s].size; r++) {
          const int64_t to =
              ((side.layer * plan.directions + side.direction) * plan.B + strips[s].sequences[r]) * plan.H;
          const int64_t from = (s * kTileRows + r) * padded;
          if (plan.stack.hn) std::memcpy(plan.stack.hn + to, h + from, bytes);
          if (Cell::kCells && plan.stack.cn) std::memcpy(plan.stack.cn + to, c + from, bytes);
        }
      }
    }
  };

  void write_input(int64_t flat, Bits16 *row, const Shape &shape) const {
    if (table_) {
      std::memcpy(row, table_ + plan_.distinct.which[flat] * shape.input_terms, sizeof(Bits16) * size_t(shape.D));
    } else {
      convert_row(plan_.stack.x + (plan_.index ? plan_.index[flat] : flat) * shape.D, row, shape.D);
    }
  }

  void prepare(int number) {
    const int layer = number / plan_.directions, direction = number % plan_.directions;
    Side &side = *new (sides_ + number)
        Side{this, layer, direction, saved_.shape(layer), nullptr, 0, nullptr, nullptr, nullptr, nullptr};
    const Shape &shape = side.shape;
    if (training_) {
      const typename MixedSaved<Cell>::Side saved = saved_.side(layer, direction);
      side.rows = saved.rows, side.gates = saved.gates, side.cells = saved.cells;
    } else {
      // a layer below writes whole sequences, unless it goes along chunk by chunk
      if (layer == 0 || (plan_.directions == 1 && team_size_ <= 1)) side.ring = kChunksOfARing * kStepsOfAChunk;
      const int64_t rows = side.ring ? strips_.count * side.ring * kTileRows : plan_.N + kRowsPastTheEnd;
      side.rows = arena_.take<Bits16>(rows * shape.row_stride);
    }
    side.packed = arena_.take<Bits16>(shape.panels.count * shape.terms * V * W);
    side.biases = arena_.take_zeroed<float>(shape.panels.count * V * W);
  }

  void prepare_table() {
    const Shape &shape = sides_[0].shape;
    table_ = arena_.take<Bits16>(plan_.distinct.count * shape.input_terms);
    for (int64_t k = 0; k < plan_.distinct.count; k++)
      convert_row(plan_.stack.x + plan_.distinct.rows[k] * shape.D, table_ + k * shape.input_terms, shape.D);
  }

  // How many workers divide a lane: those without a lane of their own, if their part of a step is worth their meeting
  // after it.
  int workers_of_a_lane() const {
    const int64_t lanes = lanes_of_a_side_ * (plan_.directions == 1 ? plan_.layers : plan_.directions);
    const int64_t panels = Panels<Cell>(plan_.H).count;
    const double step_us = double(plan_.H) * double(panels) * V * W / 50e3;
    return int(std::min({lanes > 0 ? plan_.threads / lanes : 1, panels, int64_t(step_us / kMicrosecondsOfAPart)}));
  }

  Team *new_team() const {
    if (team_size_ <= 1) return nullptr;
    return new (arena_.take<Team>(1)) Team(team_size_, arena_.take<std::atomic<int64_t>>(team_size_));
  }

  static constexpr int64_t kStepsOfAChunk = 8, kChunksOfARing = 2;
  static constexpr double kMicrosecondsOfAPart = 0.45;

  const Plan plan_;
  const Strips strips_;
  const MixedSaved<Cell> saved_;
  const bool training_;
  Arena &arena_;
  Side *sides_;
  Bits16 *table_ = nullptr;
  int64_t strips_of_a_lane_, lanes_of_a_side_;
  int team_size_;
};
