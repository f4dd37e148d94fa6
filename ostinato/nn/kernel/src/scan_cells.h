// The cells of scan.h: linear recurrences, each unit by itself, whose factors and addends depend on the input alone.
// Included inside a variant's namespace.
//
// A cell of a scan has
//   kGates    blocks of H rows in weight_ih: the sums s of a step
//   kStates   numbers of state a unit
//   kOwn      weights of its own, a number a unit each
//   factors   from the own weights of a unit to the kOwn factors that its steps use
//   next      from s, the factors f and the state h before a step to the state after it
//   back      from dh after a step to ds and to dh before it; adds to df
//   factors_backward   from df to the gradients of the own weights

// g(s) = s + 0.5 for s ≥ 0, else sigmoid(s): positive, continuous, and unbounded above.
// Source: Feng et al. 2024, appendix B.
inline Vec positive(Vec s) { return where_greater(all(0.0f), s, sigmoid(s), s + all(0.5f)); }
inline Vec positive_slope(Vec s) {
  const Vec squashed = sigmoid(s);
  return where_greater(all(0.0f), s, squashed * (all(1.0f) - squashed), all(1.0f));
}

// a = 1 - z with z = sigmoid(s₀), candidate = g(s₁).
struct MinGru {
  static constexpr int kGates = 2;

  static Vec factor(const Vec *s) { return sigmoid(all(0.0f) - s[0]); }

  // ds₀ from da; z' = z·(1 - z).
  static void factor_backward(const Vec *s, Vec a, Vec da, Vec *ds) {
    ds[0] = all(0.0f) - da * a * sigmoid(s[0]);
  }
};

// a = 1 - 2·z, in [-1, 1]: -tanh(s₀ / 2). Source of the range: Grazzi et al. 2024.
struct MinGruSigned {
  static constexpr int kGates = 2;

  static Vec factor(const Vec *s) { return tanh(all(-0.5f) * s[0]); }

  static void factor_backward(const Vec *, Vec a, Vec da, Vec *ds) {
    ds[0] = all(-0.5f) * da * (all(1.0f) - a) * (all(1.0f) + a);
  }
};

// With f = sigmoid(s₀), i = sigmoid(s₁): 1 / f = 1 + e^-s₀, 1 / i = 1 + e^-s₁. Below -40 a sigmoid equals e^s in float32,
// and f / i depends only on s₀ - s₁: both sums are shifted up to where the powers are finite.
struct Inverses {
  Vec f, i;
  explicit Inverses(const Vec *s) {
    const Vec up = max(all(0.0f), all(-40.0f) - max(s[0], s[1])), one = all(1.0f);
    f = one + exp(all(0.0f) - (s[0] + up)), i = one + exp(all(0.0f) - (s[1] + up));
  }
};

// a = f / (f + i), candidate = g(s₂).
struct MinLstm {
  static constexpr int kGates = 3;

  static Vec factor(const Vec *s) {
    const Inverses over(s);
    return over.i / (over.i + over.f);
  }

  static void factor_backward(const Vec *s, Vec a, Vec da, Vec *ds) {
    const Vec slope = da * a * (all(1.0f) - a);
    ds[0] = slope * sigmoid(all(0.0f) - s[0]);                // 1 - f
    ds[1] = all(0.0f) - slope * sigmoid(all(0.0f) - s[1]);    // 1 - i
  }
};

// a = (f - i) / (f + i), in [-1, 1].
struct MinLstmSigned {
  static constexpr int kGates = 3;

  static Vec factor(const Vec *s) {
    const Inverses over(s);
    return (over.i - over.f) / (over.i + over.f);
  }

  static void factor_backward(const Vec *s, Vec a, Vec da, Vec *ds) {
    const Vec slope = all(0.5f) * da * (all(1.0f) - a) * (all(1.0f) + a);
    ds[0] = slope * sigmoid(all(0.0f) - s[0]);
    ds[1] = all(0.0f) - slope * sigmoid(all(0.0f) - s[1]);
  }
};

// h' = a·h + (1 - a)·candidate.
template <class Gate> struct Mix {
  static constexpr int kGates = Gate::kGates, kStates = 1, kOwn = 0;

  static void factors(const float *const *, int64_t, double *) {}
  static void factors_backward(const float *const *, int64_t, const double *, double *) {}

  static void next(const Vec *s, const Vec *, Vec *h) {
    const Vec candidate = positive(s[kGates - 1]);
    h[0] = fma(Gate::factor(s), h[0] - candidate, candidate);
  }

  static void back(const Vec *s, const Vec *, const Vec *h, Vec *dh, Vec *ds, Vec *) {
    const Vec a = Gate::factor(s), candidate = positive(s[kGates - 1]);
    Gate::factor_backward(s, a, dh[0] * (h[0] - candidate), ds);
    ds[kGates - 1] = dh[0] * (all(1.0f) - a) * positive_slope(s[kGates - 1]);
    dh[0] = dh[0] * a;
  }
};

