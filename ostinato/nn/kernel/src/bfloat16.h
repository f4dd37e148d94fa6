// Numbers of 16 bits, and the operands of their products, cut into tiles of 16 rows of 64 bytes.
//
// The left operand of a product is 16 rows of 32 values as they lie in memory. The right one is packed: 16 pairs of
// rows, each [16 columns][2], so that one tile holds 32 rows by 16 columns. Sums are float32. The processor treats
// denormal numbers as zeros and adds in one order, so that a row's sums do not depend on the rows beside it.
//
// tiles_amx.h and tiles_avx512bf16.h multiply them; both define `TileRegisters`, `TileProduct` and `PanelProduct`.
// Included inside a variant's namespace.

using Bits16 = uint16_t;  // bfloat16 (8 bits of precision) or float16 (11 bits)

constexpr int64_t kTileRows = 16, kTileTerms = 32;     // of a left operand
constexpr int64_t kTileSize = kTileRows * kTileTerms;  // values in a tile of either operand
constexpr int64_t kWholeTiles[2] = {kTileRows, kTileRows};
template <class Cell> struct MixedShape;

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

ALWAYS_INLINE __m256i to_bfloat16(Vec v) { return (__m256i)_mm512_cvtneps_pbh(v); }

ALWAYS_INLINE Vec from_bfloat16(const Bits16 *p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))), 16));
}

ALWAYS_INLINE void store_bfloat16(Bits16 *p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), to_bfloat16(v));
}

ALWAYS_INLINE void store_bfloat16(Bits16 *p, Vec v, __mmask16 mask) {
  _mm256_mask_storeu_epi16(p, mask, to_bfloat16(v));
}

ALWAYS_INLINE void store_float16(Bits16 *p, Vec v) {
  const __m256i rounded = _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), rounded);
}

ALWAYS_INLINE Vec from_float16(const Bits16 *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
}

ALWAYS_INLINE __mmask16 mask_of(int64_t count) { return count >= W ? __mmask16(0xffff) : first(int(count)); }

inline void convert_row(const float *from, Bits16 *to, int64_t count) {
  for (int64_t k = 0; k < count; k += W) {
    const __mmask16 mask = mask_of(count - k);
    store_bfloat16(to + k, _mm512_maskz_loadu_ps(mask, from + k), mask);
  }
}

// ---- packing right operands, and turning left ones ----------------------------------------------------------------

// 16 by 16 numbers of 32 bits, turned in place; in a tile of bfloat16 these are pairs.
inline void transpose(void *square) {
  __m512i r[16], t[16];
  __m512i *rows = static_cast<__m512i *>(square);
  UNROLL for (int i = 0; i < 16; i++) r[i] = _mm512_load_si512(rows + i);
  UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]), t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  UNROLL for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]), r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]), r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  constexpr int kEven = 0x88, kOdd = 0xdd;  // of the quarters of two vectors
  UNROLL for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], kEven), t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], kOdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], kEven);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], kOdd);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], kEven), r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], kOdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], kEven);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], kOdd);
  }
  UNROLL for (int i = 0; i < 16; i++) _mm512_store_si512(rows + i, r[i]);
}

// Two rows of 32 values -> their pairs: of columns 0 to 15 and of columns 16 to 31.
ALWAYS_INLINE void interleave(__m512i even, __m512i odd, Bits16 *left, Bits16 *right) {
  const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
  // each holds half of every quarter: bring the quarters into order
  const __m512i one = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
  const __m512i two = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
  _mm512_store_si512(left, one), _mm512_store_si512(right, two);
}
