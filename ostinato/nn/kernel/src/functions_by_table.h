// sigmoid and tanh of a vector by a table of polynomials: no exponential and no division, in about 60 % of the time of
// functions.h. Their absolute error is below 1e-5; that of products in bfloat16 is some hundred times as large.
// Included inside a variant's namespace.

// |x| is cut into 32 intervals, four to an octave from 1/8 on; the first reaches down to zero. In each, tanh is a
// polynomial of degree 3 in the distance from the middle.
constexpr int kTanhDegree = 3;
alignas(64) float tanh_middle[32], tanh_coefficients[kTanhDegree + 1][32];
constexpr uint32_t kTanhFirst = 0x3e000000u >> 21;  // the sign, exponent and two bits of 1/8

using PerDegree = double[kTanhDegree + 1];

// Solves the equations of a polynomial through (x[k], y[k]) by elimination with pivots.
inline void interpolate(const PerDegree &x, const PerDegree &y, PerDegree &solution) {
  constexpr int n = kTanhDegree + 1;
  double a[n][n + 1];
  for (int row = 0; row < n; row++) {
    a[row][0] = 1;
    for (int column = 1; column < n; column++) a[row][column] = a[row][column - 1] * x[row];
    a[row][n] = y[row];
  }
  for (int column = 0; column < n; column++) {
    int pivot = column;
    for (int row = column; row < n; row++) {
      if (std::fabs(a[row][column]) > std::fabs(a[pivot][column])) pivot = row;
    }
    for (int k = 0; k <= n; k++) std::swap(a[column][k], a[pivot][k]);
    for (int row = 0; row < n; row++) {
      const double factor = a[row][column] / a[column][column];
      for (int k = column; row != column && k <= n; k++) a[row][k] -= factor * a[column][k];
    }
  }
  for (int k = 0; k < n; k++) solution[k] = a[k][n] / a[k][k];
}

// Fills the table. Not by a constructor: that would run where the processor lacks this variant's instructions.
inline void prepare_functions() {
  [[maybe_unused]] static const bool done = [] {
    for (uint32_t i = 0; i < 32; i++) {
      const uint32_t bits[2] = {(kTanhFirst + i) << 21, (kTanhFirst + i + 1) << 21};
      float edges[2];
      std::memcpy(edges, bits, sizeof edges);
      // the first polynomial spans both signs and is odd, so that tanh of a tiny x keeps its relative accuracy
      const double low = i == 0 ? -double(edges[1]) : double(edges[0]), half = (double(edges[1]) - low) / 2;
      tanh_middle[i] = i == 0 ? 0.0f : float(low + half);
      PerDegree x, y, solution;
      for (int k = 0; k <= kTanhDegree; k++) {  // Chebyshev's points
        x[k] = half * std::cos(3.14159265358979323846 * (k + 0.5) / (kTanhDegree + 1));
        y[k] = std::tanh(double(tanh_middle[i]) + x[k]);
      }
      interpolate(x, y, solution);
      for (int k = 0; k <= kTanhDegree; k++)
        tanh_coefficients[k][i] = i == 0 && k % 2 == 0 ? 0.0f : float(solution[k]);
    }
    return true;
  }();
}

ALWAYS_INLINE Vec entry(const float *table, __m512i which) {
  return _mm512_permutex2var_ps(_mm512_load_ps(table), which, _mm512_load_ps(table + W));
}

ALWAYS_INLINE Vec tanh(Vec x) {
  const Vec size = min(all(9.5f), absolute(x));  // the second operand wins when it is NaN
  const __m512i which = _mm512_sub_epi32(
      _mm512_srli_epi32(_mm512_castps_si512(max(size, all(0.125f))), 21), _mm512_set1_epi32(int(kTanhFirst)));
  const Vec distance = size - entry(tanh_middle, which);
  Vec value = entry(tanh_coefficients[kTanhDegree], which);
  UNROLL for (int k = kTanhDegree; k-- > 0;) value = fma(value, distance, entry(tanh_coefficients[k], which));
  return with_sign_of(x, value);
}

ALWAYS_INLINE Vec sigmoid(Vec x) { return fma(tanh(x * all(0.5f)), all(0.5f), all(0.5f)); }