// h' = a·h + sqrt(1 - a²)·i·s₂ with log a = f·r, r = sigmoid(s₀), i = sigmoid(s₁), f = 8·log sigmoid(Λ).
// Source: De et al. 2024, section 2.4.
struct RgLru {
  static constexpr int kGates = 3, kStates = 1, kOwn = 1;

  static void factors(const float *const *own, int64_t unit, double *f) {
    const double x = -double(own[0][unit]);  // -log sigmoid(Λ) = log(1 + e^x)
    f[0] = -8 * (std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))));
  }
  static void factors_backward(const float *const *own, int64_t unit, const double *df, double *d) {
    d[0] = 8 * df[0] / (1 + std::exp(double(own[0][unit])));
  }

  struct Terms {
    Vec r, i, log_a, a, square, root;  // square = 1 - a², root = sqrt(square)
    Terms(const Vec *s, Vec f) : r(sigmoid(s[0])), i(sigmoid(s[1])), log_a(f * r), a(exp(log_a)) {
      square = max(smallest(), all(0.0f) - expm1(log_a + log_a));
      root = sqrt(square);
    }
  };
  static Vec smallest() { return all(1.17549435e-38f); }  // the slope of the root is finite there

  static void next(const Vec *s, const Vec *f, Vec *h) {
    const Terms at(s, f[0]);
    h[0] = fma(at.a, h[0], at.root * at.i * s[2]);
  }

  static void back(const Vec *s, const Vec *f, const Vec *h, Vec *dh, Vec *ds, Vec *df) {
    const Vec one = all(1.0f);
    const Terms at(s, f[0]);
    const Vec d_root = dh[0] * at.i * s[2], d_input = dh[0] * at.root;
    const Vec slope = where_greater(at.square, smallest(), at.a * at.a / at.root, all(0.0f));  // -droot / dlog a
    const Vec d_log_a = dh[0] * at.a * h[0] - d_root * slope;
    ds[0] = d_log_a * at.log_a * (one - at.r);
    ds[1] = d_input * s[2] * at.i * (one - at.i);
    ds[2] = d_input * at.i;
    df[0] = fma(d_log_a, at.r, df[0]);
    dh[0] = dh[0] * at.a;
  }
};

// h' = λ·h + γ·s of complex h and s, with f = (Re λ, Im λ, γ), λ = e^(-e^ν + i·e^θ), γ = e^γ_log. What the layer returns
// is not h but a map of it: see the read-out below. Source: Orvieto et al. 2023, section 3.
struct Lru {
  static constexpr int kGates = 2, kStates = 2, kOwn = 3;

  static void factors(const float *const *own, int64_t unit, double *f) {
    const double size = std::exp(-std::exp(double(own[0][unit]))), angle = std::exp(double(own[1][unit]));
    f[0] = size * std::cos(angle), f[1] = size * std::sin(angle), f[2] = std::exp(double(own[2][unit]));
  }
  static void factors_backward(const float *const *own, int64_t unit, const double *df, double *d) {
    double f[kOwn];
    factors(own, unit, f);
    d[0] = -std::exp(double(own[0][unit])) * (df[0] * f[0] + df[1] * f[1]);
    d[1] = std::exp(double(own[1][unit])) * (df[1] * f[0] - df[0] * f[1]);
    d[2] = df[2] * f[2];
  }

  static void next(const Vec *s, const Vec *f, Vec *h) {
    const Vec real = fma(f[0], h[0], fnma(f[1], h[1], f[2] * s[0]));
    h[1] = fma(f[1], h[0], fma(f[0], h[1], f[2] * s[1]));
    h[0] = real;
  }

  static void back(const Vec *s, const Vec *f, const Vec *h, Vec *dh, Vec *ds, Vec *df) {
    ds[0] = f[2] * dh[0];
    ds[1] = f[2] * dh[1];
    df[0] = fma(dh[0], h[0], fma(dh[1], h[1], df[0]));
    df[1] = fma(dh[1], h[0], fnma(dh[0], h[1], df[1]));
    df[2] = fma(dh[0], s[0], fma(dh[1], s[1], df[2]));
    const Vec real = fma(f[0], dh[0], f[1] * dh[1]);
    dh[1] = fnma(f[1], dh[0], f[0] * dh[1]);
    dh[0] = real;
  }
};
