// What forward and backward both need from a stack: sizes, the rows of steps, and which worker gets which sequences.
// Included inside a variant's namespace.

// The rows of a matrix that hold the flat steps 0 .. N - 1.
template <class Float> struct Rows {
  Float *data;
  int64_t stride;
  const int64_t *index;  // null: row = step
  Float *operator()(int64_t step) const { return data + (index ? index[step] : step) * stride; }
};

struct Group {  // sequences that one worker runs through time side by side, longest first
  const int64_t *sequences;
  int64_t size;
};

constexpr int64_t kRowsOfAGroup = 64;  // more rows would push the states out of the L1 cache

struct Plan {
  const OstinatoStack &stack;
  int64_t B, N, D, H;
  int layers, directions, threads;
  int weights_of_a_side;  // pointers for each layer and direction
  const int64_t *lengths; // (B,)
  int64_t *offsets;       // (B,) first flat step of each sequence
  int64_t *sorted;        // (B,) sequences, longest first
  const int64_t *index;   // the rows of x and y that hold the steps; null: row = step
  Distinct distinct;      // with ids
  Group *groups;
  int num_groups;

  Plan(const OstinatoStack &s, Arena &arena, double microseconds, int weights_of_each = 4)
      : stack(s),
        B(s.batch_size),
        N(s.num_steps),
        D(s.input_size),
        H(s.hidden_size),
        layers(s.num_layers),
        directions(s.num_directions),
        weights_of_a_side(weights_of_each) {
    threads = microseconds < kMicrosecondsWorthThreads ? 1 : s.threads;
    lengths = s.lengths ? s.lengths : equal_lengths(arena);
    offsets = arena.take<int64_t>(B);
    int64_t steps = 0;
    for (int64_t b = 0; b < B; b++) offsets[b] = steps, steps += lengths[b];
    index = order_index(arena);
    if (s.ids) distinct = Distinct(s.ids, N, arena);
    deal(arena);
  }

  int64_t length(int64_t sequence) const { return lengths[sequence]; }
  int64_t input_size(int layer) const { return layer == 0 ? D : directions * H; }
  const float *const *weights(int layer, int direction) const { return stack.weights + first_weight(layer, direction); }
  int first_weight(int layer, int direction) const { return (layer * directions + direction) * weights_of_a_side; }

  // The flat step that is read t-th in this direction.
  int64_t step(int64_t sequence, int64_t t, int direction) const {
    return offsets[sequence] + (direction == 0 ? t : length(sequence) - 1 - t);
  }

  const float *initial(const float *states, int layer, int direction, int64_t sequence, int states_of_each = 1) const {
    return states ? states + ((layer * directions + direction) * B + sequence) * states_of_each * H : nullptr;
  }

 private:
  // Below this much work threads do not pay: one whose core is taken by another program costs milliseconds.
  static constexpr double kMicrosecondsWorthThreads = 200;

  const int64_t *equal_lengths(Arena &arena) const {
    int64_t *equal = arena.take<int64_t>(B);
    for (int64_t b = 0; b < B; b++) equal[b] = stack.padded_length;
    return equal;
  }

  const int64_t *order_index(Arena &arena) const {
    const int64_t T = stack.padded_length;
    if (stack.order == OSTINATO_RAGGED || (stack.order == OSTINATO_BATCH_FIRST && N == B * T)) return nullptr;
    int64_t *index = arena.take<int64_t>(N), *at = index;
    for (int64_t b = 0; b < B; b++) {
      for (int64_t t = 0; t < length(b); t++) *at++ = stack.order == OSTINATO_BATCH_FIRST ? b * T + t : t * B + b;
    }
    return index;
  }

  // Sorts sequences by length and deals them to the groups back and forth, so that all groups take about equally long.
  void deal(Arena &arena) {
    sorted = arena.take<int64_t>(B);
    for (int64_t b = 0; b < B; b++) sorted[b] = b;
    std::sort(sorted, sorted + B, [lengths = lengths](int64_t a, int64_t b) {
      return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
    });
    const int64_t wanted = (threads + directions - 1) / directions, needed = (B + kRowsOfAGroup - 1) / kRowsOfAGroup;
    const int64_t count = std::min(std::max(std::max(wanted, needed), int64_t(1)), std::max(B, int64_t(1)));
    num_groups = int(count);
    groups = arena.take<Group>(count);
    for (int64_t g = 0; g < count; g++) {
      int64_t *mine = arena.take<int64_t>(B / count + 1), size = 0;
      for (int64_t round = 0; round * count < B; round++) {
        const int64_t k = round * count + (round % 2 == 0 ? g : count - 1 - g);
        if (k < B) mine[size++] = sorted[k];
      }
      groups[g] = {mine, size};
    }
  }
};

