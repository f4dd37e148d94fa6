// Vectors of 4 floats by GNU vector extensions: SSE2, NEON, or plain code.
#include <cstdint>
#include <cstring>

namespace ostinato::portable {

constexpr int W = 4;  // floats in a vector
constexpr int kAccumulators = 12;
typedef float Vec __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(16)));

inline Vec load(const float *p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float *p, Vec v) { std::memcpy(p, &v, sizeof v); }
inline Vec load_first(const float *p, int count) {  // zeros after `count`
  Vec v = {};
  for (int j = 0; j < count; j++) v[j] = p[j];
  return v;
}
inline void store_first(float *p, Vec v, int count) {
  for (int j = 0; j < count; j++) p[j] = v[j];
}
inline Ints bits(Vec v) {
  Ints b;
  std::memcpy(&b, &v, sizeof b);
  return b;
}
inline Vec from_bits(Ints b) {
  Vec v;
  std::memcpy(&v, &b, sizeof v);
  return v;
}
inline Vec all(float x) { return Vec{x, x, x, x}; }
#if defined(__aarch64__)
inline Vec fma(Vec a, Vec b, Vec c) {  // one instruction on this architecture
  for (int j = 0; j < W; j++) c[j] = __builtin_fmaf(a[j], b[j], c[j]);
  return c;
}
#else
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }  // always two roundings: compiled without contraction
#endif
inline Vec fnma(Vec a, Vec b, Vec c) { return fma(-a, b, c); }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }  // b where one is NaN
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }
inline Vec round(Vec v) {  // to nearest, for |v| < 2²²
  const Vec magic = all(12582912.0f);
  return (v + magic) - magic;
}
inline Vec sqrt(Vec v) {
  for (int j = 0; j < W; j++) v[j] = __builtin_sqrtf(v[j]);
  return v;
}
inline Vec times_power_of_2(Vec v, Vec n) {  // n from -126 to 127
  return v * from_bits((__builtin_convertvector(n, Ints) + 127) << 23);
}
inline Vec where_greater(Vec a, Vec b, Vec then, Vec otherwise) { return a > b ? then : otherwise; }
inline float sum_of(Vec v) { return (v[0] + v[2]) + (v[1] + v[3]); }
inline void zip(Vec a, Vec b, Vec &low, Vec &high) {  // a0 b0 a1 b1 …
  low = Vec{a[0], b[0], a[1], b[1]};
  high = Vec{a[2], b[2], a[3], b[3]};
}
inline Vec absolute(Vec v) { return from_bits(bits(v) & INT32_MAX); }
inline Vec with_sign_of(Vec sign, Vec v) { return from_bits(bits(v) | (bits(sign) & INT32_MIN)); }  // of v ≥ 0

// Pairs of integers, and sums of their products: two int16 and one int32 in each lane.
constexpr int kSums = 12;  // as kAccumulators
struct Pairs {
  Ints first, second;
};
using Sums = Ints;
inline void store_rounded(int16_t *p, Vec v) {
  v = round(v);
  for (int j = 0; j < W; j++) p[j] = int16_t(v[j]);
}
inline Pairs load_pairs(const int16_t *p) {  // from the two int8 in each int16
  const Ints both = {p[0], p[1], p[2], p[3]};
  return {(both << 24) >> 24, both >> 8};
}
inline Pairs all_pairs(const int16_t *p) { return {Ints{p[0], p[0], p[0], p[0]}, Ints{p[1], p[1], p[1], p[1]}}; }
inline Sums no_sums() { return Ints{}; }
inline Sums add_products(Pairs a, Pairs b, Sums sums) { return a.first * b.first + a.second * b.second + sums; }
inline Vec to_floats(Sums sums) { return __builtin_convertvector(sums, Vec); }

}  // namespace ostinato::portable
