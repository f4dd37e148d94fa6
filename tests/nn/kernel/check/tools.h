// Comparisons, random numbers, and the pieces of the loops.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using Numbers = std::vector<double>;
using Floats = std::vector<float>;
using Integers = std::vector<int64_t>;

constexpr double kLimit = 1e-6;  // of relative errors, in the Euclidean norm

inline int comparisons = 0, failures = 0;
inline double largest = 0;

inline void check(bool holds, const std::string &what) {
  comparisons++;
  if (!holds) failures++, std::printf("FAILED: %s\n", what.c_str());
}

template <class T> void compare(const std::string &what, const std::vector<T> &ours, const Numbers &exact) {
  double difference = 0, size = 0;
  for (size_t k = 0; k < exact.size(); k++) difference += std::pow(ours[k] - exact[k], 2), size += exact[k] * exact[k];
  const double error = std::sqrt(difference / size);
  largest = std::max(largest, error);
  check(ours.size() == exact.size() && error < kLimit, what + ": error " + std::to_string(error * 1e6) + "e-6");
}

// Numbers from -size to size, the same on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  Floats floats(int64_t count, float size = 1) {
    Floats drawn(static_cast<size_t>(count));
    for (float &number : drawn) number = size * float(int32_t(next() >> 32)) / 2147483648.0f;
    return drawn;
  }
  Integers integers(int64_t count, int64_t below) {
    Integers drawn(static_cast<size_t>(count));
    for (int64_t &number : drawn) number = int64_t(next() >> 33) % below;
    return drawn;
  }

 private:
  uint64_t next() { return state_ = state_ * 6364136223846793005u + 1442695040888963407u; }
  uint64_t state_;
};

inline Numbers joined(const std::vector<Floats> &parts) {
  Numbers all;
  for (const Floats &part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline std::vector<Floats> shaped_like(const std::vector<Floats> &parts) {
  std::vector<Floats> made;
  for (const Floats &part : parts) made.emplace_back(part.size(), std::numeric_limits<float>::quiet_NaN());
  return made;
}

inline double dot(const Numbers &a, const Floats &b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }

inline Numbers differentiate(const std::function<double(const Numbers &)> &f, Numbers at) {
  Numbers gradient;
  for (double &number : at) {
    const double before = number, h = 1e-5;
    number = before + h;
    const double above = f(at);
    number = before - h;
    gradient.push_back((above - f(at)) / (2 * h));
    number = before;
  }
  return gradient;
}

// Hands out the arrays of joined numbers, in their order.
class Reader {
 public:
  explicit Reader(const Numbers &numbers) : at_(numbers.data()) {}
  const double *take(int64_t count) { return std::exchange(at_, at_ + count); }

 private:
  const double *at_;
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

inline Numbers affine(const double *weight, const double *bias, const double *x, int64_t in, int64_t out) {
  Numbers y(bias, bias + out);
  for (int64_t i = 0; i < out; i++) y[i] += std::inner_product(x, x + in, weight + i * in, 0.0);
  return y;
}
