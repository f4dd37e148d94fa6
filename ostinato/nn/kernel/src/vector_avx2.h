// Vectors of 8 floats: AVX2 with FMA.
#include <cpuid.h>
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace ostinato::avx2 {

constexpr int W = 8;  // floats in a vector
constexpr int kAccumulators = 12;  // of the 16 registers, those a tile may use
using Vec = __m256;

inline __m256i first(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load(const float *p) { return _mm256_loadu_ps(p); }
inline void store(float *p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec load_first(const float *p, int count) { return _mm256_maskload_ps(p, first(count)); }  // zeros after `count`
inline void store_first(float *p, Vec v, int count) { _mm256_maskstore_ps(p, first(count), v); }
inline Vec all(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }    // a·b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a·b
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }                // b where one is NaN
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec round(Vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec sqrt(Vec v) { return _mm256_sqrt_ps(v); }
inline Vec times_power_of_2(Vec v, Vec n) {  // n from -126 to 127
  const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(v, _mm256_castsi256_ps(exponent));
}
inline Vec where_greater(Vec a, Vec b, Vec then, Vec otherwise) {
  return _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
inline float sum_of(Vec v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline void zip(Vec a, Vec b, Vec &low, Vec &high) {  // a0 b0 a1 b1 …
  const Vec even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b);  // in each half: its first two, its last two
  low = _mm256_permute2f128_ps(even, odd, 0x20);
  high = _mm256_permute2f128_ps(even, odd, 0x31);
}
inline Vec absolute(Vec v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
inline Vec with_sign_of(Vec sign, Vec v) {
  return _mm256_or_ps(v, _mm256_and_ps(sign, _mm256_set1_ps(-0.0f)));
}  // of v ≥ 0

// Pairs of integers, and sums of their products: two int16 and one int32 in each lane.
constexpr int kSums = 8;  // as kAccumulators; a product needs a register before it is added
using Pairs = __m256i;
using Sums = __m256i;
inline void store_rounded(int16_t *p, Vec v) {
  const __m256i rounded = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(rounded), high = _mm256_extracti128_si256(rounded, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm_packs_epi32(low, high));
}
inline Pairs load_pairs(const int16_t *p) {  // from the two int8 in each int16
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
inline Pairs all_pairs(const int16_t *p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}
inline Sums no_sums() { return _mm256_setzero_si256(); }
inline Sums add_products(Pairs a, Pairs b, Sums sums) { return _mm256_add_epi32(_mm256_madd_epi16(a, b), sums); }
inline Vec to_floats(Sums sums) { return _mm256_cvtepi32_ps(sums); }

// Groups of four, as in vector_avx512.h. The instructions, AVX-VNNI, came with Intel's 12th generation and Zen 5.
#if __GNUC__ >= 11 || __clang_major__ >= 12
#define OSTINATO_HAS_FOURS
#define WITH_FOURS __attribute__((target("avxvnni")))
typedef int32_t Fours __attribute__((vector_size(32)));
inline bool multiplies_fours() {
  static const bool found = [] {
    constexpr unsigned kAvxVnni = 1u << 4;
    unsigned a = 0, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kAvxVnni);
  }();
  return found;
}
inline Fours no_fours() { return Fours{}; }
inline Fours load_fours(const int8_t *p) { return (Fours)_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)); }
inline Fours all_fours(const uint8_t *p) {
  int32_t four;
  std::memcpy(&four, p, sizeof four);
  return (Fours)_mm256_set1_epi32(four);
}
WITH_FOURS inline Fours add_products(Fours bytes, Fours weights, Fours sums) {
  return (Fours)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)bytes, (__m256i)weights);
}
inline Vec to_floats(Fours high, Fours low, const int32_t *offsets) {
  const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32((__m256i)high, 8), (__m256i)low);
  return _mm256_cvtepi32_ps(
      _mm256_add_epi32(sums, _mm256_loadu_si256(reinterpret_cast<const __m256i *>(offsets))));
}
inline void store_rounded(uint8_t *high, uint8_t *low, Vec v) {
  const __m256i rounded = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(1 << 15));
  // of each half the low bytes and then the high ones, and of both together
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m256i bytes = _mm256_shuffle_epi8(rounded, _mm256_broadcastsi128_si256(order));
  const __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i *>(low), both);
  _mm_storel_epi64(reinterpret_cast<__m128i *>(high), _mm_unpackhi_epi64(both, both));
}
inline void store_fours(int8_t *p, const Vec *four, int32_t *totals) {
  __m256i *sums = reinterpret_cast<__m256i *>(totals);
  __m256i bytes = _mm256_setzero_si256(), total = _mm256_loadu_si256(sums);
  for (int k = 4; k-- > 0;) {
    const __m256i value = _mm256_cvtps_epi32(four[k]);
    total = _mm256_add_epi32(total, value);
    bytes = _mm256_or_si256(_mm256_slli_epi32(bytes, 8), _mm256_and_si256(value, _mm256_set1_epi32(255)));
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), bytes), _mm256_storeu_si256(sums, total);
}
#endif

}  // namespace ostinato::avx2
