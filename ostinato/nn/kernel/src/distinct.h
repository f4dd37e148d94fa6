// The rows of a table that the steps of a batch read. Most steps of a text read a row that another step reads, too: its
// product with the input weights is computed once, and so is what backward multiplies by these weights.
// Included inside a variant's namespace.

struct Distinct {
  int64_t count = 0;
  int64_t *rows = nullptr;   // (count,) of the table, in the order of their first steps
  int64_t *which = nullptr;  // (N,) the position in `rows` of what each step reads

  Distinct() = default;

  Distinct(const int64_t *ids, int64_t N, Arena &arena) : rows(arena.take<int64_t>(N)), which(arena.take<int64_t>(N)) {
    int bits = 1;
    while ((int64_t(1) << bits) < 2 * N) bits++;
    const int64_t size = int64_t(1) << bits;
    int64_t *positions = arena.take<int64_t>(size);  // a hash table with linear probing
    std::fill(positions, positions + size, int64_t(-1));
    for (int64_t step = 0; step < N; step++) {
      int64_t at = int64_t(uint64_t(ids[step]) * 0x9E3779B97F4A7C15u >> (64 - bits));
      while (positions[at] >= 0 && rows[positions[at]] != ids[step]) at = (at + 1) % size;
      if (positions[at] < 0) {
        positions[at] = count;
        rows[count++] = ids[step];
      }
      which[step] = positions[at];
    }
  }
};
