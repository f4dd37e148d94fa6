// Vectors of 16 floats: AVX-512. In the namespace of the variant that includes it: variants differ in their flags.
#include <cpuid.h>
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace ostinato::OSTINATO_VARIANT {

constexpr int W = 16;  // floats in a vector
constexpr int kAccumulators = 24;  // of the 32 registers, those a tile may use
using Vec = __m512;

inline __mmask16 first(int count) { return __mmask16((1u << count) - 1); }
inline Vec load(const float *p) { return _mm512_loadu_ps(p); }
inline void store(float *p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec load_first(const float *p, int count) {
  return _mm512_maskz_loadu_ps(first(count), p);
}  // zeros after `count`
inline void store_first(float *p, Vec v, int count) { _mm512_mask_storeu_ps(p, first(count), v); }
inline Vec all(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }    // a·b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a·b
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }                // b where one is NaN
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec round(Vec v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec sqrt(Vec v) { return _mm512_sqrt_ps(v); }
inline Vec times_power_of_2(Vec v, Vec n) { return _mm512_scalef_ps(v, n); }
inline Vec where_greater(Vec a, Vec b, Vec then, Vec otherwise) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), otherwise, then);
}
inline float sum_of(Vec v) { return _mm512_reduce_add_ps(v); }
inline void zip(Vec a, Vec b, Vec &low, Vec &high) {  // a0 b0 a1 b1 …
  const __m512i next = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  low = _mm512_permutex2var_ps(a, next, b);
  high = _mm512_permutex2var_ps(a, _mm512_add_epi32(next, _mm512_set1_epi32(8)), b);
}
inline Vec absolute(Vec v) { return _mm512_abs_ps(v); }
inline Vec with_sign_of(Vec sign, Vec v) {  // of v ≥ 0
  const __m512i bit = _mm512_and_epi32(_mm512_castps_si512(sign), _mm512_set1_epi32(INT32_MIN));
  return _mm512_castsi512_ps(_mm512_or_epi32(_mm512_castps_si512(v), bit));
}

// Pairs of integers, and sums of their products: two int16 and one int32 in each lane. In halves, because instructions
// for 32 int16 are in AVX-512BW, which this variant does not need.
constexpr int kSums = 4;  // as kAccumulators; each takes two of the 16 registers that AVX2 has
struct Halves {
  __m256i low, high;
};
using Pairs = Halves;
using Sums = Halves;
inline void store_rounded(int16_t *p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(v)));
}
inline Pairs load_pairs(const int16_t *p) {  // from the two int8 in each int16
  const __m128i *halves = reinterpret_cast<const __m128i *>(p);
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(halves)), _mm256_cvtepi8_epi16(_mm_loadu_si128(halves + 1))};
}
inline Pairs all_pairs(const int16_t *p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  return {_mm256_set1_epi32(pair), _mm256_set1_epi32(pair)};
}
inline Sums no_sums() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline Sums add_products(Pairs a, Pairs b, Sums sums) {
  return {_mm256_add_epi32(_mm256_madd_epi16(a.low, b.low), sums.low),
      _mm256_add_epi32(_mm256_madd_epi16(a.high, b.high), sums.high)};
}
inline Vec to_floats(Sums sums) {
  return _mm512_cvtepi32_ps(_mm512_inserti64x4(_mm512_castsi256_si512(sums.low), sums.high, 1));
}

// Groups of four: `vpdpbusd` adds the products of four unsigned and four signed bytes to each lane. Its instructions,
// AVX512_VNNI, are not among those that this variant needs, so the processor is asked.
#define OSTINATO_HAS_FOURS
#define WITH_FOURS __attribute__((target("avx512vnni")))
typedef int32_t Fours __attribute__((vector_size(64)));  // GCC stores sums of __m512i to memory after each product
inline bool multiplies_fours() {
  static const bool found = [] {
    unsigned a, b, c = 0, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_AVX512VNNI);
  }();
  return found;
}
inline Fours no_fours() { return Fours{}; }
inline Fours load_fours(const int8_t *p) { return (Fours)_mm512_loadu_si512(p); }
inline Fours all_fours(const uint8_t *p) {
  int32_t four;
  std::memcpy(&four, p, sizeof four);
  return (Fours)_mm512_set1_epi32(four);
}
WITH_FOURS inline Fours add_products(Fours bytes, Fours weights, Fours sums) {
  return (Fours)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)bytes, (__m512i)weights);
}
// 256 · high + low + offsets, modulo 2³²
inline Vec to_floats(Fours high, Fours low, const int32_t *offsets) {
  const __m512i sums = _mm512_add_epi32(_mm512_slli_epi32((__m512i)high, 8), (__m512i)low);
  return _mm512_cvtepi32_ps(_mm512_add_epi32(sums, _mm512_loadu_si512(offsets)));
}
// Each rounded number plus 2¹⁵, in two bytes.
inline void store_rounded(uint8_t *high, uint8_t *low, Vec v) {
  const __m512i rounded = _mm512_add_epi32(_mm512_cvtps_epi32(v), _mm512_set1_epi32(1 << 15));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(low), _mm512_cvtepi32_epi8(rounded));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(high), _mm512_cvtepi32_epi8(_mm512_srli_epi32(rounded, 8)));
}
// Integers of one byte from four vectors, side by side in each lane; adds all of them to `totals`.
inline void store_fours(int8_t *p, const Vec *four, int32_t *totals) {
  __m512i bytes = _mm512_setzero_si512(), total = _mm512_loadu_si512(totals);
  for (int k = 4; k-- > 0;) {
    const __m512i value = _mm512_cvtps_epi32(four[k]);
    total = _mm512_add_epi32(total, value);
    bytes = _mm512_or_si512(_mm512_slli_epi32(bytes, 8), _mm512_and_si512(value, _mm512_set1_epi32(255)));
  }
  _mm512_storeu_si512(p, bytes), _mm512_storeu_si512(totals, total);
}

}  // namespace ostinato::OSTINATO_VARIANT
