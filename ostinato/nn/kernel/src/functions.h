// exp, sigmoid, tanh and log of a vector, accurate to about two units in the last place; NaN stays NaN.
// Included inside a variant's namespace.

// x = n·ln 2 + r with |r| ≤ ln 2 / 2, and e^r - 1. Source: Cephes, expf.
struct Reduced {
  Vec n, expm1;
};

inline Reduced reduce(Vec x) {
  const Vec n = round(x * all(1.44269504f));
  const Vec r = fnma(n, all(-2.12194440e-4f), fnma(n, all(0.693359375f), x));
  Vec q = all(1.9875691500e-4f);
  q = fma(q, r, all(1.3981999507e-3f));
  q = fma(q, r, all(8.3334519073e-3f));
  q = fma(q, r, all(4.1665795894e-2f));
  q = fma(q, r, all(1.6666665459e-1f));
  q = fma(q, r, all(5.0000001201e-1f));
  return {n, fma(q * r, r, r)};
}

inline Vec exp(Vec x) {
  x = min(all(88.0f), max(all(-87.0f), x));  // the second operand wins when it is NaN
  const Reduced e = reduce(x);
  return times_power_of_2(all(1.0f) + e.expm1, e.n);
}

// e^x - 1 for x ≤ 88, accurate near 0.
inline Vec expm1(Vec x) {
  const Vec one = all(1.0f);
  const Reduced e = reduce(max(all(-87.0f), x));  // the second operand wins when it is NaN
  const Vec power = times_power_of_2(one, e.n);
  return fma(power, e.expm1, power - one);
}

inline Vec sigmoid(Vec x) { return all(1.0f) / (all(1.0f) + exp(all(0.0f) - x)); }

// With E = e²ˣ - 1 = 2ⁿ·(eʳ - 1) + (2ⁿ - 1): tanh x = E / (E + 2), accurate near 0, or
// 1 - 2 / (E + 2), accurate near 1.
inline Vec tanh(Vec x) {
  const Vec one = all(1.0f), two = all(2.0f), size = absolute(x), limit = all(0.6f);
  const Reduced e = reduce(min(all(20.0f), size + size));  // the second operand wins when it is NaN
  const Vec power = times_power_of_2(one, e.n);
  const Vec expm1 = fma(power, e.expm1, power - one);
  const Vec share = where_greater(size, limit, two, expm1) / (expm1 + two);
  return with_sign_of(x, where_greater(size, limit, one - share, share));
}

// log (2ⁿ·(1 + f)) for 1 + f from √½ to √2. Source: Cephes, logf.
inline Vec log(Vec n, Vec f) {
  const Vec square = f * f;
  Vec q = all(7.0376836292e-2f);
  q = fma(q, f, all(-1.1514610310e-1f));
  q = fma(q, f, all(1.1676998740e-1f));
  q = fma(q, f, all(-1.2420140846e-1f));
  q = fma(q, f, all(1.4249322787e-1f));
  q = fma(q, f, all(-1.6668057665e-1f));
  q = fma(q, f, all(2.0000714765e-1f));
  q = fma(q, f, all(-2.4999993993e-1f));
  q = fma(q, f, all(3.3333331174e-1f));
  const Vec rest = fma(all(-0.5f), square, fma(n, all(-2.12194440e-4f), q * f * square));
  return fma(n, all(0.693359375f), f + rest);
}

// log sigmoid(x) = min(x, 0) - log (1 + e^-|x|)
inline Vec log_sigmoid(Vec x) {
  const Vec zero = all(0.0f), one = all(1.0f), half = all(0.5f), e = exp(zero - absolute(x));
  const Vec n = where_greater(e, all(0.41421356f), one, zero);
  return min(zero, x) - log(n, where_greater(n, half, fma(half, e, zero - half), e));
}