// Mean and 1 / sqrt(variance + ε) of one row.
struct Moments {
  float mean, scale;
};

// Of a step of a cell with layer norm: what backward needs of its norms.
struct StepMoments {
  float scale_x, scale_h;
  Moments c;
};
constexpr int64_t kMomentFloats = sizeof(StepMoments) / sizeof(float);

// What is left of a sequence's gradients of h and c after its first step is the gradient of its initial states; without
// steps, that of its final states is. `dc` is null for a cell without c, or with further states.
inline void write_initial_gradients(const Plan &plan, const OstinatoGradients &given, int layer, int direction,
    int64_t sequence, bool has_steps, const float *dh, const float *dc) {
  const int64_t at = ((layer * plan.directions + direction) * plan.B + sequence) * plan.H;
  const size_t bytes = sizeof(float) * size_t(plan.H);
  auto write = [&](float *to, const float *final_gradient, const float *left) {
    if (!to) return;
    if (has_steps) std::memcpy(to + at, left, bytes);
    else if (final_gradient) std::memcpy(to + at, final_gradient + at, bytes);
    else std::memset(to + at, 0, bytes);
  };
  write(given.h0, given.hn, dh);
  if (dc) write(given.c0, given.cn, dc);
}

// The sizes of a cell's panels.
template <class Cell> struct Panels {
  static constexpr int64_t kUnits = Cell::kUnitVectors * W;  // units in a panel
  static constexpr int64_t kFloats = Cell::kVectors * W;     // saved for a step in a panel
  int64_t H, count, padded;                                  // padded: units of all panels, H rounded up
  int64_t head;                                              // units in a head

  explicit Panels(int64_t hidden_size)
      : H(hidden_size),
        count((hidden_size + kUnits - 1) / kUnits),
        padded(count * kUnits),
        head(hidden_size % Cell::kHeads ? hidden_size : hidden_size / Cell::kHeads) {}

  // The row of torch's weights behind vector v, lane j of a panel; -1 past the last unit.
  int64_t row(int64_t panel, int v, int j) const {
    const int64_t unit = panel * kUnits + (Cell::kUnitVectors > 1 ? v * W : 0) + j;
    return unit < H ? Cell::gate(v) * H + unit : -1;
  }

  int64_t first_of_head(int64_t unit) const { return unit / head * head; }

  // The units whose h this panel's units read.
  Range sources(int64_t panel) const {
    if (head == H) return {0, H};
    const int64_t first = panel * kUnits, last = std::min(first + kUnits, H) - 1;
    return {first_of_head(first), first_of_head(last) + head};
  }
};

// What training saves: for each layer and direction the gates (panel, step, kFloats), with layer norm in two planes, the
// cell states (step, panel, state, W) and the moments (step); for each layer its output (step, directions · H), also of
// the last, because the caller may write into y.
template <class Cell> struct Saved {
  static int64_t rounded(int64_t floats) { return (floats + 15) / 16 * 16; }

  int64_t gates_size, cells_size, moments_size, output_size;
  int layers, directions;
  float *start;

  Saved(const OstinatoStack &s, float *saved) : layers(s.num_layers), directions(s.num_directions), start(saved) {
    const Panels<Cell> panels(s.hidden_size);
    gates_size = rounded((Cell::kNorm ? 2 : 1) * panels.count * s.num_steps * Panels<Cell>::kFloats);
    cells_size = rounded(s.num_steps * panels.padded * Cell::kSavedCells);
    moments_size = Cell::kNorm ? rounded(s.num_steps * kMomentFloats) : 0;
    output_size = rounded(s.num_steps * s.num_directions * s.hidden_size);
  }

  int64_t side_size() const { return gates_size + cells_size + moments_size; }
  int64_t floats() const { return layers * (directions * side_size() + output_size); }
  float *gates(int layer, int direction) const { return start + (layer * directions + direction) * side_size(); }
  float *cells(int layer, int direction) const { return gates(layer, direction) + gates_size; }
  StepMoments *moments(int layer, int direction) const {
    return reinterpret_cast<StepMoments *>(cells(layer, direction) + cells_size);
  }
  float *output(int layer) const { return start + layers * directions * side_size() + layer * output_size; }
};
